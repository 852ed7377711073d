"""The opacity of clouds as a product of a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from torchgeo_cloudseg.inference import MapOptions, SceneSpec, predict_scene
from torchgeo_cloudseg.models import CloudSegLite


def test_opacity_lies_on_the_grid_of_the_map(
    make_scene: Callable[..., Any], spec: SceneSpec, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net, scene = CloudSegLite(num_classes=3).eval(), make_scene(320, 200)
    options = MapOptions(products=('cloud', 'confidence'), window=160)
    files = predict_scene(
        net, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec, options=options,
        progress=False,
    )  # fmt: skip
    with rasterio.open(files['cloud']) as cloud, rasterio.open(files['confidence']) as other:
        assert (cloud.transform, cloud.shape) == (other.transform, other.shape) == (
            other.transform, (96, 60)
        )  # fmt: skip
        opacity = cloud.read(1)
    assert 0 <= np.nanmin(opacity) < np.nanmax(opacity) <= 1
    assert net.opacity is not None
    bias = net.opacity[1].bias
    assert isinstance(bias, torch.nn.Parameter)
    bias.data.add_(3)  # a darker sky is written as one
    later = predict_scene(
        net, scene.optical, scene.sar, tmp_path / 'later.tif', spec=spec, options=options,
        progress=False,
    )  # fmt: skip
    with rasterio.open(later['cloud']) as cloud:
        assert (cloud.read(1) > opacity).all()


def test_networks_that_tell_no_opacity(
    make_scene: Callable[..., Any], spec: SceneSpec, network: torch.nn.Module, tmp_path: Path
) -> None:
    scene = make_scene()
    with pytest.raises(ValueError, match="'cloud' was asked for"):
        predict_scene(
            network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
            options=MapOptions(products=('cloud',)), progress=False,
        )  # fmt: skip
