"""Teacher: segmentation of cloud-free optical and SAR images."""

from typing import Any

from .base import CloudSegTask


class CloudSegTeacherTask(CloudSegTask):
    """Pretraining of the teacher on cloud-free images.

    The network has neither spatial gates nor a reconstruction branch (Xu et al. 2024). Loss:
    cross-entropy.

    Example:
        >>> task = CloudSegTeacherTask(backbone='mit_b0', num_classes=6)
        >>> task.model.config.reconstruct
        False
    """

    def __init__(self, *, image_key: str = 'image_clear', **kwargs: Any) -> None:
        """Initialize a new CloudSegTeacherTask instance.

        Args:
            image_key: Key of the optical image: 'image_clear', or 'image' to see what the teacher
                makes of cloudy images.
            **kwargs: Arguments of :class:`CloudSegTask`.
        """
        super().__init__(image_key=image_key, **kwargs)
