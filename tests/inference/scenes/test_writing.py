"""Maps through Lightning, on one process and on two."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import lightning_run
import numpy as np
import pytest
import rasterio
from helpers import read
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from torchgeo_cloudseg.inference import (
    MapDataModule,
    MapOptions,
    PredictionWriter,
    ResumeError,
    RowBlockDataset,
    predict_scene,
)


@pytest.fixture
def inputs(make_scene, write_raster) -> tuple[str, str]:
    """Two scenes of sizes that do not divide, with a hole in one."""
    scene = make_scene(655, 243, 'n_1')
    pixels = scene.optical_pixels.copy()
    pixels[:, 200:300, :120] = 0
    write_raster(scene.optical, pixels, nodata=0)
    make_scene(300, 301, 'n_2')
    folder = scene.optical.parent
    return f'{folder}/*_optical.tif', f'{folder}/*_sar.tif'


def expected(inputs: tuple[str, str], folder: Path, stride: int = 80, blend: str = 'average'):
    """The maps of the same scenes, mapped one after the other."""
    options = MapOptions(stride, blend=blend, products=['probabilities'])
    maps = {}
    for name in ('n_1', 'n_2'):
        optical, sar = (source.replace('*', name) for source in inputs)
        maps[name] = predict_scene(
            lightning_run.Brightness(0.3), optical, sar, folder / f'{name}.tif',
            spec=lightning_run.SPEC, options=options, progress=False,
        )  # fmt: skip
    return maps


def compare(
    maps: dict, folder: Path, products: tuple[str, ...] = ('classes', 'probabilities')
) -> None:
    for name, files in maps.items():
        for product in products:
            suffix = '' if product == 'classes' else f'_{product}'
            path = folder / f'{name}_optical_map{suffix}.tif'
            np.testing.assert_array_equal(read(path), read(files[product]))
            with rasterio.open(path) as raster, rasterio.open(files[product]) as other:
                assert raster.transform == other.transform
    assert not list(folder.glob('*.parts'))


@pytest.mark.slow
@pytest.mark.parametrize('num_workers', [0, 2])
def test_same_map_as_predict_scene(inputs, tmp_path: Path, num_workers: int) -> None:
    lightning_run.predict(*inputs, str(tmp_path / 'maps'), num_workers=num_workers)
    compare(expected(inputs, tmp_path), tmp_path / 'maps')


def test_probabilities_will_do(inputs, tmp_path: Path) -> None:
    lightning_run.predict(*inputs, str(tmp_path / 'maps'), logits=False)
    maps = expected(inputs, tmp_path)
    compare(maps, tmp_path / 'maps', products=('classes',))
    np.testing.assert_allclose(
        read(tmp_path / 'maps' / 'n_1_optical_map_probabilities.tif'),
        read(maps['n_1']['probabilities']),
        rtol=1e-6,
    )


def test_windows_of_the_task_are_taken(inputs, tmp_path: Path) -> None:
    lightning_run.predict(*inputs, str(tmp_path / 'maps'), products=(), stride=120, blend='hann')
    maps = expected(inputs, tmp_path, stride=120, blend='hann')
    compare(maps, tmp_path / 'maps', products=('classes',))


@pytest.mark.slow
def test_two_processes_give_the_same_file_as_one(inputs, tmp_path: Path) -> None:
    script = Path(lightning_run.__file__)
    result = subprocess.run(
        [sys.executable, script, *inputs, tmp_path / 'maps', '2'],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    compare(expected(inputs, tmp_path), tmp_path / 'maps')


@pytest.mark.slow
def test_interrupted_run_resumes(inputs, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / 'maps'
    calls = []
    write = PredictionWriter.write_on_batch_end

    def interrupted(self, *args) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError('pulled the plug')
        write(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionWriter, 'write_on_batch_end', interrupted)
        with pytest.raises(RuntimeError, match='plug'):
            lightning_run.predict(*inputs, str(folder))
    assert not list(folder.glob('*.tif'))
    assert len(list(folder.glob('*.parts/band-*.npz'))) == 4
    task = lightning_run.predict(*inputs, str(folder), resume=True)
    done = task.model.windows
    compare(expected(inputs, tmp_path), folder)
    # everything is there: nothing is computed
    assert lightning_run.predict(*inputs, str(folder), resume=True).model.windows == 0
    with pytest.raises(FileExistsError, match='exists already'):
        lightning_run.predict(*inputs, str(folder))
    again = lightning_run.predict(*inputs, str(folder), overwrite=True)
    assert 0 < done < again.model.windows
    (folder / 'n_1_optical_map.tif.parts').mkdir()
    (folder / 'n_1_optical_map.tif.parts' / 'manifest.json').write_text('{"network": "other"}')
    with pytest.raises(ResumeError, match='another run'):
        lightning_run.predict(*inputs, str(folder), resume=True)


@pytest.mark.slow
@pytest.mark.parametrize('when', ['looked for', 'planned', 'read'])
def test_a_broken_scene_does_not_stop_the_others(
    when: str, inputs, make_scene, tmp_path: Path
) -> None:
    folder, good = tmp_path / 'maps', expected(inputs, tmp_path)
    broken = make_scene(300, 301, 'n_3').optical
    del good['n_2']
    second = broken.with_name('n_2_optical.tif')
    if when == 'planned':
        second.write_bytes(second.read_bytes()[:400])
        broken.unlink()
    elif when == 'looked for':
        # nobody knows which SAR image it has
        second.unlink()
        broken.rename(broken.with_name('other_optical.tif'))
    elif when == 'read':
        broken.unlink()

    class Remover(lightning_run.Task):
        """Removes a file of a scene that was planned."""

        def predict_step(self, batch, batch_idx):
            second.unlink(missing_ok=True)
            return super().predict_step(batch, batch_idx)

    options = MapOptions(80, blend='average', products=['probabilities'])
    data = MapDataModule(*inputs, str(folder), options=options, blocks_per_sample=2)
    trainer = Trainer(
        accelerator='cpu', callbacks=[PredictionWriter()], logger=False, enable_progress_bar=False
    )
    with pytest.raises(ExceptionGroup, match='1 of 2 scenes were not mapped') as caught:
        trainer.predict(Remover() if when == 'read' else lightning_run.Task(), data)
    (problem,) = caught.value.exceptions
    assert 'n_2' in str(problem) or 'other_optical' in str(problem)
    compare(good, folder)


def test_arguments_that_do_not_fit(inputs, tmp_path: Path) -> None:
    def run(data: LightningDataModule, task=None) -> None:
        trainer = Trainer(accelerator='cpu', callbacks=[PredictionWriter()], logger=False)
        trainer.predict(task or lightning_run.Task(), data)

    folder = str(tmp_path / 'maps')
    with pytest.raises(ValueError, match=r"otherwise .*'stride': \(80, 120\)"):
        run(MapDataModule(*inputs, folder, options=MapOptions(stride=120, blend='average')))
    with pytest.raises(ValueError, match=r"'blend': \('average', 'gaussian'\)"):
        run(MapDataModule(*inputs, folder, options=MapOptions(blend='gaussian')))
    for resolution in ('optical', 20):
        options = MapOptions(80, blend='average', resolution=resolution)
        with pytest.raises(ValueError, match='label grid only'):
            run(MapDataModule(*inputs, folder, options=options))
    # a task that has another grid than the maps are planned for
    spec = replace(lightning_run.SPEC, label_scale=Fraction(1, 2))
    with pytest.raises(ValueError, match='pixels for a sample'):
        run(MapDataModule(*inputs, folder, spec=spec))
    options = MapOptions(80, blend='average', products=['reconstruction'])
    with pytest.raises(ValueError, match='predict_scene only'):
        run(MapDataModule(*inputs, folder, options=options))
    silent = lightning_run.Task()
    silent.scene_spec = None
    with pytest.raises(ValueError, match='Give `spec`'):
        run(MapDataModule(*inputs, folder), silent)
    loader = DataLoader([{'image': 0}])
    with pytest.raises(TypeError, match=r'found list\. Use MapDataModule'):
        run(loader)


def test_row_blocks_lie_on_the_plan(inputs, tmp_path: Path) -> None:
    data = MapDataModule(
        *inputs,
        str(tmp_path),
        spec=lightning_run.SPEC,
        options=MapOptions(stride=80, blend='average'),
        blocks_per_sample=2,
    )
    dataset = data.predict_dataloader().dataset
    assert isinstance(dataset, RowBlockDataset)
    # 655 px: padded to 660, rows of windows at 0, 80, ..., 480, 500; 300 px: 0, 80, 140
    assert [tuple(place) for place in dataset.places] == [
        (0, 0, 2), (0, 2, 4), (0, 4, 6), (0, 6, 8), (1, 0, 2), (1, 2, 3),
    ]  # fmt: skip
    sample = dataset[1]
    assert sample['image'].shape == (4, 80 + 240, 250)
    assert sample['image_sar'].shape == (2, 320, 250)
    assert sample['place'].tolist() == [0, 2, 4]
    assert not sample['mask_valid'][130:180, :100].any()
