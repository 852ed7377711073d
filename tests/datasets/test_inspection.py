"""Looking at a folder of images: sensors, ranges, codes, pairing, and what is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from helpers import write
from rasterio.transform import from_origin

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datamodules import SceneFolderDataModule
from torchgeo_cloudseg.datasets import Division, Modality, SceneFolder, ScenesError
from torchgeo_cloudseg.datasets.inspection import (
    Inspection,
    facts,
    inspect_images,
    judge,
    roles,
    write_configuration,
)
from torchgeo_cloudseg.datasets.inspection.legends import CORINE
from torchgeo_cloudseg.miniature import write_miniature_folder
from torchgeo_cloudseg.rasters.survey import survey_raster


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def look(**sources: Path | str) -> Inspection:
    found = inspect_images({key: str(source) for key, source in sources.items()}, progress=False)
    judge(found)
    return found


def data_of(found: Inspection, role: str = 'teacher') -> dict[str, Any]:
    text = write_configuration(found, role, Path('x.yaml'), Path('output'))
    data: dict[str, Any] = yaml.safe_load(text)['data']['init_args']
    return data


@pytest.mark.slow
def test_sentinel_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_miniature_folder(tmp_path, columns=2, rows=2, side_px=32, progress=False)
    monkeypatch.chdir(tmp_path)
    main(['inspect', 'sentinel2', 'sentinel1', 'corine.tif', '--output', 'mine.yaml'])
    shown = capsys.readouterr().out
    for text in ('Sentinel-2 L2A', 'Sentinel-1 backscatter in dB', 'EPSG:32633 (2)',
                 '4 with all their files', 'scene classifications (SCL)', '312: '):  # fmt: skip
        assert text in shown
    config = yaml.safe_load(Path('mine.yaml').read_text())
    data = config['data']['init_args']
    assert data['root'] == str(tmp_path)
    assert list(data['image']['files']) == ['B02', 'B03', 'B04', 'B08', 'B11']
    assert data['image']['range'] == [[0.0], [10000.0]]
    assert data['image_sar']['pair'] == 'place'
    assert data['mask_cloud'] == {'files': 'sentinel2/*_SCL.tif', 'codes': [0, 3, 8, 9, 10]}
    assert data['unknown_codes'] == [-9999, 999]
    assert data['classes']['coniferous forest'] == {'codes': [312], 'color': [0, 166, 0]}
    assert config['model']['init_args']['in_channels'] == [5, 2]
    student = yaml.safe_load(Path('mine_student.yaml').read_text())
    assert student['model']['init_args']['teacher'] == 'output/mine/teacher/teacher.ckpt'
    with pytest.raises(SystemExit):
        main(['inspect', 'sentinel2', '--output', 'mine.yaml'])
    assert '--overwrite' in capsys.readouterr().err


def scenes(folder: Path, pixels: list[np.ndarray], ending: str = '', **profile: Any) -> Path:
    """Images that lie apart."""
    for number, image in enumerate(pixels):
        place = from_origin(500_000 + 5000 * number, 5e6, 10, 10)
        where = {'crs': 'EPSG:32632', 'transform': place, **profile}
        write(folder / f'{number}{ending}.tif', image, **where)
    return folder


def test_unknown_sensor_gets_percentiles(tmp_path: Path, rng: np.random.Generator) -> None:
    images = [rng.normal(500, 100, (2, 64, 64)).astype(np.float32) for _ in range(3)]
    found = look(image=scenes(tmp_path / 'a', images))
    assert found.images['image'].sensor is None
    data = data_of(found)
    values = np.concatenate([image.reshape(2, -1) for image in images], axis=1)
    for i, percent in enumerate((1, 99)):
        wanted = np.percentile(values, percent, axis=1)
        np.testing.assert_allclose(data['image']['range'][i], wanted, rtol=0.02)
    text = write_configuration(found, 'teacher', Path('x.yaml'), Path('output'))
    assert 'no sensor was recognised' in text
    # what was looked at is chosen by the seed
    again = look(image=tmp_path / 'a')
    assert data_of(again) == data


def test_offset_of_newer_sentinel_2_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    images = [rng.integers(1010, 5000, (13, 32, 32)).astype(np.uint16)]
    found = look(image=scenes(tmp_path / 's2', images, '_S2A_MSIL1C'))
    assert found.images['image'].sensor
    assert found.images['image'].sensor.name == 'sentinel-2-l1c'
    assert data_of(found)['image']['range'] == [[1000.0], [11000.0]]
    assert any('04.00' in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ('codes', 'name', 'clouds', 'numbers'),
    [
        ([0, 4, 8, 9], 'SCL', [0, 3, 8, 9, 10], None),
        ([0, 1, 2, 3], 'omni', [1, 2, 3], None),
        ([0, 1], 's2cloudless', [1], None),
        ([0, 255], 'mask', [255], None),
        ([0, 1] * 4, 'udm2', [1], [3, 4, 5, 6]),
    ],
)
def test_codes_of_clouds(
    tmp_path: Path, codes: list[int], name: str, clouds: list[int], numbers: list[int] | None
) -> None:
    image = np.full((1, 16, 16), 100, np.uint8)
    scenes(tmp_path / 'a', [image])
    bands = 8 if name == 'udm2' else 1
    mask = np.resize(np.array(codes, np.uint8), (bands, 16, 16))
    scenes(tmp_path / 'm', [mask], f'_{name}')
    found = look(image=tmp_path / 'a', mask_cloud=tmp_path / 'm')
    declared = data_of(found)['mask_cloud']
    assert declared['codes'] == clouds
    assert declared.get('numbers') == numbers


def test_what_is_wrong_and_odd_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    images = [rng.integers(1, 3000, (2, 32, 32)).astype(np.uint16) for _ in range(6)]
    images[1][:] = 0
    images[2] = images[2][:1]
    scenes(tmp_path / 'a', images, nodata=0)
    labels = [np.full((1, 32, 32), number % 3, np.float32) for number in range(5)]
    labels[3][0, 0, 0] = 1.5
    scenes(tmp_path / 'lc', labels)
    place = from_origin(900_000, 5e6, 10, 10)
    write(tmp_path / 'lc/4.tif', labels[4], crs='EPSG:32632', transform=place)
    (tmp_path / 'lc/0.tif').write_bytes(b'')
    found = look(image=tmp_path / 'a', mask=tmp_path / 'lc')
    texts = {Path(e.path).relative_to(tmp_path).as_posix(): str(e) for e in found.problems}
    assert 'no data in any pixel' in texts['a/1.tif']
    assert '1 band(s) (in 1 of 6 files)' in texts['a/2.tif']
    assert 'no `mask` of the same name' in texts['a/5.tif']
    assert 'empty file' in texts['lc/0.tif']
    assert 'whole numbers' in texts['lc/3.tif']
    assert 'no ground in common' in texts['lc/4.tif']
    assert all(error.remedy for error in found.problems)


@pytest.mark.parametrize('declared', [0, None])
def test_every_image_without_data_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: int | None
) -> None:
    """Not only among those of which pixels are sampled; no data is declared, or the sensor's."""
    monkeypatch.setattr(facts, 'SAMPLED_FILES', 3)
    images = [np.full((4, 16, 16), 500 + number, np.uint16) for number in range(20)]
    images[0] = np.zeros((4, 90, 90), np.uint16)
    images[0][3, 80, 2] = 700  # far from its middle
    empty = [*range(1, 20, 4)]
    for number in empty:
        images[number][:] = 0
    folder = scenes(tmp_path / 'a', images, '_S2A_MSIL2A', nodata=declared)
    for path in folder.iterdir():
        with rasterio.open(path, 'r+') as raster:
            raster.descriptions = ('B02', 'B03', 'B04', 'B08')
    found = look(image=folder)
    named = {Path(e.path).name for e in found.problems if 'no data in any pixel' in str(e)}
    assert named == {f'{number}_S2A_MSIL2A.tif' for number in empty}
    modality = Modality('a', bands=['B02', 'B03', 'B04', 'B08'], range=(0, 10000), nodata=0)
    with pytest.raises(ScenesError) as raised:
        SceneFolder.zoned(tmp_path, image=modality, division=Division(val=0, test=0))
    assert {Path(e.path).name for e in raised.value.problems} == named


