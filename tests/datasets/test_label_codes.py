"""Labels as they come: any type of number, any codes, and no code that wraps around."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import write
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.datasets import (
    LandCoverClass,
    Layer,
    SceneDataset,
    SceneError,
    by_key,
    validate_scenes,
)
from torchgeo_cloudseg.datasets.legend import LABEL_DTYPES, CodeTable
from torchgeo_cloudseg.samplers import CenterSceneSampler

#: Codes and the classes that they should become.
CORINE = {111: 0, 112: 0, 211: 1, 523: 2, -9999: 255}


class Corine(SceneDataset):
    """CORINE codes beside an image."""

    name = 'corine-test'
    layers = by_key(
        Layer('image', 'image', ('gray',), ('uint8',)),
        Layer('mask', 'labels', ('class',), LABEL_DTYPES, categorical=True),
        Layer('mask_cloud', 'clouds', ('class',), LABEL_DTYPES, categorical=True),
    )
    legend = (
        LandCoverClass('urban', (111, 112), (230, 0, 77)),
        LandCoverClass('arable', (211,), (255, 255, 168)),
        LandCoverClass('sea', (523,), (0, 0, 255)),
    )
    unknown_codes = (-9999,)
    # scene classes of Sentinel-2: shadow and clear ground, three kinds of cloud
    cloud_codes: ClassVar = {3: 0, 4: 0, 8: 1, 9: 1, 10: 1}
    ranges: ClassVar = {'image': ((0.0,), (255.0,))}
    splits: ClassVar = {'train': 'train', 'val': 'train', 'test': 'test'}


def write_scene(root: Path, labels: np.ndarray, clouds: np.ndarray | None = None) -> None:
    shape = labels.shape
    write(root / 'train/image/a.tif', np.ones((1, *shape), np.uint8))
    write(root / 'train/labels/a.tif', labels[None])
    clouds = np.full(shape, 4, np.uint8) if clouds is None else clouds
    write(root / 'train/clouds/a.tif', clouds[None])


def sample_of(root: Path) -> dict[str, Any]:
    dataset = Corine(root, val_share=0)
    (query,) = CenterSceneSampler(dataset)
    return dataset[query]


@pytest.mark.parametrize('dtype', ['int16', 'int32', 'int64', 'float32', 'float64'])
def test_codes_of_any_type(tmp_path: Path, dtype: str) -> None:
    codes = np.array([*CORINE] * 4).reshape(4, 5)
    clouds = np.array([3, 4, 8, 9, 10] * 4, np.int8).reshape(4, 5)
    write_scene(tmp_path, codes.astype(dtype), clouds)
    sample = sample_of(tmp_path)
    np.testing.assert_array_equal(sample['mask'], np.vectorize(CORINE.get)(codes))
    np.testing.assert_array_equal(sample['mask_cloud'], clouds >= 8)


def test_missing_label_of_a_float_raster_is_unknown(tmp_path: Path) -> None:
    codes = np.array([[111, np.nan], [523, 211]], np.float32)
    write_scene(tmp_path, codes)
    assert sample_of(tmp_path)['mask'].tolist() == [[0, 255], [2, 1]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('codes', 'shares'),
    [
        # 367 and -145 are 111 modulo 256: tables of bytes would take them for it
        (np.array([[367, 367], [111, -145]], np.int16), '367 (50.00%), -145 (25.00%)'),
        (np.array([[111, 2**32 + 111], [111, 111]], np.int64), f'{2**32 + 111} (25.00%)'),
        (np.array([[2**64 - 9999, 111]], np.uint64), f'{2**64 - 9999} (50.00%)'),
        (np.array([[111.5, 111]], np.float32), '111.5 (50.00%)'),
        (np.array([[np.inf, 111]], np.float64), 'inf (50.00%)'),
        (np.array([[145, 111]], np.uint8), '145 (50.00%)'),
    ],
)
def test_undeclared_code_is_named_with_its_share(
    tmp_path: Path, codes: np.ndarray, shares: str
) -> None:
    write_scene(tmp_path, codes)
    with pytest.raises(SceneError) as error:
        sample_of(tmp_path)
    assert error.value.path == str(tmp_path / 'train/labels/a.tif')
    assert error.value.found == f'label code(s) {shares} of the pixels read'
    (found,) = validate_scenes(tmp_path, 'corine-test').problems
    assert found.found == error.value.found


def test_undeclared_code_of_a_cloud_mask(tmp_path: Path) -> None:
    write_scene(tmp_path, np.full((2, 2), 111, np.int16), np.array([[4, 4], [0, 4]], np.uint8))
    with pytest.raises(SceneError, match=r'clouds/a.tif: found label code\(s\) 0 \(25.00%\)'):
        sample_of(tmp_path)


@given(
    dtype=st.sampled_from(LABEL_DTYPES[1:9]),
    declared=st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.integers(0, 254), min_size=1),
    data=st.data(),
)
def test_no_code_stands_for_another(
    dtype: str, declared: dict[int, int], data: st.DataObject
) -> None:
    limits = np.iinfo(dtype)
    near = [code for code in declared if limits.min <= code <= limits.max]
    value = st.integers(int(limits.min), int(limits.max))
    values = data.draw(st.lists(st.one_of(value, *map(st.just, near)), min_size=1))
    table = CodeTable(declared, 255)
    stored = np.array(values, dtype)
    if set(values) <= declared.keys():
        assert table.to_classes('', stored).tolist() == [declared[code] for code in values]
    else:
        with pytest.raises(SceneError):
            table.to_classes('', stored)
