"""Student: segmentation of cloudy images, taught to remove clouds and to imitate the teacher."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import ClearSkyHintLoss, CloudCharbonnierLoss, OpacityLoss
from ..models import Network
from .base import CloudSegTask
from .checkpoint import load_teacher
from .evaluation import Batch, label_size


class CloudSegStudentTask(CloudSegTask):
    """Training of the student on cloudy images (Xu et al. 2024).

    Loss: cross-entropy + *reconstruction_weight* x cloud-weighted Charbonnier loss of the
    reconstructed cloud-free image + *distillation_weight* x squared distance to the teacher's
    decoder features where the sky is clear. Of a network that tells the opacity of clouds, also
    + *opacity_weight* x its cross-entropy with the true one: ``image_alpha`` (B, 1, H, W) of a
    batch, as synthetic clouds give it with ``layers: [alpha]``, else the cloud mask.

    The teacher sees the cloud-free image. It is frozen and always in evaluation mode, runs without
    autograd, and is no part of the module: checkpoints hold the student alone.

    Example:
        >>> task = CloudSegStudentTask(backbone='mit_b0', num_classes=6)
        >>> task.model.config.reconstruct
        True
    """

    def __init__(
        self,
        teacher: str | None = None,
        *,
        reconstruction_weight: float = 1.0,
        distillation_weight: float = 1.0,
        opacity_weight: float = 1.0,
        distill_clear_only: bool = True,
        init_from_teacher: bool = False,
        spatial_gate: bool = True,
        residual: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new CloudSegStudentTask instance.

        Args:
            teacher: Path to a checkpoint of the teacher; None to train without distillation. Only
                read when training starts.
            reconstruction_weight: Weight of the reconstruction loss; 0 leaves the branch out.
            distillation_weight: Weight of the distillation loss; 0 leaves the teacher out.
            opacity_weight: Weight of the opacity loss, of an architecture that has it ('lite').
            distill_clear_only: Distil where the sky is clear, as in the paper; False for all
                pixels.
            init_from_teacher: Start from the teacher's weights instead of *weights* (the paper does
                not); what the teacher lacks starts at random.
            spatial_gate: Weigh optical features where clouds hide the ground, by a gate in every
                fusion block or by the opacity of the clouds ('lite').
            residual: Reconstruct what clouds have changed in the image, rather than the image: that
                takes fewer steps to learn (the paper does not).
            **kwargs: Arguments of :class:`CloudSegTask`.
        """
        super().__init__(**kwargs)
        # in a list, so that it is no submodule: neither trained, nor saved, nor set to training
        self._teacher: list[Network] = []

    def configure_losses(self) -> None:
        """Initialize the three criteria."""
        super().configure_losses()
        self.reconstruction_criterion = CloudCharbonnierLoss()
        self.distillation_criterion = ClearSkyHintLoss(
            clear_only=self.hparams['distill_clear_only']
        )
        self.opacity_criterion = OpacityLoss()
        self.loss_weights['opacity'] = self.hparams['opacity_weight']
        self.loss_weights['reconstruction'] = self.hparams['reconstruction_weight']
        self.loss_weights['distillation'] = self.hparams['distillation_weight']

    def setup(self, stage: str) -> None:
        """Load the teacher where training needs it.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it holds no teacher for this student.
        """
        super().setup(stage)
        path = self.hparams['teacher']
        if stage == 'fit' and path is not None and self.hparams['distillation_weight'] > 0:
            initial: bool = self.hparams['init_from_teacher']
            self._teacher = [load_teacher(path, self.model, initial)]
            if initial:
                self.model.load_state_dict(self._teacher[0].state_dict(), strict=False)

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Which images matter to student and teacher: 'optical', 'sar' or both."""
        seen = {name for network in (self.model, *self._teacher) for name in network.looks_at}
        return tuple(name for name in ('optical', 'sar') if name in seen)

    def on_fit_start(self) -> None:
        """Bring the teacher to where the student is."""
        super().on_fit_start()
        self._teacher = [network.to(next(self.model.parameters())) for network in self._teacher]

    def training_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """What the losses need of a batch.

        Args:
            batch: a batch.

        Returns:
            as for any task, ``image_alpha`` (B, 1, H, W), opacity of the clouds, and
            ``image_clear`` where a loss needs it; ``mask_hidden`` (B, H, W)
            where that does not show the ground everywhere: 1 there.

        Raises:
            KeyError: if something is missing.
        """
        tensors = super().training_tensors(batch)
        # of real clouds only the mask is known
        alpha = batch.get('image_alpha')
        tensors['image_alpha'] = tensors['mask_cloud'][:, None] if alpha is None else alpha
        if self._teacher or self.model.config.reconstruct:
            (tensors['image_clear'],) = self._required(batch, 'image_clear')
            if 'mask_hidden' in batch:
                tensors['mask_hidden'] = batch['mask_hidden']
        return tensors

    def losses(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and losses of a training batch.

        Args:
            batch: what :meth:`training_tensors` gives.

        Returns:
            logits (B, K, h, w), and losses by name, not weighted.
        """
        mask, clouds = batch['mask'], batch['mask_cloud']
        output = self(batch['image'], batch['image_sar'], output_size=label_size(mask))
        losses = {'segmentation': self.criterion(output.logits, mask)}
        if output.opacity is not None:
            losses['opacity'] = self.opacity_criterion(output.opacity, batch['image_alpha'])
        hidden = batch.get('mask_hidden')
        if output.reconstruction is not None:
            target = batch['image_clear']
            if hidden is not None:  # as if it were restored: nothing is learnt there
                target = torch.where(hidden[:, None] > 0, output.reconstruction.detach(), target)
            losses['reconstruction'] = self.reconstruction_criterion(
                output.reconstruction, target, clouds
            )
        if self._teacher:
            with torch.no_grad():
                taught = self._teacher[0](batch['image_clear'], batch['image_sar']).features
            known = output.features
            # features may lie on a coarser grid, and opaque is less clear than hazy
            size = known.shape[-2:]
            veil = clouds if output.opacity is None else batch['image_alpha'][:, 0]
            if hidden is not None:  # nor does the teacher know more there
                unseen = F.interpolate(hidden[:, None].float(), size) > 0
                taught = torch.where(unseen, known.detach(), taught)
            if veil.shape[-2:] != size:
                veil = F.adaptive_avg_pool2d(veil[:, None].float(), size)[:, 0]
            losses['distillation'] = self.distillation_criterion(known, taught, veil)
        return output.logits, losses
