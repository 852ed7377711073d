"""Products in archives, at addresses, and by the names that GDAL gives them."""

from __future__ import annotations

import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from products_on_disk import (
    write_item,
    write_landsat,
    write_planet,
    write_sentinel1,
    write_sentinel2,
)
from products_read import EXPECTED, read

from torchgeo_cloudseg.datasets.products import images_in
from torchgeo_cloudseg.inference import find_scenes
from torchgeo_cloudseg.inference.scenes.mapping import local_files
from torchgeo_cloudseg.inference.scenes.pairing import pair_text
from torchgeo_cloudseg.rasters import SceneError


def packed(folder: Path, ending: str = '.zip', top: str = '') -> Path:
    """An archive of a folder, beside it; its files lie under *top*."""
    archive = folder.with_name(folder.name + ending)
    if ending == '.zip':
        with zipfile.ZipFile(archive, 'w') as file:
            for path in folder.rglob('*'):
                file.write(path, Path(top) / path.relative_to(folder))
            # as macOS packs it
            file.writestr('__MACOSX/._B02.jp2', 'x')
    else:
        with tarfile.open(archive, 'w:gz' if ending.endswith('gz') else 'w') as tar:
            tar.add(folder, f'./{top}')
    return archive


@pytest.fixture
def safes(tmp_path: Path) -> tuple[Path, Path]:
    return write_sentinel2(tmp_path / 'a [1]'), write_sentinel1(tmp_path / 'b')


@pytest.mark.slow
def test_safe_folders_in_archives(safes: tuple[Path, Path], tmp_path: Path) -> None:
    (whole,) = find_scenes(*safes)
    expected = read(whole)
    # its files without a folder around them
    loose = tmp_path / f'{safes[0].name}.zip'
    packed(safes[0]).rename(loose)
    archives = [packed(safe, top=safe.name) for safe in safes]
    for sources in (
        archives,
        (loose, archives[1]),
        (f'/vsizip/{archives[0]}/{safes[0].name}', f'zip://{archives[1]}!{safes[1].name}'),
        (f'/vsizip/{archives[0]}/{safes[0].name}/MTD_MSIL2A.xml', archives[1]),
    ):
        (pair,) = find_scenes(*sources)
        assert pair.name == safes[0].stem
        for found, wanted in zip(read(pair), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        # which file it is can be read, and is not written over
        assert f'/{archives[0].name}/' in pair_text(pair)
        assert str(archives[1]) in local_files(*pair[1:3])
    # a folder of downloads
    downloads = tmp_path / 'downloads'
    downloads.mkdir()
    for archive in archives:
        archive.rename(downloads / archive.name)
    (pair,) = find_scenes(downloads)
    np.testing.assert_array_equal(read(pair)[0], expected[0])


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['.tar', '.tar.gz'])
def test_landsat_in_an_archive(ending: str, tmp_path: Path) -> None:
    scene, sar = write_landsat(tmp_path), write_sentinel1(tmp_path / 'sar')
    pairs = [*find_scenes(scene, sar), *find_scenes(packed(scene, ending), sar)]
    assert [pair.name for pair in pairs] == [scene.name] * 2
    np.testing.assert_array_equal(read(pairs[0])[0], read(pairs[1])[0])


@pytest.mark.slow
def test_planet_order_in_an_archive(tmp_path: Path) -> None:
    order, sar = write_planet(tmp_path / 'order'), write_sentinel1(tmp_path / 'sar')
    pairs = [*find_scenes(order, sar), *find_scenes(packed(order), sar)]
    np.testing.assert_array_equal(read(pairs[0])[0], read(pairs[1])[0])


def test_archives_that_are_none(safes: tuple[Path, Path], tmp_path: Path) -> None:
    archive = packed(safes[0])
    for broken in (archive, archive.with_suffix('.tar')):
        broken.write_bytes(b'PK\3\4 and no more')
        with pytest.raises(
            SceneError, match=rf'{re.escape(broken.name)}: found an unreadable arch'
        ):
            find_scenes(broken, safes[1])
        # one of many does not stop the others
        faults: dict[str, Exception] = {}
        found = find_scenes([broken, safes[0]], safes[1], faults=faults)
        assert len(found) == 2
        assert list(faults) == [str(broken)]


