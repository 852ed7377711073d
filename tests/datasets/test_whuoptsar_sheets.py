"""Numbers of map sheets and their places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.datasets.whuoptsar.layout import official_division, sheets_touch
from torchgeo_cloudseg.datasets.whuoptsar.sheets import sheet_bounds, sheet_name

ALL = [name for part in official_division().values() for name in part]


def test_known_sheets() -> None:
    # H is the 8th band of 4 degrees, 49 the column from 108 degrees east
    assert sheet_bounds('NH49E001013') == (111.0, pytest.approx(32 - 1 / 6), 111.25, 32.0)
    assert sheet_bounds('NI49E024001')[1] == 32.0
    assert sheet_bounds('NA31E024001') == (0.0, 0.0, 0.25, pytest.approx(1 / 6))


def test_division_lies_in_hubei() -> None:
    assert len(ALL) == len(set(ALL)) == 100
    assert {part: len(names) for part, names in official_division().items()} == {
        'train': 80,
        'test': 20,
    }
    boxes = [sheet_bounds(name) for name in ALL]
    assert min(box[0] for box in boxes) == 109.5
    assert max(box[2] for box in boxes) == 116.0
    assert min(box[1] for box in boxes) == pytest.approx(29.33, abs=0.01)
    assert max(box[3] for box in boxes) == pytest.approx(32.67, abs=0.01)


def test_neighbors_share_their_edges_exactly() -> None:
    by_west = {(box[0], box[3]): name for name in ALL for box in [sheet_bounds(name)]}
    shared = 0
    for name in ALL:
        _, south, east, north = sheet_bounds(name)
        if (east, north) in by_west:
            shared += 1
            assert sheet_bounds(by_west[east, north])[0] == east
        below = [other for other in ALL if sheet_bounds(other)[3] == south]
        shared += any(sheet_bounds(other)[0] == sheet_bounds(name)[0] for other in below)
    # as counted in the data set's description
    assert shared == 68


@given(
    st.floats(-180, 180, exclude_max=True, allow_nan=False),
    st.floats(0, 88, exclude_max=True, allow_nan=False),
)
def test_every_place_has_a_sheet(lon: float, lat: float) -> None:
    west, south, east, north = sheet_bounds(sheet_name(lon, lat))
    assert west <= lon < east
    assert south <= lat < north


@pytest.mark.parametrize('name', ALL[::7])
def test_name_is_that_of_its_place(name: str) -> None:
    west, south, east, north = sheet_bounds(name)
    assert sheet_name((west + east) / 2, (south + north) / 2) == name
    assert sheet_name(west, south) == name


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('scene_1', 'is no sheet number'),
        ('NH49E0010130', 'is no sheet number'),
        ('NW49E001013', 'is no sheet number'),
        ('NH49D001013', 'at scale D'),
        ('NH61E001013', 'zone 61'),
        ('NH49E025013', 'row 25'),
        ('NH49E001000', 'column 0'),
    ],
)
def test_other_names_are_refused(name: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        sheet_bounds(name)


def test_places_off_the_map_are_refused() -> None:
    for lon, lat in ((180, 10), (0, 88), (0, -1)):
        with pytest.raises(ValueError, match='on no sheet'):
            sheet_name(lon, lat)


def test_touching() -> None:
    assert sheets_touch('NI49E024017', 'NH49E001017')
    assert sheets_touch('NI49E024017', 'NI49E023018')
    assert not sheets_touch('NI49E024017', 'NI49E024019')