@pytest.mark.parametrize(
    ('codes', 'names'),
    [
        ([111, 523, 999, -9999], ['continuous urban fabric', 'sea and ocean']),
        ([0, 10, 20, 30, 60], ['tree cover', 'shrubland', 'grassland', 'bare']),
        ([10, 20, 311], ['class 10', 'class 20', 'class 311']),
        ([0], ['class 0']),
    ],
)
def test_known_legends_give_names(tmp_path: Path, codes: list[int], names: list[str]) -> None:
    scenes(tmp_path / 'a', [np.full((1, 16, 16), 7, np.uint8)])
    scenes(tmp_path / 'lc', [np.resize(np.array(codes, np.int16), (1, 16, 16))])
    found = look(image=tmp_path / 'a', mask=tmp_path / 'lc')
    data = data_of(found)
    assert list(data['classes']) == names
    assert len(CORINE) == 44


@pytest.mark.parametrize(('side', 'cut'), [(600, 64), (300, None)])
def test_a_large_scene_is_cut(
    tmp_path: Path, rng: np.random.Generator, side: int, cut: int | None
) -> None:
    """So that there is a validation; of a small one there is none, and the score says so."""
    found = look(image=scenes(tmp_path / 'a', [rng.integers(1, 9, (1, side, side), np.uint8)]))
    data = data_of(found)
    assert data['division'].get('cut_px') == cut
    assert data['patch_size'] == (cut or 256)
    text = write_configuration(found, 'teacher', Path('x.yaml'), Path('output'))
    best = yaml.safe_load(text)['trainer']['callbacks'][0]['init_args']
    assert best['monitor'] == ('val_mIoU' if cut else 'train_mIoU')
    if cut:
        arguments = {**data, 'image': Modality(**data['image'])}
        arguments['division'] = Division(**data['division'])
        module = SceneFolderDataModule(**arguments)
        for stage in ('fit', 'test'):
            module.setup(stage)
        assert module.val_dataset
        assert module.test_dataset


