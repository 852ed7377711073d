"""``cloudseg clouds`` as typed: files, options, errors, interruption."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import hear_ctrl_c, read, write
from rasterio.transform import from_origin

from torchgeo_cloudseg.cli import main

SCRIPT = Path(sys.executable).with_name('cloudseg')


@pytest.fixture
def clear(tmp_path):
    image = np.random.default_rng(0).integers(300, 3000, (4, 200, 300)).astype(np.uint16)
    place = {'crs': 'EPSG:32650', 'transform': from_origin(500000, 3400000, 10, 10)}
    return write(tmp_path / 'clear.tif', image, **place)


def test_image_mask_and_alpha(clear, capsys):
    output = clear.with_name('cloudy.tif')
    options = ('--preset', 'm3mcr', '--cover', '0.4', '--sun_azimuth', '[120, 150]', '--thin', '.5')
    main(['clouds', str(clear), str(output), *options])
    out, err = capsys.readouterr()
    assert 'cloudy_mask.tif' in out.replace('\n', '')
    # a bar is for terminals
    assert '\r' not in err
    mask, alpha = (
        read(clear.with_name('cloudy_mask.tif')),
        read(clear.with_name('cloudy_alpha.tif')),
    )
    assert mask.mean() == pytest.approx(0.4, abs=0.001)
    assert alpha[mask == 1].min() > alpha[mask == 0].max() - 1e-3
    image, ground = read(output), read(clear)
    assert image.dtype == ground.dtype
    thick = alpha[0] > 0.6
    assert image[:, thick].mean() > 2 * ground[:, thick].mean()


def test_errors_are_short_and_leave_nothing_behind(clear, capsys):
    output = clear.with_name('cloudy.tif')
    faults = {
        'expected different files': (str(clear), '--overwrite'),
        'a share, not a percentage': (str(output), '--cover', '40'),
        'Pass the data_range': (str(output), '--data_range', '[0, 255]'),
    }
    for message, arguments in faults.items():
        with pytest.raises(SystemExit) as stop:
            main(['clouds', str(clear), *arguments])
        assert stop.value.code == 1
        error = capsys.readouterr().err.replace('\n', ' ')
        assert message in error
        assert 'Traceback' not in error
    assert [path.name for path in clear.parent.iterdir()] == ['clear.tif']


def test_an_existing_file_is_noticed_before_the_work(clear, capsys):
    clear.with_name('cloudy_mask.tif').touch()
    with pytest.raises(SystemExit):
        main(['clouds', str(clear), str(clear.with_name('cloudy.tif'))])
    error = capsys.readouterr().err
    assert 'cloudy_mask.tif: exists already' in error.replace('\n', '')
    assert '33%' not in error


@pytest.mark.slow
@pytest.mark.parametrize(('limit', 'block_size'), [(20_000, '1024'), (400_000, '100')])
def test_a_full_disk_leaves_nothing_behind(clear, limit, block_size):
    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [SCRIPT, 'clouds', clear, clear.with_name('cloudy.tif'), '--block_size', block_size]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=no_room)
    assert ended.returncode == 1
    assert 'cloudy.tif: cannot be written' in ended.stderr.replace('\n', ' ')
    assert [path.name for path in clear.parent.iterdir()] == ['clear.tif']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['SIGINT', 'SIGKILL'])
def test_a_killed_run_leaves_no_half_file(clear, name):
    command = [SCRIPT, 'clouds', clear, clear.with_name('cloudy.tif'), '--block_size', '16']
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=hear_ctrl_c
    )
    deadline = time.monotonic() + 60
    # the lock comes before the draft
    while not list(clear.parent.glob('.*.tif')) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, getattr(signal, name))
    assert process.wait(60) != 0
    assert not list(clear.parent.glob('cloudy*'))
    if name == 'SIGINT':
        assert not list(clear.parent.glob('.*'))