@pytest.mark.slow
@pytest.mark.parametrize('level', ['L2A', 'L1C'])
def test_subdatasets_of_gdal(level: str, tmp_path: Path) -> None:
    safe, sar = write_sentinel2(tmp_path, level=level), write_sentinel1(tmp_path)
    metadata = f'{safe.name}/MTD_MSI{level}.xml'
    archive = packed(safe, top=safe.name)
    listing = tmp_path / 'list.csv'
    for folder in (tmp_path, f'/vsizip/{archive}', f'/vsizip/{{{archive}}}'):
        name = f'SENTINEL2_{level}:{folder}/{metadata}:10m:EPSG_32632'
        listing.write_text(f'{name},{sar}\n')
        for (pair,) in (find_scenes(name, sar), find_scenes(listing)):
            assert pair.name == safe.stem
            np.testing.assert_allclose(read(pair)[0], EXPECTED, rtol=0.02)
    faults: dict[str, Exception] = {}
    find_scenes([f'SENTINEL2_{level}:/x/MTD.xml:10m:EPSG_1', safe], sar, faults=faults)
    assert len(faults) == 1


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """An address at which the folder is; text only, since it knows no ranges."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_stac_at_addresses(tmp_path: Path, address: str) -> None:
    items = [
        write_item(tmp_path / 'o.json', 'S2', {'optical': {'href': './s2%20/o.tif'}}),
        write_item(tmp_path / 's.json', 'S1', {'sar': {'href': 'https://h/s.tif?sig=secret'}}),
    ]
    both = {'type': 'FeatureCollection', 'features': items}
    (tmp_path / 'both.json').write_text(json.dumps(both))
    (tmp_path / 'items').mkdir()
    for name, item in zip(('S2_1.5', 'S1'), items, strict=True):
        (tmp_path / 'items' / name).write_text(json.dumps(item))
    signed = '?sig=secret'
    for sources, base in (
        ((f'{address}/o.json', f'{address}/s.json{signed}'), address),
        ((f'{address}/both.json{signed}',), address),
        # as catalogs name items
        ((f'{address}/items/S2_1.5', f'{address}/items/S1'), f'{address}/items'),
        ((f'file://{tmp_path}/o.json', f'file://localhost{tmp_path}/s.json'), str(tmp_path)),
        ((f'file://{tmp_path}/both.json',), str(tmp_path)),
    ):
        (pair,) = find_scenes(*sources)
        space = '%20' if '://' in base else ' '
        assert pair[:3] == ('S2', f'{base}/s2{space}/o.tif', 'https://h/s.tif?sig=secret')
        assert 'secret' not in pair_text(pair)
    for wrong in (f'{address}/x.json{signed}', f'http://127.0.0.1:9/x.json{signed}'):
        with pytest.raises(SceneError, match='no answer that can be used') as caught:
            find_scenes(wrong, tmp_path / 's.json')
        assert 'secret' not in str(caught.value)


def test_files_by_address_are_files(safes: tuple[Path, Path], tmp_path: Path) -> None:
    (pair,) = find_scenes(f'file://{safes[0]}', f'file://localhost{safes[1]}')
    assert [pair] == find_scenes(*safes)
    spaced = f'file://{safes[0].parent.parent}/a%20%5B1%5D/{safes[0].name}'
    assert find_scenes(spaced, safes[1])[0].optical_path == pair.optical_path


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_pictures_are_images_where_there_are_no_others(tmp_path: Path) -> None:
    profile = {'count': 3, 'height': 8, 'width': 8, 'dtype': 'uint8'}
    for name, driver in (('place_1.png', 'PNG'), ('place_2.jpg', 'JPEG')):
        with rasterio.open(tmp_path / name, 'w', driver=driver, **profile) as picture:
            picture.write(np.full((3, 8, 8), 7, np.uint8))
    assert [image.name for image in images_in([str(tmp_path)])] == ['place_1', 'place_2']
    # beside rasters they are previews
    with rasterio.open(tmp_path / 'place_3.tif', 'w', driver='GTiff', **profile) as raster:
        raster.write(np.full((3, 8, 8), 7, np.uint8))
    assert [image.name for image in images_in([str(tmp_path)])] == ['place_3']