def test_sar_alone_is_for_a_teacher(tmp_path: Path, rng: np.random.Generator) -> None:
    images = [rng.normal(-12, 3, (1, 40, 40)).astype(np.float32)]
    found = look(image_sar=scenes(tmp_path / 'sar', images, '_S1A_VV'))
    assert roles(found) == ('teacher',)
    text = write_configuration(found, 'teacher', Path('x.yaml'), Path('output'))
    model = yaml.safe_load(text)['model']['init_args']
    assert (model['modalities'], model['in_channels']) == ('sar', [1, 1])
    # a single scene leaves none for validation
    best = yaml.safe_load(text)['trainer']['callbacks'][0]['init_args']
    assert best['monitor'] == 'train_mIoU'


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int16', 'uint16', 'int32', 'float32'])
def test_codes_are_counted_in_all_pixels(
    tmp_path: Path, dtype: str, rng: np.random.Generator
) -> None:
    codes = np.array([-100 if np.dtype(dtype).kind != 'u' else 3, 7, 100], dtype)
    pixels = rng.choice(codes, (1, 300, 200))
    path = write(tmp_path / 'a.tif', pixels)
    values, counts = np.unique(pixels, return_counts=True)
    survey = survey_raster(str(path), count=True)
    assert survey.codes == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert not survey.is_measured
    measured = write(tmp_path / 'b.tif', rng.normal(size=(1, 100, 100)))
    assert survey_raster(str(measured), count=True).is_measured


@pytest.mark.parametrize(
    ('names', 'sensor', 'bands', 'masks'),
    [
        (
            [
                f'LC08_L2SP_193026_20200701_02_T1_{b}'
                for b in ('SR_B2', 'SR_B3', 'SR_B4', 'QA_PIXEL')
            ],
            'landsat-8-9-sr',
            ['SR_B2', 'SR_B3', 'SR_B4'],
            None,
        ),
        (
            ['T32UQA_20210710_B02_10m', 'T32UQA_20210710_B8A_20m', 'T32UQA_20210710_SCL_20m'],
            'sentinel-2-l2a',
            ['B02', 'B8A'],
            'SCL',
        ),
        (
            ['20210710_101112_3B_AnalyticMS_SR_8b', '20210710_101112_3B_udm2'],
            'planetscope-sr',
            8,
            'udm2',
        ),
    ],
)
def test_products_in_a_folder(
    tmp_path: Path,
    names: list[str],
    sensor: str,
    bands: list[str] | int,
    masks: str | None,
    rng: np.random.Generator,
) -> None:
    for name in names:
        count = 8 if '3B' in name else 1
        low, high = (8000, 20000) if 'LC08' in name else (1, 2) if 'udm2' in name else (100, 5000)
        pixels = rng.integers(low, high, (count, 32, 32)).astype(np.uint16)
        write(tmp_path / f'{name}.tif', pixels, crs='EPSG:32632')
    found = look(image=tmp_path)
    images = found.images['image']
    assert images.sensor
    assert images.sensor.name == sensor
    data = data_of(found)
    if isinstance(bands, int):
        assert len(data['image']['bands']) == bands
    else:
        assert list(data['image']['files']) == bands
    assert ('mask_cloud' in data) == (masks is not None)
    if masks is not None:
        assert masks in data['mask_cloud']['files']
    assert len(found.scenes) == 1
    assert not found.problems
