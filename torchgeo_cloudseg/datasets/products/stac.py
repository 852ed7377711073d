"""STAC items: single ones, collections of them, with an asset per band or with all in one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin

from ..._files import short_name
from ...rasters import Band, SceneError, band_stack, is_local, without_scheme
from ...rasters.text import read_json
from ..sensors import SENSORS, Sensor, recognize_sensor
from .found import RASTER_SUFFIXES, Faults, FoundImage, Kind, day_in, found_or_broken
from .sentinel2 import OFFSET, OFFSET_BASELINE, QUANTIFICATION

Facts = Mapping[str, Any]

#: Roles and keys of assets that are no measurements.
NO_DATA = {
    'thumbnail',
    'overview',
    'visual',
    'metadata',
    'data-mask',
    'cloud',
    'preview',
    'rendered',
}

#: Collections whose values are what nobody else says that they are.
UNITS = {'sentinel-1-rtc': 'power', 'sentinel-1-grd': 'amplitude'}


@dataclass(frozen=True)
class StacBand:
    """A band of an asset, as an item describes it."""

    href: str
    number: int
    name: str
    #: Name and common name, by which it is recognized.
    words: str
    nodata: float | None
    scale: float | None
    offset: float | None
    unit: str


def is_stac(path: str) -> bool:
    """Whether a file or address counts as a STAC item, or as several.

    Args:
        path: anything.

    Returns:
        True by its ending, and for addresses such as catalogs have: ``.../items/S2A_T32UQD``.
    """
    address = path.startswith(('http://', 'https://'))
    where = PurePosixPath(path.partition('?')[0] if address else path)
    suffix = where.suffix.lower()
    listed = {'items', 'search'} & {where.name, where.parent.name}
    return suffix in ('.json', '.geojson') or (
        address and bool(listed) and suffix not in RASTER_SUFFIXES
    )


def images_in_stac(
    path: str, assets: tuple[str, str], faults: Faults | None = None
) -> list[FoundImage]:
    """Images of STAC items.

    An item has an image in the asset of one of the keys, or one made of all assets that hold a
    band of a known sensor. Declared nodata, scale and offset count, also those of Sentinel-2's
    processing baseline.

    Args:
        path: file or address of an item, an ItemCollection or a FeatureCollection.
        assets: keys of the optical and the SAR image.
        faults: where to put what is wrong with an item; None to raise it.

    Returns:
        the images; optical and SAR image of one item have the same name.

    Raises:
        SceneError: if the file holds something else, or an item has no image.
    """
    found: list[FoundImage] = []
    for position, item in enumerate(_items(path)):
        name = short_name(str(_mapping(item).get('id') or f'{Path(path).stem}_{position}'))
        stand_in = FoundImage(f'{path}#{name}', name, day=day_in(name))
        found += found_or_broken(partial(_of_item, item, path, assets), stand_in, faults)
    return found


def _of_item(item: object, path: str, assets: tuple[str, str]) -> list[FoundImage]:
    """The images of what should be an item."""
    facts = _mapping(item)
    if not isinstance(facts.get('assets'), dict) or not isinstance(facts.get('id'), str | int):
        kind = facts.get('type') if isinstance(item, dict) else type(item).__name__
        raise _no_item(path, str(kind))
    images = list(_images(facts, path, assets))
    if not images:
        keys = sorted(map(str, facts['assets']))
        raise SceneError(
            path, f'the assets {keys} of {short_name(str(facts["id"]))}',
            f'{list(assets)}, or assets with bands of a known sensor',
            'Say which asset is the optical and which is the SAR image.',
        )  # fmt: skip
    return images


def _items(path: str) -> list[object]:
    """What should be the items of a file."""
    content = read_json(path)
    listed = content.get('features') if isinstance(content, dict) else None
    items = listed if isinstance(listed, list) else [content]
    if not items:
        raise _no_item(path, 'no features')
    return items


def _no_item(path: str, found: str) -> SceneError:
    remedy = 'Save items of a search as JSON.'
    return SceneError(path, f'no STAC item ({found})', 'an item, or a FeatureCollection', remedy)


def _images(item: Facts, path: str, assets: tuple[str, str]) -> Iterator[FoundImage]:
    """The images of an item."""
    properties = _mapping(item.get('properties'))
    name = short_name(str(item['id']))
    day = day_in(str(properties.get('datetime') or properties.get('start_datetime') or name))
    kinds: tuple[Kind, Kind] = ('optical', 'sar')
    named = {kind: key for kind, key in zip(kinds, assets, strict=True) if key in item['assets']}
    for kind, key in named.items():
        asset = _mapping(item['assets'][key])
        described = any(asset.get(key) for key in ('bands', 'eo:bands', 'raster:bands'))
        image = (
            _stack(list(_bands(item, key, asset, path))) if described else _href(asset, key, path)
        )
        yield FoundImage(image, name, kind, day)
    if named:
        return
    bands = [
        band
        for key, asset in item['assets'].items()
        if _is_data(key, _mapping(asset))
        for band in _bands(item, key, _mapping(asset), path)
    ]
    hints = f'{item.get("collection", "")} {properties.get("platform", "")} {name}'
    for kind in kinds:
        chosen = _of_sensor(bands, hints, kind)
        if chosen:
            yield FoundImage(_stack(*chosen), name, kind, day)


def _of_sensor(
    bands: list[StacBand], hints: str, kind: Kind
) -> tuple[list[StacBand], Sensor] | None:
    """Bands of an item that are those of one sensor; each once."""
    best: tuple[list[StacBand], Sensor] | None = None
    for sensor in SENSORS.values():
        if sensor.kind != kind:
            continue
        found: dict[str, StacBand] = {}
        for band in bands:
            name = None if sensor.is_other(band.words) else _find(sensor, band)
            if name:
                found.setdefault(name, band)
        chosen = [found[name] for name in sensor.band_names if name in found]
        certain = recognize_sensor([b.name for b in chosen], hints)
        better = best is None or len(chosen) > len(best[0])
        if chosen and (better or (certain and certain.sensor is sensor)):
            best = chosen, sensor
    return best


def _find(sensor: Sensor, band: StacBand) -> str | None:
    """A band of a sensor by its name, else by its common name."""
    for words in (band.name, *band.words.split('/')):
        if found := sensor.find_band(words):
            return found
    return None


def _stack(bands: list[StacBand], sensor: Sensor | None = None) -> str:
    return band_stack(
        [
            Band(b.href, b.number, (sensor and _find(sensor, b)) or b.name, b.nodata, b.scale,
                 b.offset, b.unit)
            for b in bands
        ]
    )  # fmt: skip


def _bands(item: Facts, key: str, asset: Facts, path: str) -> Iterator[StacBand]:
    """Bands of an asset, as any version of the specification describes them."""
    described = [_mapping(b) for b in _listed(asset.get('bands')) or _listed(asset.get('eo:bands'))]
    values = [_mapping(b) for b in _listed(asset.get('raster:bands'))]
    count = max(len(described), len(values))
    href = _href(asset, key, path)
    if not count and any(sensor.find_band(key) for sensor in SENSORS.values()):
        # nobody describes it, but its key is that of a band
        count = 1
    for position in range(count):
        own = described[position] if position < len(described) else {}
        facts = {**asset, **own, **(values[position] if position < len(values) else {})}
        name = str(own.get('name') or (key if count == 1 else f'{key} {position + 1}'))
        common = own.get('eo:common_name') or own.get('common_name') or ''
        scale, offset = _number(facts, 'scale'), _number(facts, 'offset')
        if not SENSORS['sentinel-1-db'].find_band(name):
            scale, offset = _by_baseline(item, scale, offset)
        unit = str(facts.get('unit') or UNITS.get(str(item.get('collection')), ''))
        yield StacBand(
            href, position + 1, name, f'{common}/{key}' if count == 1 else str(common),
            _number(facts, 'nodata'), scale, offset,
            'dB' if unit.lower() in ('db', 'decibel') else unit,
        )  # fmt: skip


def _by_baseline(
    item: Facts, scale: float | None, offset: float | None
) -> tuple[float | None, float | None]:
    """Scale and offset of Sentinel-2, which not every catalog states, or states as it is."""
    properties = _mapping(item.get('properties'))
    if any(properties.get(f'{who}:boa_offset_applied') for who in ('earthsearch', 'sentinel')):
        return scale, 0.0 if offset is not None else None
    baseline = properties.get('s2:processing_baseline') or properties.get('processing:version')
    digits = ''.join(filter(str.isdigit, str(baseline or '')))[:4]
    is_sentinel2 = 'sentinel-2' in f'{item.get("collection")} {properties.get("platform")}'.lower()
    if offset is None and is_sentinel2 and digits and int(digits) >= OFFSET_BASELINE:
        return scale or 1 / QUANTIFICATION, OFFSET / QUANTIFICATION
    return scale, offset


def _is_data(key: str, asset: Facts) -> bool:
    """Whether an asset may hold measurements."""
    roles = {str(role) for role in _listed(asset.get('roles'))}
    if roles & NO_DATA or key.lower() in NO_DATA or not isinstance(asset.get('href'), str):
        return False
    kind = str(asset.get('type') or '')
    suffix = Path(str(asset['href']).partition('?')[0]).suffix.lower()
    return suffix in RASTER_SUFFIXES or kind.startswith(('image/tiff', 'image/jp2', 'image/vnd'))


def _href(asset: Facts, key: str, path: str) -> str:
    """Where an asset lies, relative to its item."""
    href = asset.get('href')
    if not isinstance(href, str) or not href:
        raise SceneError(path, f'an asset {key!r} without href', 'the address of its file')
    if not is_local(path) or ('://' in href and not href.startswith('file://')):
        return without_scheme(urljoin(path, href))
    reference = without_scheme(href)
    folder = os.path.dirname(path)  # noqa: PTH120 - links are kept as they are
    names = [
        os.path.normpath(os.path.join(folder, name))  # noqa: PTH118
        for name in (reference, unquote(reference))
    ]
    # an address has %20 where a file has a space; a file may have %20 itself
    return names[0] if os.path.exists(names[0]) else names[1]  # noqa: PTH110


def _number(facts: Facts, key: str) -> float | None:
    value = facts.get(f'raster:{key}', facts.get(key))
    if isinstance(value, str) and value.lower() in ('nan', 'inf', '-inf'):
        return float(value)
    return float(value) if isinstance(value, int | float) else None


def _mapping(value: object) -> Facts:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
