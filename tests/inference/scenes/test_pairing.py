"""Several scenes in one call."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio

from torchgeo_cloudseg.inference import find_scenes, predict_scenes
from torchgeo_cloudseg.inference.scenes.pairing import pair_text


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Empty files named as in M3M-CR."""
    for kind in ('planet_cloudy', 'S1'):
        folder = tmp_path / kind
        folder.mkdir()
        for scene in ('fall_1_p_457', 'fall_1_p_458', 'spring_12_p_7'):
            (folder / f'{kind}_{scene}.tif').touch()
        (folder / 'notes.txt').touch()
    return tmp_path


def names(pairs) -> list[tuple[str, str]]:
    return [(Path(pair.optical_path).name, Path(pair.sar_path).name) for pair in pairs]


EXPECTED = [
    (f'planet_cloudy_{scene}.tif', f'S1_{scene}.tif')
    for scene in ('fall_1_p_457', 'fall_1_p_458', 'spring_12_p_7')
]


def test_folders(folders: Path) -> None:
    pairs = find_scenes(folders / 'planet_cloudy', folders / 'S1')
    assert names(pairs) == EXPECTED
    assert pairs[0].name == 'planet_cloudy_fall_1_p_457'


def test_names_that_differ_in_marks_or_case(tmp_path: Path) -> None:
    for name in ('a,b', 'a:b', 'a b', '[red]', '50%', 'a%20b', 'ü雪', 'two\nlines'):
        for kind in ('optical', 'sar'):
            path = tmp_path / kind / f'{name}.tif'
            path.parent.mkdir(exist_ok=True)
            path.touch()
    pairs = find_scenes(tmp_path / 'optical', tmp_path / 'sar')
    assert len(pairs) == 8
    assert all(optical == sar for optical, sar in names(pairs))
    (pair,) = find_scenes(f'{tmp_path}/optical/[[]*.tif', tmp_path / 'sar' / '[red].tif')
    assert pair.name == '[red]'
    listing = tmp_path / 'list[1].csv'
    listing.write_text('optical/A.tif,sar/x.tif\noptical/a.tif,sar/x.tif\n')
    with pytest.raises(ValueError, match='Several scenes are called A, a'):
        find_scenes(listing)


def test_globs_and_sequences(folders: Path) -> None:
    assert names(find_scenes(f'{folders}/planet*/*.tif', f'{folders}/S1/*.tif')) == EXPECTED
    optical = sorted((folders / 'planet_cloudy').glob('*.tif'))
    assert names(find_scenes(optical[:2], folders / 'S1')) == EXPECTED[:2]


def test_single_images_need_no_common_name(tmp_path: Path) -> None:
    optical, sar = tmp_path / 'a.vrt', tmp_path / 'b.tif'
    optical.touch(), sar.touch()
    assert find_scenes(optical, sar) == [('a', str(optical), str(sar))]
    assert find_scenes('https://host/a.tif', '/vsizip/b.zip/b.tif')[0].optical_path.startswith(
        'http'
    )


def test_addresses_are_named_without_their_query() -> None:
    signed = 'https://me:pw@host/a%20b.tif?sig=x%2F*'
    (pair,) = find_scenes(signed, 'https://host/b.tif?sig=y')
    assert pair == ('a b', signed, 'https://host/b.tif?sig=y')
    assert pair_text(pair) == 'a b: https://host/a%20b.tif with https://host/b.tif'
    with pytest.raises(ValueError, match='Give the SAR images too') as caught:
        find_scenes(signed)
    assert 'sig' not in str(caught.value)
    (packed,) = find_scenes('zip+https://host/a.zip!b%20c.tif', 'zip:///x.zip!s.tif')
    assert packed.name == 'b c'


def test_lists(folders: Path) -> None:
    optical = folders / 'optical.txt'
    optical.write_text('# comment\nplanet_cloudy/planet_cloudy_fall_1_p_458.tif\n\n')
    assert names(find_scenes(optical, folders / 'S1')) == [EXPECTED[1]]
    both = folders / 'both.csv'
    both.write_text('planet_cloudy/x.tif, S1/anything.tif\n/abs/y.tif,/abs/z.tif\n')
    pairs = find_scenes(both)
    assert names(pairs) == [('x.tif', 'anything.tif'), ('y.tif', 'z.tif')]
    assert pairs[0].optical_path == str(folders / 'planet_cloudy/x.tif')
    assert pairs[1].optical_path == '/abs/y.tif'
    both.write_text('optical,sar\r\na.tif,b.tif\r\n', encoding='utf-8-sig')
    assert names(find_scenes(both)) == [('a.tif', 'b.tif')]
    both.write_text('a.tif,b.tif\r\n', encoding='utf-8-sig')
    assert names(find_scenes(both)) == [('a.tif', 'b.tif')]
    both.write_text('# nothing\n')
    with pytest.raises(FileNotFoundError, match='expected a pair of paths'):
        find_scenes(both)
    both.write_text('x.tif\n')
    with pytest.raises(ValueError, match='expected two columns'):
        find_scenes(both)


