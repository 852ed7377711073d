"""Nothing of the user's is replaced, one run at a time writes a map, and old work is recognized."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from helpers import read
from scene_process import Brightness, start

from torchgeo_cloudseg.datasets.products import Faults
from torchgeo_cloudseg.inference import (
    MapOptions,
    OutputError,
    ResumeError,
    ScenePair,
    find_scenes,
    predict_scene,
    predict_scenes,
)
from torchgeo_cloudseg.inference.scenes.batch import map_batch
from torchgeo_cloudseg.rasters import SceneError

#: Maps after one another with these keep three row blocks when the network gives up.
SMALL = {'progress': False, 'batch_size': 1}


class Tired(Brightness):
    """Gives up after some windows."""

    def forward(self, optical: torch.Tensor, sar: torch.Tensor) -> torch.Tensor:
        if self.windows >= 4:
            raise KeyboardInterrupt
        return super().forward(optical, sar)


def interrupt(*args: Path, **kwargs: object) -> Path:
    """Begin a map, and leave row blocks behind."""
    with pytest.raises(KeyboardInterrupt):
        predict_scene(Tired(0.3), *args, **SMALL, **kwargs)
    parts = args[2].with_name(f'{args[2].name}.parts')
    assert len(list(parts.glob('band-*.npz'))) >= 3
    return parts


@pytest.mark.parametrize('product', ['confidence', 'probabilities'])
def test_a_product_never_replaces_an_input(
    make_scene, network, spec, tmp_path: Path, product: str
) -> None:
    scene = make_scene()
    sar = scene.sar.rename(scene.sar.with_name(f'map_{product}.tif'))
    before = sar.read_bytes()
    for given in (sar, make_vrt(sar), make_link(sar)):
        with pytest.raises(ValueError, match=r'found the same file twice.*its own input'):
            predict_scene(
                network, scene.optical, given, sar.with_name('map.tif'), spec=spec,
                options=MapOptions(products=[product]), overwrite=True,
            )  # fmt: skip
    assert sar.read_bytes() == before
    assert not list(tmp_path.rglob('map.tif*'))


def make_vrt(path: Path) -> Path:
    vrt = path.with_name('virtual.vrt')
    rasterio.shutil.copy(path, vrt, driver='VRT')
    return vrt


def make_link(path: Path) -> Path:
    link = path.with_name('link.tif')
    link.hardlink_to(path)
    return link


def test_what_is_there_is_kept_unless_told_otherwise(
    make_scene, network, spec, tmp_path: Path
) -> None:
    scene, output = make_scene(), tmp_path / 'map.tif'
    args = network, scene.optical, scene.sar, output
    kwargs = {'spec': spec, 'options': MapOptions(products=['confidence']), 'progress': False}
    mine = tmp_path / 'map_confidence.tif'
    mine.write_text('my own')
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r'map_confidence\.tif: exists already'):
            predict_scene(*args, **kwargs, resume=resume)
    assert mine.read_text() == 'my own'
    assert list(tmp_path.glob('map*')) == [mine]
    # what GDAL would take for part of the map does not stay beside another one
    for ending in ('.ovr', '.msk', '.aux.xml'):
        (tmp_path / f'map.tif{ending}').write_text('of an older map')
    with pytest.raises(FileExistsError, match=r'exists already \(and'):
        predict_scene(*args, **kwargs)
    predict_scene(*args, **kwargs, overwrite=True)
    assert sorted(file.name for file in tmp_path.glob('map*')) == [
        'map.tif', 'map.tif.aux.xml', 'map_confidence.tif',
    ]  # fmt: skip
    assert 'older' not in (tmp_path / 'map.tif.aux.xml').read_text()
    # done is done, but only for the same run
    stamp = output.stat().st_mtime_ns
    predict_scene(*args, **kwargs, resume=True)
    network.levels += 0.01
    with pytest.raises(FileExistsError):
        predict_scene(*args, **kwargs, resume=True)
    assert output.stat().st_mtime_ns == stamp


def test_names_of_scenes_stay_in_the_folder(make_scene, network, spec, tmp_path: Path) -> None:
    scene, folder = make_scene(), tmp_path / 'a' / 'b' / 'maps'
    paths = str(scene.optical), str(scene.sar)
    # no system has names as long as the latter; they differ at the end
    names = '../../x', '/etc/y', '..', 'a\nb', 'x' * 9999, '\N{SNOWMAN}' * 9999
    written = predict_scenes(
        network, [ScenePair(name, *paths) for name in names], folder, spec=spec, progress=False
    )
    files = {files['classes'] for files in written.values()}
    assert len(files) == 6
    assert {file.parent for file in files} == {folder}
    assert {file.resolve() for file in tmp_path.rglob('*_map.tif')} == files
    with pytest.raises(ValueError, match='same file twice'):
        predict_scenes(
            network, [ScenePair(name, *paths) for name in ('a/b', 'a_b')], folder, spec=spec
        )


@pytest.mark.slow
def test_two_runs_do_not_mix(make_scene, network, spec, tmp_path: Path) -> None:
    scene, output = make_scene(900, 200), tmp_path / 'map.tif'
    args = str(scene.optical), str(scene.sar), str(output)
    process, result = start(*args, spec=spec, delay_s=0.2)
    lock = tmp_path / '.map.tif.lock'
    while not (lock.exists() and lock.stat().st_size):
        time.sleep(0.01)
    owner = json.loads(lock.read_text())
    assert owner['process'] == process.pid
    with pytest.raises(OutputError, match=rf'process {process.pid} on .* is writing it.*--wait'):
        predict_scene(network, *args, spec=spec, overwrite=True)
    # who waits finds the other's map
    with pytest.raises(FileExistsError):
        predict_scene(network, *args, spec=spec, wait=True)
    assert result.recv() == 'done'
    process.join()
    whole = read(output)
    assert not lock.exists()
    # who is killed leaves a lock that does not count
    process, _ = start(*args, spec=spec, delay_s=0.2, overwrite=True)
    while not list(tmp_path.glob('map.tif.parts/band-*.npz')):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert lock.exists()
    predict_scene(Brightness(0.3), *args, spec=spec, overwrite=True, resume=True)
    np.testing.assert_array_equal(read(output), whole)
    assert list(tmp_path.glob('*map*')) == [output, output.with_name('map.tif.aux.xml')]


def test_lock_of_another_machine_counts(make_scene, network, spec, tmp_path: Path) -> None:
    scene, lock = make_scene(), tmp_path / '.map.tif.lock'
    owner = {'host': 'elsewhere', 'numbering': '', 'process': os.getpid(), 'start': 1}
    lock.write_text(json.dumps(owner))
    with pytest.raises(OutputError, match=r'on elsewhere.*remove .*\.map\.tif\.lock'):
        predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    lock.unlink()
    predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)


def test_rows_of_other_pixels_are_not_taken(make_scene, wobbly, spec, tmp_path: Path) -> None:
    scene = make_scene(900, 160)
    vrt, output = make_vrt(scene.optical), tmp_path / 'map.tif'
    args = vrt, scene.sar, output
    parts = interrupt(*args, spec=spec)
    # the source of the VRT, not the VRT itself
    with rasterio.open(scene.optical, 'r+') as raster:
        raster.write(raster.read()[:, ::-1])
    with pytest.raises(ResumeError, match='optical'):
        predict_scene(wobbly, *args, spec=spec, resume=True)
    # nor where nothing tells any more what was begun
    (parts / 'manifest.json').unlink()
    predict_scene(wobbly, *args, spec=spec, resume=True)
    expected = predict_scene(wobbly, *args[:2], tmp_path / 'expected.tif', spec=spec)
    np.testing.assert_array_equal(read(output), read(expected['classes']))


def test_rows_of_the_same_run_are_taken_without_a_manifest(
    make_scene, wobbly, spec, tmp_path: Path
) -> None:
    scene = make_scene(900, 160)
    args = scene.optical, scene.sar, tmp_path / 'map.tif'
    parts = interrupt(*args, spec=spec)
    (parts / 'manifest.json').unlink()
    predict_scene(wobbly, *args, spec=spec, resume=True, **SMALL)
    done = wobbly.windows
    predict_scene(wobbly, *args[:2], tmp_path / 'expected.tif', spec=spec, **SMALL)
    assert done < wobbly.windows - done
    np.testing.assert_array_equal(read(args[2]), read(tmp_path / 'expected.tif'))


@pytest.mark.parametrize('name', ['notes.txt', 'manifest.json', 'band-000001.npz', 'band-x.npz'])
@pytest.mark.parametrize('resume', [False, True])
def test_folders_of_others_are_left_alone(
    make_scene, network, spec, tmp_path: Path, name: str, resume: bool
) -> None:
    scene, parts = make_scene(), tmp_path / 'map.tif.parts'
    parts.mkdir()
    (parts / name).write_text('{"mine": true}')
    args = network, scene.optical, scene.sar, tmp_path / 'map.tif'
    with pytest.raises(OutputError, match=f'{name}: found something that no run has left'):
        predict_scene(*args, spec=spec, resume=resume)
    assert [file.name for file in parts.iterdir()] == [name]


def test_a_batch_goes_on(make_scene, network, spec, tmp_path: Path) -> None:
    good, dot = make_scene(), make_scene(1, 1, 'dot')
    broken = shutil.copy(good.optical, tmp_path / 'broken [red].tif')
    Path(broken).write_bytes(Path(broken).read_bytes()[:3000])
    taken = tmp_path / 'maps' / 'taken_map.tif'
    taken.mkdir(parents=True)
    scenes = [
        ScenePair('dot', str(dot.optical), str(dot.sar)),
        ScenePair('broken', str(broken), str(good.sar)),
        ScenePair('missing', str(tmp_path / 'none.tif'), str(good.sar)),
        ScenePair('good', str(good.optical), str(good.sar)),
    ]
    report = map_batch(network, scenes, tmp_path / 'maps', spec=spec, progress=False)
    assert set(report.written) == {'good'}
    facts = {scene['name']: scene for scene in json.loads(json.dumps(report.to_dict()))['scenes']}
    assert facts['good']['problem'] is None
    assert facts['broken']['problem']['file'] == str(broken)
    assert facts['missing']['problem']['found'] == 'no such file'
    assert 'dot' in facts['dot']['problem']['text']


def test_what_is_broken_where_scenes_are_looked_for(
    make_scene, network, spec, tmp_path: Path
) -> None:
    images, good = tmp_path / 'images', make_scene()
    images.mkdir()
    for side, path in (('optical', good.optical), ('sar', good.sar)):
        shutil.copy(path, images / f'good_{side}.tif')
    product = images / 'S2A_MSIL2A_20200701T101559_N0400.SAFE'
    (product / 'GRANULE').mkdir(parents=True)
    (product / 'MTD_MSIL2A.xml').write_text('<a/>')
    with rasterio.open(good.optical) as raster:
        profile, values = raster.profile, raster.read()
    # bands of one image, that do not lie upon each other
    place = profile['transform']
    for band, shift in (('B02', 0), ('B03', 5)):
        moved = {**profile, 'count': 1, 'transform': place * place.translation(shift, 0)}
        path = images / 'tile' / f'{band}.tif'
        path.parent.mkdir(exist_ok=True)
        with rasterio.open(path, 'w', **moved) as raster:
            raster.write(values[:1])
    items = [
        {'type': 'Feature', 'id': 'item', 'assets': {'B02': {'title': 'no href'}}},
        {'type': 'Feature', 'assets': 7},
    ]
    (images / 'items.json').write_text(json.dumps({'features': items}))
    (images / 'bad.json').write_text('{')
    shutil.copy(make_scene(1, 1, 'dot').optical, images / 'dot_optical.tif')
    local = images / 'local_optical.tif'
    profile |= {'crs': 'LOCAL_CS["site",UNIT["metre",1]]'}
    with rasterio.open(local, 'w', **profile) as raster:
        raster.write(values)
    optical = [
        images / 'good_optical.tif', images / 'dot_optical.tif', local, images / 'none.tif',
        product, *(images / 'tile').iterdir(), images / 'items.json', images / 'bad.json',
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError, match=r'none\.tif'):
        find_scenes(optical, images / 'good_sar.tif')
    with pytest.raises(SceneError, match='no bands'):
        find_scenes(product, images / 'good_sar.tif')
    faults: Faults = {}
    scenes = find_scenes(optical, images / 'good_sar.tif', faults=faults)
    folder = tmp_path / 'maps'
    report = map_batch(network, scenes, folder, spec=spec, progress=False, faults=faults)
    assert set(report.written) == {'good_optical'}
    files = {
        scene['name']: scene['problem']['file']
        for scene in json.loads(json.dumps(report.to_dict()))['scenes']
        if scene['problem']
    }
    assert files == {
        'dot_optical': str(images / 'dot_optical.tif'),
        'local_optical': str(local),
        'none': str(images / 'none.tif'),
        product.stem: str(product),
        'tile': files['tile'],
        'item': str(images / 'items.json'),
        'items_1': str(images / 'items.json'),
        'bad': str(images / 'bad.json'),
    }
    assert files['tile'].endswith(('B02.tif', 'B03.tif'))
