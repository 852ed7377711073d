"""Putting a cloud on an image."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

#: How far values may lie outside of the data range, in widths of it, before the range must be
#: wrong: sun glint and hot metal reach several times the reflectance of snow.
HEADROOM = 4.0
FOOTROOM = 1.0


class CloudLayers(NamedTuple):
    """What a cloud consists of.

    Attributes:
        mask: bool tensor (B, H, W), where there is cloud.
        alpha: float32 tensor (B, H, W), opacity.
        shadow: float32 tensor (B, H, W), share of the light that is missing on the ground.
    """

    mask: Tensor
    alpha: Tensor
    shadow: Tensor


def blend(
    image: Tensor,
    layers: CloudLayers,
    reflectance: Tensor,
    data_range: tuple[float, float] = (0.0, 1.0),
    nodata: float | None = None,
) -> Tensor:
    """Shade the ground and blend the cloud over it.

    ``cloudy = (1 - alpha) * ground * (1 - shadow) + alpha * cloud``, in reflectance.

    Args:
        image: tensor (B, C, H, W) of any dtype of real numbers. NaN stays NaN.
        layers: the cloud, on the pixels of the image.
        reflectance: of the opaque cloud, tensor (B, C).
        data_range: image values of reflectance 0 and 1.
        nodata: pixels that have this value in all bands are left as they are.

    Returns:
        image of the same shape and dtype; integers are rounded and clipped to their range.
    """
    black, white = data_range
    ground = _widened(image)
    alpha, shadow = (layer[:, None].to(ground.dtype) for layer in (layers.alpha, layers.shadow))
    cloud = reflectance.mul(white - black).add_(black)[:, :, None, None].to(ground.dtype)
    # the ground less the share of its light that is missing
    cloudy = torch.addcmul(ground, ground, shadow, value=-1)
    if black != 0:
        cloudy += black * shadow
    cloudy.lerp_(cloud, alpha)
    if not image.is_floating_point():
        limits = torch.iinfo(image.dtype)
        cloudy.round_().clamp_(limits.min, limits.max)
        if nodata is not None:
            # dark ground in a shadow is still data
            nearest = nodata + 1 if nodata < limits.max else nodata - 1
            cloudy = torch.where((cloudy == nodata).all(1, keepdim=True), nearest, cloudy)
    if nodata is not None:
        cloudy = torch.where((ground == nodata).all(1, keepdim=True), ground, cloudy)
    return cloudy.to(image.dtype)


def _widened(image: Tensor) -> Tensor:
    """An image in a floating-point dtype that loses nothing.

    Products of half precision lose the cloud's texture; long integers need more than float32.

    Returns:
        a float32 or float64 tensor of the same shape.
    """
    wide = image.dtype == torch.float64 or (
        not image.is_floating_point() and image.element_size() > 2
    )
    return image.to(torch.float64 if wide else torch.float32)


def check_data_range(
    image: Tensor, data_range: tuple[float, float], nodata: float | None = None
) -> None:
    """Check that image values can be reflectances scaled by *data_range*.

    Args:
        image: tensor (B, C, H, W).
        data_range: image values of reflectance 0 and 1.
        nodata: value that does not count.

    Raises:
        ValueError: if they cannot: clouds would come out invisible, or as white noise.
    """
    black, white = data_range
    width = white - black
    if image.is_complex() or image.dtype == torch.bool:
        raise ValueError(f'The image is {image.dtype}: expected integers or real numbers.')
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f'data_range={data_range}: expected (black, white) with black < white.')
    values = _widened(image.detach())
    if nodata is not None:
        values = values.where(values != nodata, math.nan)
    lowest, highest = torch.stack(values.aminmax()).tolist()
    if math.isnan(lowest):
        # infinity in place of NaN is never the smallest or largest value where there are others
        lowest = float(values.nan_to_num(math.inf, math.inf, -math.inf).amin())
        highest = float(values.nan_to_num(-math.inf, math.inf, -math.inf).amax())
    found = f'found values from {lowest:g} to {highest:g}, which'
    if not image.is_floating_point() and width < 2:
        found = 'it is for floating-point images, but this one has integers, which'
    elif not (black - FOOTROOM * width <= lowest and highest <= black + HEADROOM * width):
        found += ' cannot be reflectances and'
    elif width < 2 <= highest and not (values.nan_to_num() % 1).any():
        found += f' are whole numbers up to {highest:g} and'
    elif 0 < highest <= 1 and white >= 100 and (values.nan_to_num() % 1).any():
        found += ' look scaled to 0..1 already and'
    else:
        return
    raise ValueError(
        f'data_range={data_range} (values of reflectance 0 and 1): {found} do not fit it. Pass the '
        'data_range of the image, such as (0, 1), (0, 255) or (0, 10000), or nodata= if it marks '
        'missing pixels by a number.'
    )
