"""Files are complete or absent."""

from pathlib import Path

import pytest

from torchgeo_cloudseg._files import replacing


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
