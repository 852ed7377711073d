"""Scores of each scene on its own."""

# no postponed annotations: the tasks' command line resolves these signatures
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from .confusion import count_confusion, region_scores
from .reconstruction import MAPS, measure_reconstruction, reconstruction_scores
from .regions import clouds_on_grid


class SceneScores(NamedTuple):
    """Scores of a scene.

    Example:
        >>> scores = SceneScores(0, 32646, pixels=8100, cloud_cover=0.4, scores={'all_OA': 0.9})
        >>> scores.scores['all_OA']
        0.9
    """

    #: Position of the scene in its data set.
    scene: int
    #: EPSG code of its CRS; 0 where that has none.
    epsg: int
    #: Number of labeled pixels, and the share of them that is under clouds.
    pixels: int
    cloud_cover: float
    #: Scores named ``<region>_<score>``, as those of :class:`RegionMetrics` and
    #: :class:`ReconstructionMetrics`.
    scores: dict[str, float]


class SceneMetrics(Metric):
    """The scores of :class:`RegionMetrics` and :class:`ReconstructionMetrics`, scene by scene.

    Patches of one scene count together, whatever their batch or process.

    Example:
        >>> import torch
        >>> metrics = SceneMetrics(num_classes=2, labels=['dry', 'flood'])
        >>> target = torch.tensor([[[0, 1], [1, 1]]])
        >>> logits = torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2).float()
        >>> scene, epsg, clouds = torch.tensor([0]), torch.tensor([32646]), torch.zeros(1, 2, 2)
        >>> metrics.update(scene, epsg, logits, target, clouds)
        >>> [(scores.scene, scores.scores['all_OA']) for scores in metrics.compute()]
        [(0, 1.0)]
    """

    is_differentiable = False
    full_state_update = False

    places: list[Tensor]
    confusion: list[Tensor]
    sums: list[Tensor]
    counts: list[Tensor]

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,
        labels: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneMetrics instance.

        Args:
            num_classes: number K of classes.
            ignore_index: label of pixels left out. Labels outside 0..K-1 are left out anyway.
            labels: names of the classes, in order (defaults to '0', '1', ...).
            **kwargs: further arguments of :class:`torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.labels = [str(k) for k in range(num_classes)] if labels is None else list(labels)
        for state in ('places', 'confusion', 'sums', 'counts'):
            self.add_state(state, [], dist_reduce_fx='cat')

    def update(
        self,
        scene: Tensor,
        epsg: Tensor,
        logits: Tensor,
        target: Tensor,
        cloud_mask: Tensor,
        restored: Tensor | None = None,
        clear: Tensor | None = None,
    ) -> None:
        """Count a batch.

        Args:
            scene: positions of the scenes in their data set (B,) or (B, 1).
            epsg: EPSG codes (B,) or (B, 1).
            logits: logits (B, K, h, w).
            target: labels (B, h, w).
            cloud_mask: mask (B, H, W), 1 cloud, 0 clear.
            restored: reconstructed images (B, C, H, W), if there are any.
            clear: the cloud-free images that they should be.
        """
        cloudy = clouds_on_grid(cloud_mask, (target.shape[1], target.shape[2]))
        pixels = (logits.argmax(dim=1), target.long(), cloudy)
        self.confusion.append(count_confusion(*pixels, self.num_classes, self.ignore_index))
        self.places.append(torch.stack([scene.flatten(), epsg.flatten()], dim=1))
        if restored is not None and clear is not None:
            sums, counts = measure_reconstruction(restored, clear, cloud_mask)
        else:
            sums = logits.new_zeros((len(logits), 2, len(MAPS)), dtype=torch.float32)
            counts = target.new_zeros((len(logits), 2, 2), dtype=torch.long)
        self.sums.append(sums)
        self.counts.append(counts)

    def compute(self) -> list[SceneScores]:
        """Scores of all scenes, of all processes.

        Returns:
            one entry per scene, in the order of the data set.
        """
        places, owner = torch.unique(dim_zero_cat(self.places).cpu(), dim=0, return_inverse=True)
        confusion, sums, counts = (
            _sum_by(owner, dim_zero_cat(state).cpu(), len(places))
            for state in (self.confusion, self.sums, self.counts)
        )
        scenes = []
        for i, (scene, epsg) in enumerate(places.tolist()):
            scores = region_scores(confusion[i], self.labels)
            scores |= reconstruction_scores(sums[i], counts[i])
            clear, cloudy = confusion[i].sum(dim=(1, 2)).tolist()
            cover = cloudy / max(clear + cloudy, 1)
            scenes.append(SceneScores(scene, epsg, clear + cloudy, cover, scores))
        return scenes


def _sum_by(owner: Tensor, values: Tensor, count: int) -> Tensor:
    """Sums (count, ...) of the values (N, ...) that belong together."""
    return values.new_zeros((count, *values.shape[1:])).index_add_(0, owner, values)
