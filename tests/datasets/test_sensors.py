"""Known sensors: names of bands as files have them, and what tells one sensor from another."""

from __future__ import annotations

import pytest

from torchgeo_cloudseg.datasets.sensors import SENSORS, recognize_sensor


@pytest.mark.parametrize(
    ('text', 'band'),
    [
        ('B2', 'B02'),
        ('/data/T32UQD_20200701T101559_B02_10m.jp2', 'B02'),
        ('blue', 'B02'),
        ('nir narrow', 'B8A'),
        ('B8A', 'B8A'),
        ('Sentinel-2_L2A_B04_(Raw).tif', 'B04'),
        ('B02_B03', None),
        ('T32UQD_SCL_20m.jp2', None),
    ],
)
def test_band_by_name(text: str, band: str | None) -> None:
    assert SENSORS['sentinel-2-l2a'].find_band(text) == band


@pytest.mark.parametrize(
    ('texts', 'hints', 'values', 'sensor', 'bands'),
    [
        (['B02', 'B03', 'SCL'], '', None, 'sentinel-2-l2a', ('B02', 'B03', None)),
        (['B01', 'B10'], '', None, 'sentinel-2-l1c', ('B01', 'B10')),
        (['B04', 'B03'], 'S2A_MSIL1C_2020', None, 'sentinel-2-l1c', ('B04', 'B03')),
        (['SR_B2', 'SR_B3'], '', None, 'landsat-8-9-sr', ('SR_B2', 'SR_B3')),
        (
            ['LC09_SR_B5.TIF', 'LC09_QA_PIXEL.TIF'],
            'LC09_L2SP',
            None,
            'landsat-8-9-sr',
            ('SR_B5', None),
        ),
        (['B2', 'B5'], 'LC08_L2SP_193026', None, 'landsat-8-9-sr', ('SR_B2', 'SR_B5')),
        (
            ['blue', 'green', 'red', 'nir'],
            '1_3B_AnalyticMS_SR.tif',
            (0, 9000),
            'planetscope-sr',
            ('blue', 'green', 'red', 'nir'),
        ),
        (['VV', 'VH'], '', (-24.0, -2.0), 'sentinel-1-db', ('VV', 'VH')),
        (['vv', 'vh'], 'S1A_IW_GRDH', (0.001, 0.6), 'sentinel-1-linear', ('VV', 'VH')),
    ],
)
def test_sensor_by_names_tags_and_values(
    texts: list[str],
    hints: str,
    values: tuple[float, float] | None,
    sensor: str,
    bands: tuple[str | None, ...],
) -> None:
    found = recognize_sensor(texts, hints, values)
    assert found is not None
    assert (found.sensor.name, found.bands) == (sensor, bands)


@pytest.mark.parametrize(
    ('texts', 'values'),
    [
        (['blue', 'green', 'red'], None),  # of any camera
        (['Band 1', 'Band 2'], None),
        (['B02', 'B02'], None),
        (['B02', 'B03'], (0.0, 60000.0)),  # no reflectance times 10000
        (['VV', 'VH'], (-2500.0, 0.0)),  # dB times 100
    ],
)
def test_what_names_do_not_tell(texts: list[str], values: tuple[float, float] | None) -> None:
    assert recognize_sensor(texts, values=values) is None


def test_ranges_and_colors_of_bands() -> None:
    radar = SENSORS['sentinel-1-db']
    assert radar.range_of(['VV', 'VH']) == ((-25.0, -32.5), (0.0, 0.0))
    assert radar.range_of(['VH']) == ((-32.5,), (0.0,))
    landsat = SENSORS['landsat-8-9-sr']
    assert landsat.rgb_of(landsat.band_names) == ('SR_B4', 'SR_B3', 'SR_B2')
    assert landsat.rgb_of(['SR_B4']) == ()
    low, high = (landsat.scale * end[0] + landsat.offset for end in landsat.range_of(['SR_B5']))
    assert (low, high) == pytest.approx((0.0, 1.0), abs=2e-5)
