"""Metrics of the reconstructed cloud-free image, by region."""

# no postponed annotations: the tasks' command line resolves these signatures
import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import (
    spectral_angle_mapper,
    structural_similarity_index_measure,
)

from ..losses._checks import check_images
from .regions import by_region

#: The maps whose sums are kept, in order. The angle is summed over pixels with a spectrum only.
MAPS = ('absolute', 'squared', 'similarity', 'angle')

#: Least side of an image, in pixels: SSIM pads by half its 11 px window, mirrored at the edge.
MIN_SIZE = 6

#: Least mean squared error, relative to the data range: the resolution of float32 near 1. It caps
#: PSNR at 144.5 dB, since a perfect reconstruction would have none that is finite.
MIN_SQUARED_ERROR = 2.0**-48


class ReconstructionMetrics(Metric):
    """PSNR, SSIM, MAE and spectral angle of a reconstructed image, by region.

    Each for all pixels, for clear sky and under clouds, in one flat dict of scalars named
    ``<prefix><region>_<score>``, such as ``cloudy_MAE``:

    * ``PSNR``: peak signal-to-noise ratio in dB, of the mean squared error of all pixels together
      (not the mean of PSNR by image), at most 144.5.
    * ``SSIM``: structural similarity, -1..1: the mean of torchmetrics' SSIM map (Gaussian window,
      sigma 1.5) over the pixels of the region. Windows reach over its edge.
    * ``MAE``: mean absolute error, in units of the images.
    * ``SAM``: spectral angle in radians, 0..pi: the mean of torchmetrics' angle by pixel. Pixels
      where the target is 0 in every band (no data) have no spectrum and are left out; where only
      the prediction is 0 in every band, the angle is a right one. Images of one band have no SAM.

    As in :class:`RegionMetrics`, what there is nothing to measure of is left out of the dict: a
    region without pixels has no scores. Pixels count alike, whatever their batch or process.

    Example:
        >>> import torch
        >>> metrics = ReconstructionMetrics()
        >>> image = torch.full((1, 4, 16, 16), 0.5)
        >>> metrics.update(image + 0.1, image, cloud_mask=torch.zeros(1, 16, 16))
        >>> round(float(metrics.compute()['all_MAE']), 3)
        0.1
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    sums: Tensor
    counts: Tensor

    def __init__(self, data_range: float = 1.0, prefix: str = '', **kwargs: Any) -> None:
        """Initialize a new ReconstructionMetrics instance.

        Args:
            data_range: distance between the least and the greatest possible value of the images.
            prefix: beginning of the names of all metrics, such as ``test_``.
            **kwargs: further arguments of :class:`torchmetrics.Metric`.

        Raises:
            ValueError: if *data_range* is not positive.
        """
        super().__init__(**kwargs)
        if not data_range > 0:
            raise ValueError(f'`data_range` must be positive, found {data_range}.')
        self.data_range = data_range
        self.prefix = prefix
        # the first dimension is clear and cloudy; float32, since Apple's GPUs have no float64
        self.add_state('sums', torch.zeros(2, len(MAPS)), dist_reduce_fx='sum')
        self.add_state('counts', torch.zeros(2, 2, dtype=torch.long), dist_reduce_fx='sum')

    def update(self, preds: Tensor, target: Tensor, cloud_mask: Tensor) -> None:
        """Measure a batch. Nothing here waits for the device.

        Args:
            preds: reconstructed image (B, C, H, W).
            target: cloud-free image (B, C, H, W).
            cloud_mask: mask (B, H, W), bool, integer or float: 1 cloud, 0 clear.

        Raises:
            ValueError: if shapes do not agree, or an image is smaller than 6 px a side.
        """
        sums, counts = measure_reconstruction(preds, target, cloud_mask, self.data_range)
        # a module cast to half precision as a whole takes its metrics along; sums must not be
        self.sums = self.sums.float() + sums.sum(dim=0)
        self.counts += counts.sum(dim=0)

    def compute(self) -> dict[str, Tensor]:
        """Scores of all pixels measured so far.

        Returns:
            scores by name, float32 scalars on the metric's device.
        """
        scores = reconstruction_scores(self.sums, self.counts, self.data_range)
        return {
            f'{self.prefix}{name}': torch.tensor(score, device=self.device)
            for name, score in scores.items()
        }


def measure_reconstruction(
    preds: Tensor, target: Tensor, cloud_mask: Tensor, data_range: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Errors of each image, clear and cloudy pixels apart. Nothing here waits for the device.

    Args:
        preds: reconstructed image (B, C, H, W).
        target: cloud-free image (B, C, H, W).
        cloud_mask: mask (B, H, W), bool, integer or float: 1 cloud, 0 clear.
        data_range: distance between the least and the greatest possible value of the images.

    Returns:
        sums (B, 2, 4) of the maps :data:`MAPS`, float32, and numbers (B, 2, 2) of pixels and of
        those with a spectrum, int64. The second dimension is clear and cloudy.

    Raises:
        ValueError: if shapes do not agree, or an image is smaller than 6 px a side.
    """
    check_images(preds, target, cloud_mask, ('preds', 'target'))
    height, width = preds.shape[2:]
    if min(height, width) < MIN_SIZE:
        raise ValueError(
            f'SSIM needs images of at least {MIN_SIZE} x {MIN_SIZE} px, found {height} x {width}.'
        )
    # SSIM takes differences of means of squares, which half precision cannot hold
    with torch.autocast(preds.device.type, enabled=False):
        maps, spectral = _maps(preds.float(), target.float(), data_range)
    cloudy = cloud_mask > 0.5
    regions = torch.stack([~cloudy, cloudy], dim=1)
    # (B, 2, 1, H, W) against (B, 1, 4, H, W)
    sums = torch.where(regions[:, :, None], maps[:, None], 0).sum(dim=(-1, -2))
    return sums, torch.stack([regions, regions & spectral[:, None]], dim=2).sum(dim=(-1, -2))


