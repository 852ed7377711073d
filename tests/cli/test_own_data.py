"""From a folder of images to a map by commands alone: inspect, fit, test, map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import torchgeo.main

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.miniature import write_miniature_folder

OMBRIA = Path(__file__).parents[2].parent / 'shared/ombria'

#: What makes training a matter of seconds.
SHORT = (
    '--trainer.max_epochs=1',
    '--trainer.limit_train_batches=2',
    '--trainer.limit_val_batches=1',
    '--trainer.accelerator=cpu',
    '--data.init_args.batch_size=2',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('mine')
    return write_miniature_folder(root, columns=4, rows=2, side_px=64, progress=False)


def train_and_test(name: str, *roles: str) -> Path:
    """Train what a configuration describes, and test the last of it; its checkpoint."""
    for role in roles:
        config = f'{name}.yaml' if role == 'teacher' else f'{name}_student.yaml'
        main(['fit', '--config', config, *SHORT])
    checkpoint = Path(f'output/{name}/{role}/{role}.ckpt')
    main(['test', '--config', config, '--ckpt_path', str(checkpoint), '--trainer.accelerator=cpu',
          '--trainer.limit_test_batches=2'])  # fmt: skip
    reports = Path(f'output/{name}/{role}').rglob('test.json')
    assert 0 <= json.loads(next(reports).read_text())['all_mIoU'] <= 1
    return checkpoint


def write_configurations(folder: Path) -> None:
    sources = [str(folder / name) for name in ('sentinel2', 'sentinel1', 'corine.tif')]
    main(['inspect', *sources, '--output', 'mine.yaml'])


@pytest.mark.slow
def test_from_a_folder_to_maps(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_configurations(folder)
    checkpoint = train_and_test('mine', 'teacher', 'student')
    spec = torch.load(checkpoint, weights_only=True)['scene_spec']
    assert spec['optical_names'] == ('B02', 'B03', 'B04', 'B08', 'B11')
    scene = next((folder / 'sentinel2').glob('*_B02.tif'))
    optical = [str(scene).replace('B02', band) for band in spec['optical_names']]
    number = scene.stem.split('_')[2]
    sar = [
        str(next((folder / 'sentinel1').glob(f'*_{number}_{band}.tif'))) for band in ('VV', 'VH')
    ]
    main(['map', '--optical', *optical, '--sar', *sar, '--checkpoint', str(checkpoint),
          '--output', 'map.tif'])  # fmt: skip
    with rasterio.open('map.tif') as result, rasterio.open(scene) as image:
        assert (result.crs, result.transform, result.shape) == (
            (image.crs, image.transform, image.shape)
        )
        assert set(np.unique(result.read(1))) <= {*range(6), 255}


@pytest.mark.slow
def test_torchgeo_trains_by_what_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_configurations(folder)
    for config, role in (('mine.yaml', 'teacher'), ('mine_student.yaml', 'student')):
        torchgeo.main.main(['fit', '--config', config, *SHORT])
        state = torch.load(f'output/mine/{role}/{role}.ckpt', weights_only=True)
        assert state['scene_spec']['sar_names'] == ('VV', 'VH')


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'images'), [('optical', 'sentinel2'), ('sar', 'sentinel1')])
def test_one_kind_of_images_alone(
    kind: str, images: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = str(folder / 'corine.tif')
    main(['inspect', f'--{kind}', str(folder / images), '--labels', labels, '--output', 'one.yaml'])
    roles = ('teacher', 'student') if kind == 'optical' else ('teacher',)
    checkpoint = train_and_test('one', *roles)
    main(['map', f'--{kind}', str(folder / images), '--checkpoint', str(checkpoint),
          '--output', 'maps'])  # fmt: skip
    maps = sorted(Path('maps').glob('*_map.tif'))
    assert len(maps) == 8
    with rasterio.open(maps[0]) as result:
        assert set(np.unique(result.read(1))) <= {*range(6), 255}


@pytest.mark.slow
@pytest.mark.skipif(not OMBRIA.is_dir(), reason='the sample of OMBRIA is not there')
def test_from_real_pictures_to_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('CLOUDSEG_CACHE', str(tmp_path / 'cache'))
    main(['inspect', f'{OMBRIA}/OmbriaS2/*/AFTER', f'{OMBRIA}/OmbriaS1/*/AFTER',
          f'{OMBRIA}/OmbriaS1/*/MASK', '--output', 'flood.yaml'])  # fmt: skip
    checkpoint = train_and_test('flood', 'teacher', 'student')
    optical = sorted(OMBRIA.glob('OmbriaS2/test/AFTER/*.png'))[0]
    number = optical.stem.rpartition('_')[2]
    sar = OMBRIA / f'OmbriaS1/test/AFTER/S1_after_{number}.png'
    main(['map', '--optical', str(optical), '--sar', str(sar), '--checkpoint', str(checkpoint),
          '--output', 'flood.tif'])  # fmt: skip
    with rasterio.open('flood.tif') as result:
        assert result.shape == (128, 128)
        assert set(np.unique(result.read(1))) <= {0, 1, 255}


@pytest.mark.slow
def test_a_folder_by_its_configuration(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its scenes are checked and shown as those of a data set that has a name."""
    monkeypatch.chdir(tmp_path)
    write_configurations(folder)
    main(['index', 'mine.yaml', '--json', 'report.json'])
    report = json.loads(Path('report.json').read_text())
    assert report['ok']
    assert 4 < report['scenes'] == sum(report['scenes_by_split'].values())
    assert report['scenes_by_zone'].keys() == {'EPSG:32632', 'EPSG:32633'}
    main(['plot', 'mine.yaml', 'look.png', '--split', 'train'])
    with rasterio.open('look.png') as picture:
        assert picture.width > 2 * picture.height
    with pytest.raises(SystemExit):
        main(['plot', 'mine.yaml', 'more.png', '--index', '9'])
    assert 'index=9' in capsys.readouterr().err
    config = Path('mine.yaml').read_text()
    Path('mine.yaml').write_text(config.replace('codes: [312]', 'codes: [311]'))
    with pytest.raises(SystemExit):
        main(['index', 'mine.yaml', '--json', 'report.json', '--overwrite'])
    report = json.loads(Path('report.json').read_text())
    assert all('label code(s) 312' in problem['found'] for problem in report['problems'])
    assert report['problems']


@pytest.mark.slow
def test_what_a_network_makes_of_a_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, images in (('optical', 'sentinel2'), ('sar', 'sentinel1')):
        labels = str(folder / 'corine.tif')
        main(['inspect', f'--{kind}', str(folder / images), '--labels', labels,
              '--output', f'{kind}.yaml'])  # fmt: skip
        main(['fit', '--config', f'{kind}.yaml', *SHORT])
        main(['plot', f'{kind}.yaml', f'{kind}.png', '--checkpoint',
              f'output/{kind}/teacher/teacher.ckpt'])  # fmt: skip
        with rasterio.open(f'{kind}.png') as picture:
            assert picture.width > 2 * picture.height
