"""What examples find: ``root``, a miniature of M3M-CR, and ``folder``, an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestItem


@pytest.fixture(scope='session')
def example_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Miniature M3M-CR, small enough for examples."""
    from torchgeo_cloudseg.miniature import write_miniature_m3mcr

    root = tmp_path_factory.mktemp('examples') / 'M3M-CR'
    return write_miniature_m3mcr(
        root, train_areas=2, test_areas=1, patches_per_area=1, progress=False
    )


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Give examples their data; other tests do without."""
    if isinstance(request.node, DoctestItem):
        doctest_namespace['root'] = request.getfixturevalue('example_root')
        doctest_namespace['folder'] = request.getfixturevalue('tmp_path')
