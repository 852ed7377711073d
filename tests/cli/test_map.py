"""Maps, pictures and clouds, as typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from helpers import hear_ctrl_c, save_untrained
from lightning.pytorch import Trainer
from matplotlib.image import imread
from rasterio.transform import Affine

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.datasets import WHUOPTSAR
from torchgeo_cloudseg.datasets.m3mcr.layout import LEGENDS
from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask, load_mapper

CONFIGS = Path(__file__).parents[2] / 'torchgeo_cloudseg/configs/m3mcr'


@pytest.fixture(scope='module')
def student_file(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a student after a step on level 2 of the classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('student') / 'student.ckpt'
    trainer = Trainer(
        max_steps=1, accelerator='cpu', logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    data = M3MCRDataModule(root=miniature, batch_size=2, patch_size=80, classes='level2')
    trainer.fit(CloudSegStudentTask(backbone='mit_b0', num_classes=11), data)
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope='module')
def scenes(miniature: Path) -> dict[str, list[Path]]:
    kinds = ('planet_cloudy', 'planet_cloudfree', 'S1', 'landcover')
    return {kind: sorted((miniature / 'test').glob(f'{kind}_*/*/*.tif')) for kind in kinds}


@pytest.mark.slow
def test_checkpoint_knows_what_it_was_trained_on(student_file: Path, tmp_path: Path) -> None:
    network, spec = load_mapper(student_file)
    assert network.config.num_classes == 11
    legend = LEGENDS['level2']
    assert spec.class_names == tuple(entry.name for entry in legend)
    assert spec.class_colors == tuple(entry.color for entry in legend)
    assert spec.sar_range == ((-25.0, -32.5), (0.0, 0.0))
    assert float(spec.label_scale) == 0.3

    # another has been trained on nothing
    path = save_untrained(CloudSegTeacherTask(backbone='mit_b0'), tmp_path / 'other.ckpt')
    with pytest.raises(ValueError, match=r'other\.ckpt: does not state.*cloudseg convert'):
        load_mapper(path)


@pytest.mark.slow
def test_map_lies_on_the_grid_of_the_labels(
    student_file: Path, scenes: dict[str, list[Path]], tmp_path: Path
) -> None:
    output = tmp_path / 'map.tif'
    inputs = [f'--optical={scenes["planet_cloudy"][0]}', f'--sar={scenes["S1"][0]}']
    products = '--products=[confidence,quicklook]'
    # one product needs no brackets; a picture is not a folder
    command = ['map', *inputs, f'--checkpoint={student_file}', '--products=confidence']
    with pytest.raises(SystemExit):
        main([*command, f'--output={tmp_path / "map.png"}'])
    assert not list(tmp_path.iterdir())
    main([*command, f'--output={output}'])
    assert len(list(tmp_path.glob('*.tif'))) == 2
    command = ['map', *inputs, f'--checkpoint={student_file}', f'--output={output}', products]
    main([*command, '--overwrite'])
    with rasterio.open(output) as written, rasterio.open(scenes['landcover'][0]) as label:
        assert written.crs == label.crs
        assert written.shape == label.shape
        # the files' own grids start up to 2 m apart
        offset = np.subtract(written.transform[:6], label.transform[:6])
        assert np.abs(offset).max() <= 2
        assert json.loads(written.tags()['CLASS_NAMES'])['0'] == LEGENDS['level2'][0].name
        assert written.colormap(1)[0][:3] == LEGENDS['level2'][0].color
    assert (tmp_path / 'map_confidence.tif').is_file()

    main(['plot', str(output), str(tmp_path / 'look.png')])
    for picture in ('map.png', 'look.png'):
        assert imread(tmp_path / picture).std() > 0.05


@pytest.mark.slow
def test_interrupted_as_typed(student_file: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    place = {'driver': 'GTiff', 'crs': 'EPSG:32646', 'width': 200}
    optical, sar = tmp_path / 'optical.tif', tmp_path / 'sar.tif'
    for path, pixels in (
        (optical, rng.integers(1, 9000, (4, 6000, 200), dtype=np.uint16)),
        (sar, rng.uniform(-30, 0, (2, 6000, 200)).astype(np.float32)),
    ):
        with rasterio.open(
            path, 'w', count=len(pixels), height=6000, dtype=pixels.dtype,
            transform=Affine(3, 0, 3e5, 0, -3, 2e6), **place,
        ) as raster:  # fmt: skip
            raster.write(pixels)
    output = tmp_path / 'map.tif'
    command = ['map', f'--optical={optical}', f'--sar={sar}', f'--output={output}']
    command.append(f'--checkpoint={student_file}')
    process = subprocess.Popen(
        [sys.executable, '-c', 'from torchgeo_cloudseg.cli import main; main()', *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    while process.poll() is None and not list(tmp_path.glob('map.tif.parts/band-*.npz')):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert 'interrupted. Finished rows are kept' in errors
    assert 'Traceback' not in errors
    assert not output.exists()


@pytest.mark.slow
def test_several_scenes_in_one_call(
    student_file: Path, scenes: dict[str, list[Path]], tmp_path: Path
) -> None:
    pattern = scenes['planet_cloudy'][0].parent / '*.tif'
    command = ['map', f'--optical={pattern}', f'--sar={scenes["S1"][0].parent}']
    main([*command, f'--checkpoint={student_file}', f'--output={tmp_path / "maps"}'])
    # finished maps are kept
    first = tmp_path / 'maps' / f'{scenes["planet_cloudy"][0].stem}_map.tif'
    stamp = first.stat().st_mtime_ns
    # a list in brackets is the same as a pattern
    optical = ','.join(map(str, scenes['planet_cloudy']))
    command = ['map', f'--optical=[{optical}]', f'--sar={scenes["S1"][0].parent}']
    main([*command, f'--checkpoint={student_file}', f'--output={first.parent}', '--resume'])
    assert first.stat().st_mtime_ns == stamp
    names = {path.name for path in (tmp_path / 'maps').glob('*.tif')}
    assert names == {f'{path.stem}_map.tif' for path in scenes['planet_cloudy']}


@pytest.mark.slow
def test_dates_of_a_place_become_one_map(
    student_file: Path,
    scenes: dict[str, list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A cloudy and a clear day over two places; SAR images serve both days."""
    days = [scenes['planet_cloudy'][0].parent, scenes['planet_cloudfree'][0].parent]
    command = ['map', f'--sar={scenes["S1"][0].parent}', f'--checkpoint={student_file}']
    command += ['--combine_dates', '--products=[stac,confidence]']
    report = tmp_path / 'report.json'
    several = [*command, f'--optical=[{days[0]},{days[1]}]', f'--output={tmp_path / "maps"}']
    main([*several, f'--json={report}'])
    maps = sorted((tmp_path / 'maps').glob('*_map.tif'))
    assert [path.stem for path in maps] == [
        f'{path.stem}_map' for path in scenes['planet_cloudfree']
    ]
    told = json.loads(report.read_text())['scenes']
    assert [[Path(pair[0]) for pair in scene['further']] for scene in told] == [
        [path] for path in scenes['planet_cloudy']
    ]
    item = json.loads(maps[0].with_suffix('.json').read_text())
    assert str(scenes['planet_cloudy'][0]) in item['properties']['processing:lineage']
    stamps = [path.stat().st_mtime_ns for path in maps]
    main([*several, '--resume'])
    assert [path.stat().st_mtime_ns for path in maps] == stamps

    # one file, for images in any order
    pair = [scenes[kind][0] for kind in ('planet_cloudy', 'planet_cloudfree')]
    output = tmp_path / 'map.tif'
    main([*command, f'--optical=[{pair[0]},{pair[1]}]', f'--output={output}'])
    with rasterio.open(output) as one, rasterio.open(maps[0]) as other:
        np.testing.assert_array_equal(one.read(), other.read())
    with pytest.raises(SystemExit):
        main([*several[:-1], f'--output={tmp_path / "all.tif"}'])
    errors = capsys.readouterr().err
    assert 'one map of 2 date(s)' in errors
    assert all(scenes['planet_cloudfree'][i].name in errors for i in (0, 1))
    assert 'Give dates of the same place' in errors


