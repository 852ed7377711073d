"""Confidence and class sets of a calibrated network on a map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from helpers import read

from torchgeo_cloudseg.inference import MapOptions, SceneSpec, predict_scene
from torchgeo_cloudseg.inference.windows.network import fingerprint
from torchgeo_cloudseg.models import Calibration, CloudSegLite


@pytest.mark.slow
def test_maps_are_as_sure_as_the_network_may_be(
    make_scene: Callable[..., Any], spec: SceneSpec, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net, scene = CloudSegLite(num_classes=3).eval(), make_scene(320, 200)
    hole = scene.optical_pixels
    hole[:, 100:160, 100:160] = 0
    with rasterio.open(scene.optical, 'r+') as raster:
        raster.write(hole)

    def mapped(name: str, products: tuple[Any, ...]) -> dict[Any, Path]:
        return predict_scene(
            net, scene.optical, scene.sar, tmp_path / f'{name}.tif', spec=spec, progress=False,
            options=MapOptions(products=products, window=160),
        )  # fmt: skip

    with pytest.raises(ValueError, match='cloudseg calibrate'):
        mapped('refused', ('sets',))
    assert not list(tmp_path.glob('refused*'))
    before = mapped('before', ('probabilities', 'cloud'))
    old = fingerprint(net)
    clouds = read(before['cloud'])
    edge = float(np.nanmedian(clouds))
    net.calibration = Calibration((1.0, 0.25), (1.0, 0.35), 0.8, (edge,))
    # rows of a map are not shared with those of another calibration
    assert fingerprint(net) != old
    after = mapped('after', ('confidence', 'probabilities', 'sets'))

    thick = clouds >= edge
    seen = ~np.isnan(clouds[0])
    assert thick[0, seen].any()
    assert not thick[0, seen].all()
    sharp = np.where(thick, read(before['probabilities']) ** 4, read(before['probabilities']))
    sharp /= sharp.sum(axis=0)
    np.testing.assert_allclose(read(after['probabilities']), sharp, atol=1e-5)
    np.testing.assert_allclose(read(after['confidence'])[0], sharp.max(axis=0), atol=1e-5)
    np.testing.assert_array_equal(read(after['classes']), read(before['classes']))

    *members, number = read(after['sets'])
    sets, classes = np.stack(members), read(after['classes'])[0]
    assert (number[~seen] == 255).all()
    assert (sets[:, ~seen] == 255).all()
    assert (np.take_along_axis(sets, np.where(seen, classes, 0)[None], 0)[0, seen] == 1).all()
    assert (sets[:, seen].sum(axis=0) == number[seen]).all()
    # where the threshold is 1, nothing but the most probable class; else all that are likely
    assert (number[seen & ~thick[0]] == 1).all()
    doubtful = seen & thick[0] & (np.abs(sharp - 0.35).min(axis=0) > 1e-4)
    likely = np.maximum((sharp >= 0.35).sum(axis=0), 1)
    np.testing.assert_array_equal(number[doubtful], likely[doubtful])
    with rasterio.open(after['sets']) as raster:
        assert raster.descriptions == (*spec.class_names, 'number of classes')
        assert raster.tags()['COVERAGE'] == '0.8'
        assert json.loads(raster.tags()['CALIBRATION'])['temperatures'] == [1.0, 0.25]
    with rasterio.open(before['probabilities']) as raster:
        assert 'CALIBRATION' not in raster.tags()
