"""Files are complete or absent."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from torchgeo_cloudseg import _files
from torchgeo_cloudseg._files import OutputError, owning, replacing
from torchgeo_cloudseg._owner import Owner


def test_file_appears_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / 'scores.json'
    with replacing(path) as draft:
        draft.write_text('half')
        assert not path.exists()
        assert draft.suffix == '.json'
        with replacing(path) as other:
            assert other != draft
            other.write_text('of another writer')
        draft.write_text('whole')
    assert path.read_text() == 'whole'
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    path = tmp_path / 'map.tif'
    path.write_text('old')

    def fail() -> None:
        with replacing(path) as draft:
            draft.write_text('half')
            raise OSError('disk full')

    with pytest.raises(OSError, match='full'):
        fail()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_owners_are_gone_only_if_that_is_certain() -> None:
    here = Owner.here()
    assert not here.is_gone()
    child = subprocess.Popen(['sleep', '60'])
    owner = here._replace(process=child.pid, start=0)
    assert not owner.is_gone()
    # another process, which has got the same number since
    assert here._replace(start=here.start + 1).is_gone()
    child.kill()
    # until somebody asks how it ended, a process that was killed has a number
    while Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z':
        time.sleep(0.01)
    assert owner.is_gone()
    child.wait()
    assert owner.is_gone()
    assert not owner._replace(host='elsewhere').is_gone()


def test_drafts_of_killed_processes_go(tmp_path: Path) -> None:
    here, text = Owner.here(), 'half a map'
    child = subprocess.Popen(['true'])
    child.wait()
    names = {
        'killed': f'.{here.machine}-{child.pid:x}-1-00000000.map.tif',
        'at work': f'.{here.machine}-{here.process:x}-{here.start:x}-00000000.map.tif',
        'of another machine': f'.00000000-{child.pid:x}-1-00000000.map.tif',
        'of another machine, and old': f'.00000000-{child.pid:x}-1-00000001.map.tif',
        'of the user': '.hidden.map.tif',
    }
    for name in names.values():
        (tmp_path / name).write_text(text)
    os.utime(tmp_path / names.pop('of another machine, and old'), (0, 0))
    names.pop('killed')
    with replacing(tmp_path / 'other.json') as draft:
        draft.write_text('{}')
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {*names.values(), 'other.json'}


@pytest.mark.parametrize('text', ['', 'x', '[]', '{"host": 1}'])
def test_locks_of_nobody_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Who was killed between making a lock and naming himself in it has left an empty one."""
    monkeypatch.setattr(_files, 'NAMELESS_S', 0.1)
    lock = tmp_path / '.map.tif.lock'
    lock.write_text(text)
    with owning(tmp_path / 'map.tif'):
        assert json.loads(lock.read_text())['process'] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_lock_that_is_being_named_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / '.map.tif.lock'
    lock.touch()
    name = json.dumps({'host': 'elsewhere', 'numbering': '', 'process': 9, 'start': 1})
    # what another one does while this one waits
    monkeypatch.setattr(_files.time, 'sleep', lambda _: lock.write_text(name))
    with pytest.raises(OutputError, match='process 9 on elsewhere'), owning(tmp_path / 'map.tif'):
        pass
    assert lock.read_text() == name