def test_stac_items(tmp_path: Path) -> None:
    item = {
        'type': 'Feature',
        'id': 'scene-1',
        'assets': {'ps': {'href': './optical.tif'}, 'sar': {'href': 'https://host/sar.tif'}},
    }
    path = tmp_path / 'item.json'
    path.write_text(json.dumps(item))
    (pair,) = find_scenes(path, assets=('ps', 'sar'))
    assert pair == ('scene-1', str(tmp_path / 'optical.tif'), 'https://host/sar.tif')
    assert find_scenes(f'{tmp_path}/*.json', assets=('ps', 'sar')) == [pair]
    with pytest.raises(FileNotFoundError, match=r'0 optical and 1 SAR .*which asset'):
        find_scenes(path)
    with pytest.raises(ValueError, match=r"the assets \['ps', 'sar'\] of scene-1, expected \['a'"):
        find_scenes(path, assets=('a', 'b'))
    path.write_text('[]')
    with pytest.raises(ValueError, match='no STAC item'):
        find_scenes(path)


def test_images_that_cannot_be_paired(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folders / 'S1' / 'S1_spring_12_p_7.tif').unlink()
    with pytest.raises(ValueError, match=r'1 of 3 optical .*\n.*p_7.tif: no SAR image'):
        find_scenes(folders / 'planet_cloudy', folders / 'S1')
    with caplog.at_level(logging.WARNING):
        pairs = find_scenes(
            f'{folders}/planet_cloudy/*457.tif', folders / 'S1' / 'S1_fall_1_p_457.tif'
        )
    assert names(pairs) == [EXPECTED[0]]
    (folders / 'planet_cloudy' / 'planet_cloudy_spring_12_p_7.tif').unlink()
    (folders / 'S1' / 'S1_winter_2_p_9.tif').touch()
    with caplog.at_level(logging.WARNING):
        assert names(find_scenes(folders / 'planet_cloudy', folders / 'S1')) == EXPECTED[:2]
    assert 'S1_winter_2_p_9.tif' in caplog.text
    (folders / 'S1' / 'S1_again_fall_1_p_457.tif').touch()
    with pytest.raises(ValueError, match=r'S1_again_fall_1_p_457.tif, .*S1_fall_1_p_457.tif'):
        find_scenes(folders / 'planet_cloudy', folders / 'S1')


def test_sources_without_images(tmp_path: Path) -> None:
    empty = tmp_path / 'empty'
    empty.mkdir()
    raster = tmp_path / 'a.tif'
    raster.touch()
    with pytest.raises(FileNotFoundError, match='empty: found nothing, expected rasters'):
        find_scenes(empty, raster)
    with pytest.raises(FileNotFoundError, match='found nothing, expected a match'):
        find_scenes(f'{tmp_path}/*.jp2', raster)
    with pytest.raises(FileNotFoundError, match='no such file'):
        find_scenes(tmp_path / 'b.tif', raster)
    with pytest.raises(FileNotFoundError, match='found nothing, expected rasters'):
        find_scenes(empty)
    with pytest.raises(FileNotFoundError, match='no list and no STAC item'):
        find_scenes(raster.parent)
    with pytest.raises(ValueError, match='Give the SAR images too'):
        find_scenes(raster)
    both = tmp_path / 'both.csv'
    both.write_text('a/x.tif,s.tif\nb/x.tif,s.tif\n')
    with pytest.raises(ValueError, match='Several scenes are called x'):
        find_scenes(both)


def test_a_broken_scene_does_not_stop_the_others(make_scene, network, spec, tmp_path: Path) -> None:
    first, broken, _ = (make_scene(200, 200, name) for name in ('n_1', 'n_2', 'n_3'))
    broken.sar.write_bytes(b'')
    pairs = find_scenes(
        f'{first.optical.parent}/*_optical.tif', f'{first.optical.parent}/*_sar.tif'
    )
    out = tmp_path / 'maps'
    with pytest.raises(ExceptionGroup, match='1 of 3 scenes') as caught:
        predict_scenes(network, pairs, out, spec=spec, progress=False)
    assert 'n_2_sar.tif' in str(caught.value.exceptions[0])
    assert sorted(path.name for path in out.glob('*.tif')) == [
        'n_1_optical_map.tif',
        'n_3_optical_map.tif',
    ]
    broken.sar.write_bytes(first.sar.read_bytes())
    before = network.windows
    written = predict_scenes(network, pairs, out, spec=spec, progress=False, resume=True)
    # only the scene that was missing
    assert network.windows - before == 4
    assert list(written) == ['n_1_optical', 'n_2_optical', 'n_3_optical']
    with rasterio.open(written['n_2_optical']['classes']) as raster:
        assert np.unique(raster.read()).max() <= 2