@pytest.mark.slow
def test_lightning_writes_the_same_maps(
    student_file: Path, scenes: dict[str, list[Path]], tmp_path: Path
) -> None:
    optical, sar = scenes['planet_cloudy'][0], scenes['S1'][0]
    output = tmp_path / 'map.tif'
    inputs = [f'--optical={optical}', f'--sar={sar}', f'--checkpoint={student_file}']
    main(['map', *inputs, f'--output={output}', '--stride=80', '--blend=average'])
    # a checkpoint that no command line has written tells which task it is
    main(
        [
            'predict',
            f'--config={CONFIGS / "predict.yaml"}',
            f'--ckpt_path={student_file}',
            f'--data.init_args.optical={optical}',
            f'--data.init_args.sar={sar}',
            f'--data.init_args.output_dir={tmp_path / "maps"}',
            '--trainer.accelerator=cpu',
        ]
    )
    (written,) = (tmp_path / 'maps').glob('*_map.tif')
    with rasterio.open(output) as one, rasterio.open(written) as other:
        np.testing.assert_array_equal(one.read(), other.read())
        assert (one.transform, one.crs) == (other.transform, other.crs)


@pytest.mark.slow
def test_errors_leave_no_half_file(
    student_file: Path,
    scenes: dict[str, list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    optical, sar = scenes['planet_cloudy'][0], scenes['S1'][0]
    output = tmp_path / 'map.tif'
    cut = tmp_path / 'cut.tif'
    cut.write_bytes(optical.read_bytes()[:100_000])
    for arguments, expected in (
        ([f'--optical={tmp_path / "none.tif"}', f'--sar={sar}'], 'none.tif'),
        ([f'--optical={cut}', f'--sar={sar}'], 'cut.tif'),
        ([f'--optical={optical}', f'--sar={sar}', '--sar_bands=[1]'], 'for 2'),
        ([f'--optical={optical}', f'--sar={sar}', '--sar_bands=[1,7]'], 'S1'),
        ([f'--optical={optical.parent}', f'--sar={sar.parent}'], 'Give a folder'),
        ([f'--optical={optical}', f'--sar={sar}', '--device=nowhere'], 'another device'),
        # four bands, where two were learnt
        ([f'--optical={optical}', f'--sar={optical}'], 'SAR bands'),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(['map', *arguments, f'--checkpoint={student_file}', f'--output={output}'])
        assert stopped.value.code == 1
        assert expected in capsys.readouterr().err
        assert not output.exists()


@pytest.mark.slow
def test_samples_are_plotted(
    miniature: Path, student_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / 'sample.png'
    main(['plot', str(miniature), str(picture)])
    width = imread(picture).shape[1]
    command = ['plot', str(miniature), str(picture), '--overwrite']
    main([*command, '--index=1', f'--checkpoint={student_file}'])
    # prediction and reconstruction are there, too
    assert imread(picture).shape[1] > 1.3 * width
    with pytest.raises(SystemExit):
        main([*command, '--index=2'])
    assert 'expected 0 to 1' in capsys.readouterr().err
    # a picture of the other data set, on which this checkpoint has nothing to say
    whu = tmp_path / 'whu'
    write_miniature_whuoptsar(whu)
    main(['plot', str(whu), str(tmp_path / 'new' / 'whu.png'), '--split=train'])
    assert imread(tmp_path / 'new' / 'whu.png').std() > 0.05
    with pytest.raises(SystemExit):
        main(['plot', str(whu), *command[2:], '--split=train', f'--checkpoint={student_file}'])
    assert 'knows 4 optical and 2 SAR bands and 11 classes' in capsys.readouterr().err


@pytest.mark.slow
def test_students_of_sheets_without_clouds_are_shown_synthetic_ones(tmp_path: Path) -> None:
    """A teacher is trained on the cloud-free image, and shown that."""
    write_miniature_whuoptsar(tmp_path / 'whu')
    widths = {}
    for kind in (CloudSegTeacherTask, CloudSegStudentTask):
        task = kind(backbone='mit_b0', in_channels=(4, 1), num_classes=7)
        task.scene_spec = WHUOPTSAR.published_spec(num_classes=7)
        save_untrained(task, tmp_path / 'task.ckpt')
        picture = tmp_path / f'{kind.__name__}.png'
        command = ['plot', str(tmp_path / 'whu'), str(picture), '--split=train']
        main([*command, f'--checkpoint={tmp_path / "task.ckpt"}'])
        widths[kind] = imread(picture).shape[1]
    # beside image, SAR, label and prediction: cloud-free image, reconstruction and clouds
    assert widths[CloudSegStudentTask] / widths[CloudSegTeacherTask] == pytest.approx(
        7 / 4, rel=0.1
    )


def test_clouds(scenes: dict[str, list[Path]], tmp_path: Path) -> None:
    clear, cloudy = scenes['planet_cloudfree'][0], tmp_path / 'cloudy.tif'
    main(['clouds', str(clear), str(cloudy), '--preset=thick', '--cover=0.4', '--seed=3'])
    with rasterio.open(clear) as before, rasterio.open(cloudy) as after:
        assert (before.profile['dtype'], before.crs) == (after.profile['dtype'], after.crs)
        assert before.transform == after.transform
        difference = after.read().astype(float) - before.read()
    with rasterio.open(tmp_path / 'cloudy_mask.tif') as mask:
        clouds = mask.read(1)
    assert clouds.mean() == pytest.approx(0.4, abs=0.01)
    assert difference[:, clouds == 1].mean() > 1000
    with pytest.raises(SystemExit) as stopped:
        main(['clouds', str(clear), str(cloudy)])
    assert stopped.value.code == 1
    main(['clouds', str(clear), str(cloudy), '--overwrite'])
    shares = []
    for seed in range(8):
        sky = ['--cover=natural', f'--seed={seed}', '--feature_size=20000']
        main(['clouds', str(clear), str(cloudy), '--overwrite', *sky])
        with rasterio.open(tmp_path / 'cloudy_mask.tif') as mask:
            shares.append(mask.read(1).mean())
    assert min(shares) < 0.2
    assert max(shares) > 0.6  # the most that the preset has


@pytest.mark.slow
def test_real_scene_is_mapped_onto_its_label_grid(
    real_root: Path, student_file: Path, tmp_path: Path
) -> None:
    optical, sar, label = (
        next(real_root.rglob(f'{kind}_*.tif')) for kind in ('planet_cloudy', 'S1', 'landcover')
    )
    output = tmp_path / 'map.tif'
    command = ['map', f'--optical={optical}', f'--sar={sar}', '--products=[quicklook]']
    main([*command, f'--checkpoint={student_file}', f'--output={output}'])
    with rasterio.open(output) as written, rasterio.open(label) as truth:
        assert (written.crs, written.shape) == (truth.crs, truth.shape)
        assert written.transform == truth.transform
    assert imread(tmp_path / 'map.png').std() > 0.05
