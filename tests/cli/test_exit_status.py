"""How commands end: 0, 1 for work that cannot be done, 2 for what is typed wrong, 130, 143."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchgeo_cloudseg.cli import main

MAP = 'map --optical {raster} --sar {raster} --output {folder}/map.tif --checkpoint'

#: Command lines, exit status, and what the last line says.
ENDS = (
    ('', 0, ''),
    ('--help', 0, ''),
    ('--version', 0, ''),
    ('map --help', 0, ''),
    ('configs', 0, ''),
    # typed wrong
    ('nonsense', 2, "invalid choice: 'nonsense'"),
    ('map', 2, 'missing: checkpoint, output'),
    ('map --chekpoint x', 2, 'Did you mean --checkpoint?'),
    ('clouds a.tif b.tif --cover', 2, '--cover: found no value'),
    ('clouds a.tif b.tif --preset x', 2, "--preset: found 'x'"),
    # files that are not there, not theirs, broken, or there already
    ('clouds {folder}/a.tif {folder}/b.tif', 1, 'a.tif: found no such file'),
    ('clouds {text} {folder}/b.tif', 1, 'notes.txt: found an unreadable file'),
    ('clouds {raster} {folder}/none/b.tif', 1, 'no such folder. Create it first'),
    ('clouds {raster} {folder}/b.png', 1, 'only GeoTIFFs are written'),
    ('clouds {raster} {raster} --overwrite', 1, 'found the same file twice'),
    ('clouds {raster} {other}', 1, 'exists already. Pass --overwrite'),
    (f'{MAP} {{folder}}/x.ckpt', 1, 'x.ckpt'),
    (f'{MAP} {{text}}', 1, 'notes.txt'),
    ('convert {text} {folder}/c.ckpt --dataset m3mcr', 1, 'notes.txt'),
    ('export {text} {folder}/c.pt2', 1, 'notes.txt'),
    ('index {folder}/none --dataset m3mcr', 1, 'none'),
    ('index {folder} --json {raster} --overwrite', 1, 'raster.tif: give it a name that ends in .j'),
    ('inspect {folder}/none', 1, 'none'),
    ('inspect {folder} --output {raster} --overwrite', 1, 'give it a name that ends in .yaml or'),
    ('plot {folder}/none.tif {folder}/p.png', 1, 'none.tif'),
    ('configs nonsense', 1, 'nonsense'),
)


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import numpy as np

    from torchgeo_cloudseg.rasters import Grid, write_geotiff

    folder = tmp_path_factory.mktemp('files')
    text = folder / 'notes.txt'
    text.write_text('no raster, no checkpoint')
    grid = Grid.north_up('EPSG:32633', (5e5, 5e6), (10.0, 10.0), (20, 20))
    for name in ('raster.tif', 'other.tif'):
        write_geotiff(folder / name, np.ones((4, 20, 20), np.uint16), grid)
    paths = {'raster': folder / 'raster.tif', 'other': folder / 'other.tif', 'text': text}
    return {'folder': folder, **paths}


@pytest.mark.parametrize(('typed', 'status', 'said'), ENDS)
def test_exit_status(
    typed: str,
    status: int,
    said: str,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = set(files['folder'].rglob('*'))
    found = 0
    try:
        main(typed.format(**files).split())
    except SystemExit as left:
        found = int(left.code or 0)
    printed = capsys.readouterr()
    assert found == status, printed.err
    assert 'Traceback' not in printed.err
    assert said in printed.err
    # who fails says so, and leaves nothing
    assert bool(printed.err) >= bool(status)
    assert not status or set(files['folder'].rglob('*')) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ('module', 'signal', 'status'),
    [
        ('argparse', 'SIGINT', 130),
        ('jsonargparse', 'SIGINT', 130),
        ('rasterio', 'SIGINT', 130),
        ('torch', 'SIGINT', 130),
        ('torch', 'SIGTERM', 143),
    ],
)
def test_signals_while_modules_are_imported(
    module: str, signal: str, status: int, tmp_path: Path
) -> None:
    """The first second of a command is that of its imports."""
    (tmp_path / f'{module}.py').write_text(
        f'import os, signal\nos.kill(os.getpid(), signal.{signal})\nsignal.pause()\n'
    )
    command = [sys.executable, '-m', 'torchgeo_cloudseg', 'clouds', 'a.tif', 'b.tif']
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    ended = subprocess.run(
        command, env={**os.environ, 'PYTHONPATH': path}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == status, ended.stderr
    word = 'interrupted' if status == 130 else 'terminated'
    assert ended.stderr.count('\n') == 1
    assert f': {word}.' in ended.stderr
