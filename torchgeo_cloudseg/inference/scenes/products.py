"""What is written for a scene: from the network's output to the values of each product."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..._choices import Product
from ...datasets.scene_spec import MAP_NODATA, SceneSpec
from ...models import Calibration
from ...rasters import RasterLayer

#: Share of missing optical pixels from which a map pixel is missing.
MISSING_SHARE = 0.5

Arrays = dict[str, NDArray[Any]]


def raster_layers(
    spec: SceneSpec,
    products: Sequence[Product],
    reconstruction: RasterLayer,
    calibration: Calibration,
) -> dict[Product, RasterLayer]:
    """The rasters of a scene, by product.

    Args:
        spec: classes and bands.
        products: what is wanted.
        reconstruction: bands of the optical file, as they are stored.
        calibration: by what confidence is true, which files tell in a tag.

    Returns:
        the rasters that are wanted.

    Raises:
        ValueError: if sets are wanted of a network that is not calibrated.
    """
    if 'sets' in products and not calibration.thresholds:
        raise ValueError(
            "products: 'sets' was asked for, but the checkpoint does not say how sure the network "
            'may be. Run `cloudseg calibrate`, and map with the checkpoint that it writes.'
        )
    names, colors = spec.class_names, spec.class_colors
    # beside the file's category names, which many tools do not show
    tags = {'CLASS_NAMES': json.dumps(dict(enumerate(names)))}
    known = json.dumps(asdict(calibration))
    fitted = {'CALIBRATION': known} if calibration != Calibration() else {}
    covered = {**fitted, 'COVERAGE': f'{calibration.coverage:g}'}
    members = (*names, 'number of classes')
    layers: dict[Product, RasterLayer] = {
        'classes': RasterLayer(('land cover',), 'uint8', MAP_NODATA, 'mode', tags, names, colors),
        'confidence': RasterLayer(('confidence',), 'float32', np.nan, 'average', fitted),
        'probabilities': RasterLayer(names, 'float32', np.nan, 'average', fitted),
        'sets': RasterLayer(members, 'uint8', MAP_NODATA, 'mode', covered),
        'cloud': RasterLayer(('opacity of clouds',), 'float32', np.nan, 'average'),
        'reconstruction': reconstruction,
    }
    return {product: layer for product, layer in layers.items() if product in products}


def class_arrays(
    probabilities: Tensor,
    valid: Tensor,
    products: Sequence[Product],
    opacity: Tensor | None = None,
    calibration: Calibration | None = None,
) -> Arrays:
    """Values of the products on the map's grid.

    Args:
        probabilities: class probabilities (K, h, w).
        valid: where there is something to map (h, w), bool.
        products: what is wanted.
        opacity: opacity of the clouds (1, h, w), where it is wanted.
        calibration: what makes class sets, where they are wanted.

    Returns:
        arrays (bands, h, w) by product: classes uint8, 255 where there is nothing; confidence
        (the largest probability), probabilities and cloud float32, NaN where there is nothing;
        sets uint8, a band per class, 1 where it is in the set, and one for their number, 255
        where there is nothing.
    """
    confidence, classes = probabilities.max(dim=0, keepdim=True)
    missing = ~valid
    arrays = {'classes': classes.masked_fill(missing, MAP_NODATA).to(torch.uint8)}
    if 'confidence' in products:
        arrays['confidence'] = confidence.masked_fill(missing, torch.nan)
    if 'probabilities' in products:
        arrays['probabilities'] = probabilities.masked_fill(missing, torch.nan)
    if 'sets' in products and calibration is not None:
        members = calibration.sets(probabilities, opacity).to(torch.uint8)
        number = members.sum(dim=0, keepdim=True, dtype=torch.uint8)
        arrays['sets'] = torch.cat([members, number]).masked_fill(missing, MAP_NODATA)
    if 'cloud' in products and opacity is not None:
        arrays['cloud'] = opacity.masked_fill(missing, torch.nan)
    return {product: values.cpu().numpy() for product, values in arrays.items()}


def reconstruction_array(stored: Tensor, valid: Tensor, layer: RasterLayer) -> NDArray[Any]:
    """Values of the reconstructed image.

    Args:
        stored: reconstructed image (C, H, W) in stored units.
        valid: where there is data (H, W), bool.
        layer: data type and nodata.

    Returns:
        array (C, H, W) of the layer's type.
    """
    values = stored.cpu().double().numpy()
    nodata = layer.nodata
    if np.issubdtype(layer.dtype, np.integer):
        ends = np.iinfo(layer.dtype)
        values = np.clip(np.rint(values), ends.min, ends.max)
        beside = -1 if nodata == ends.max else 1
    else:
        beside = np.spacing(np.dtype(layer.dtype).type(nodata or 0))
    if nodata is not None:
        # a dark pixel is not a missing one
        values[values == nodata] = nodata + beside
        values[:, ~valid.cpu().numpy()] = nodata
    return values.astype(layer.dtype)


def valid_on_map(valid: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Where a map has something to say: less than half of the optical pixels are missing.

    Args:
        valid: where there is data (H, W), bool, on the optical grid.
        size_px: height and width on the map's grid.

    Returns:
        (h, w), bool.
    """
    missing = (~valid)[None, None].float()
    return F.adaptive_avg_pool2d(missing, size_px)[0, 0] < MISSING_SHARE