def reconstruction_scores(
    sums: Tensor, counts: Tensor, data_range: float = 1.0
) -> dict[str, float]:
    """Scores by region, see :class:`ReconstructionMetrics`.

    Args:
        sums: sums (2, 4) of the maps :data:`MAPS` over clear and cloudy pixels.
        counts: numbers (2, 2) of these pixels, and of those with a spectrum.
        data_range: distance between the least and the greatest possible value of the images.

    Returns:
        scores named ``<region>_<score>``, all finite.
    """
    totals = by_region(sums.cpu())
    scores: dict[str, float] = {}
    for region, numbers in by_region(counts.cpu()).items():
        pixels, spectra = numbers.tolist()
        if pixels > 0:
            absolute, squared, similarity, angle = totals[region].tolist()
            error = squared / pixels / data_range**2
            scores[f'{region}_PSNR'] = -10 * math.log10(max(error, MIN_SQUARED_ERROR))
            scores[f'{region}_SSIM'] = similarity / pixels
            scores[f'{region}_MAE'] = absolute / pixels
        if spectra > 0:
            scores[f'{region}_SAM'] = angle / spectra
    return scores


def _maps(preds: Tensor, target: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Maps of :data:`MAPS` (B, 4, H, W), and where there is a spectrum, bool (B, H, W)."""
    difference = preds - target
    # the map, not the mean by image: releases of torchmetrics differ in the border they cut
    _, similarity = structural_similarity_index_measure(
        preds, target, data_range=data_range, return_full_image=True
    )
    spectral = target.ne(0).any(dim=1)
    if target.shape[1] == 1:
        spectral = torch.zeros_like(spectral)
        angle = torch.zeros_like(target[:, 0])
    else:
        angle = spectral_angle_mapper(preds, target, reduction='none')
        angle = torch.where(preds.ne(0).any(dim=1), angle, math.pi / 2)
        angle = torch.where(spectral, angle, 0)
    by_band = (difference.abs(), difference.square(), similarity)
    return torch.stack([*(x.mean(dim=1) for x in by_band), angle], dim=1), spectral
