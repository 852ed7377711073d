"""Commands that are killed, and broken files: a short form of ``experiments/robustness``."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

EXPERIMENTS = Path(__file__).parents[1] / 'experiments' / 'robustness'


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module(name)


@pytest.mark.slow
def test_broken_files_are_refused_or_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutations = script('mutations', monkeypatch)
    kinds = 'GeoTIFF', 'csv', 'STAC', 'ckpt', 'parquet', 'npy'
    found = list(mutations.trials(kinds, range(100, 105), 0, tmp_path))
    assert [entry for entry in found if entry[2] == 'fault'] == []
    # the seed gives some of both
    assert {entry[2] for entry in found} >= {'used', 'refused'}


@pytest.mark.slow
@pytest.mark.parametrize('command', ['map', 'clouds', 'convert', 'index'])
def test_killed_commands_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    kills = script('kills', monkeypatch)
    assert [found for found in kills.trials([command], 3, 7, tmp_path) if found[2]] == []


@pytest.mark.slow
def test_pipes_and_odd_text_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these may hang, or end in a traceback."""
    typed = script('mutations', monkeypatch).typed
    files = script('bench', monkeypatch).write_inputs(tmp_path / 'inputs', rows=200)
    pipe, vrt = tmp_path / 'pipe.tif', tmp_path / 'pipe.vrt'
    os.mkfifo(pipe)
    vrt.write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">pipe.tif</SourceFilename></SimpleSource>'
        '</VRTRasterBand></VRTDataset>'
    )
    deep, listing = tmp_path / 'deep.json', tmp_path / 'list.csv'
    deep.write_text('[' * 100_000)
    listing.write_text('x' * 200_000)
    sar, ckpt = f'--sar={files["sar"]}', f'--checkpoint={files["ckpt"]}'
    output = f'--output={tmp_path / "map.tif"}'
    for arguments, message in (
        (['map', f'--optical={pipe}', sar, ckpt, output], 'a pipe or a device'),
        (['map', f'--optical={vrt}', sar, ckpt, output], 'pipe.tif: found a pipe'),
        (['map', '--optical=/dev/zero', sar, ckpt, output], 'a pipe or a device'),
        (['map', f'--optical={deep}', ckpt, output], 'nested too deeply'),
        (['map', f'--optical={listing}', ckpt, output], 'found no table'),
        (['clouds', str(pipe), str(tmp_path / 'c.tif')], 'a pipe or a device'),
        (['convert', str(pipe), str(tmp_path / 'c.ckpt')], 'pipe.tif'),
        (['convert', 'https://example.org/x.ckpt', str(tmp_path / 'c.ckpt')], 'x.ckpt'),
    ):
        status, printed = typed(arguments)
        assert status == 1, printed
        assert message in printed
    assert not list(tmp_path.glob('map*'))


@pytest.mark.slow
def test_report_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = script('mutations', monkeypatch).typed
    files = script('bench', monkeypatch).write_inputs(tmp_path / 'inputs', rows=200)
    broken = tmp_path / 'broken [red].tif'
    broken.write_bytes(files['optical'].read_bytes()[:3000])
    listing, report = tmp_path / 'list.csv', tmp_path / 'report.json'
    listing.write_text(f'{broken},{files["sar"]}\n{files["optical"]},{files["sar"]}\n')
    status, printed = typed([
        'map', f'--optical={listing}', f'--checkpoint={files["ckpt"]}', f'--json={report}',
        f'--output={tmp_path / "maps"}',
    ])  # fmt: skip
    assert status == 1, printed
    assert '1 of 2 scenes were not mapped' in printed
    assert '[red]' in printed
    written = json.loads(report.read_text())
    assert (written['mapped'], written['not_mapped']) == (1, 1)
    first, second = written['scenes']
    assert first['problem']['file'] == str(broken)
    assert Path(second['files']['classes']).is_file()
    # neither the list nor a file of the other kind is replaced by a report
    before = listing.read_bytes()
    for path in (listing, files['ckpt'], files['sar']):
        status, printed = typed([
            'map', f'--optical={listing}', f'--checkpoint={files["ckpt"]}', f'--json={path}',
            f'--output={tmp_path / "maps"}', '--overwrite',
        ])  # fmt: skip
        assert status == 1
        assert 'found the same file twice' in printed
    assert listing.read_bytes() == before
