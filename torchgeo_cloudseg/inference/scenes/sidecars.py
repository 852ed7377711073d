"""What other software is told of a map: a style for QGIS, its footprint, a STAC item."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from shapely.geometry import shape

from ... import __version__
from ..._choices import Product
from ...datasets.products import day_in
from ...datasets.scene_spec import MAP_NODATA, SceneSpec
from ...rasters import Grid, crs_string, footprint, is_local, name_of

#: Products that are written here.
SIDECARS: tuple[Product, ...] = ('qgis', 'footprint', 'stac')

#: Type of the files, by product; all others are rasters.
MEDIA = {
    'quicklook': 'image/png',
    'qgis': 'application/xml',
    'footprint': 'application/geo+json',
}
GEOTIFF = 'image/tiff; application=geotiff; profile=cloud-optimized'

#: What an asset is for, by product; all others are data.
ROLES = {'quicklook': 'overview', 'qgis': 'metadata', 'footprint': 'metadata'}


def save_sidecars(
    folder: Path,
    outputs: Mapping[Product, Path],
    inputs: Sequence[tuple[str, str]],
    spec: SceneSpec,
    grid: Grid,
    model: str,
) -> list[Path]:
    """Save what is wanted for other software.

    Args:
        folder: where to save it; the map is there already.
        outputs: files of the map by product, as they will be called.
        inputs: the optical and the SAR image of every date.
        spec: classes and their colors.
        grid: the grid of the map.
        model: name of the network.

    Returns:
        the files.
    """
    classes = folder / outputs['classes'].name
    paths = {product: folder / file.name for product, file in outputs.items()}
    if 'qgis' in paths:
        save_style(paths['qgis'], spec)
    if 'footprint' in paths:
        save_footprint(paths['footprint'], classes)
    if 'stac' in paths:
        save_stac_item(paths['stac'], classes, outputs, inputs, spec, grid, model)
    return [paths[product] for product in SIDECARS if product in paths]


def save_style(path: Path, spec: SceneSpec) -> None:
    """Save a style of QGIS, which takes it up with a map of the same name.

    Args:
        path: the file, ``.qml``.
        spec: classes and their colors.
    """
    root = ElementTree.Element('qgis', version='3.28', styleCategories='Symbology')
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, 'pipe'), 'rasterrenderer',
        type='paletted', band='1', opacity='1', alphaBand='-1', nodataColor='',
    )  # fmt: skip
    palette = ElementTree.SubElement(renderer, 'colorPalette')
    pairs = zip(spec.class_names, spec.class_colors, strict=True)
    for value, (name, color) in enumerate(pairs):
        facts = {'value': str(value), 'color': f'#{bytes(color).hex()}', 'alpha': '255'}
        ElementTree.SubElement(palette, 'paletteEntry', {**facts, 'label': name})
    ElementTree.SubElement(root, 'blendMode').text = '0'
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    path.write_text(head + ElementTree.tostring(root, encoding='unicode') + '\n', encoding='utf-8')


def save_footprint(path: Path, classes_path: Path) -> None:
    """Save the outline of the data of a map.

    Args:
        path: the file, ``.geojson``.
        classes_path: the map.
    """
    feature = {'type': 'Feature', 'properties': {}, 'geometry': footprint(str(classes_path))}
    path.write_text(json.dumps({'type': 'FeatureCollection', 'features': [feature]}) + '\n')


def save_stac_item(
    path: Path,
    classes_path: Path,
    outputs: Mapping[Product, Path],
    inputs: Sequence[tuple[str, str]],
    spec: SceneSpec,
    grid: Grid,
    model: str,
) -> None:
    """Save a STAC item of a map.

    Extensions are not declared, so that it is valid without a look at the network; their fields
    have the meaning that they have there.

    Args:
        path: the file, ``.json``.
        classes_path: the map.
        outputs: its files by product, as they will be called.
        inputs: the optical and the SAR image of every date.
        spec: classes and their colors.
        grid: the grid of the map.
        model: name of the network.
    """
    geometry = footprint(str(classes_path))
    software = {'torchgeo-cloudseg': __version__} | ({'model': model} if model else {})
    names = [(name_of(optical), name_of(sar)) for optical, sar in inputs]
    pairs = '; '.join(f'{optical} and {sar}' for optical, sar in names)
    times = sorted({_time_of(pair, classes_path) for pair in names})
    # an item of several times has none of its own
    span = {'start_datetime': times[0], 'end_datetime': times[-1]} if times[1:] else {}
    properties = {
        'datetime': None if span else times[0],
        **span,
        'processing:software': software,
        'processing:lineage': f'Land cover of {pairs}, through clouds.',
        'proj:code': crs_string(grid.crs) if crs_string(grid.crs).startswith('EPSG') else None,
        'proj:shape': [grid.height, grid.width],
        'proj:transform': list(grid.transform)[:6],
    }
    item = {
        'type': 'Feature', 'stac_version': '1.1.0', 'stac_extensions': [], 'id': path.stem,
        'geometry': geometry, 'bbox': list(shape(geometry).bounds), 'properties': properties,
        'links': [], 'assets': {
            product: _asset(product, file, spec)
            for product, file in outputs.items() if product != 'stac'
        },
    }  # fmt: skip
    path.write_text(json.dumps(item, indent=1) + '\n')


def _asset(product: str, file: Path, spec: SceneSpec) -> dict[str, Any]:
    asset: dict[str, Any] = {
        'href': f'./{file.name}', 'type': MEDIA.get(product, GEOTIFF),
        'roles': [ROLES.get(product, 'data')], 'title': product,
    }  # fmt: skip
    if product == 'classes':
        asset['bands'] = [{'name': 'land cover', 'data_type': 'uint8', 'nodata': MAP_NODATA}]
        asset['classification:classes'] = class_objects(spec)
    return asset


def class_objects(spec: SceneSpec) -> list[dict[str, Any]]:
    """Classes as STAC's classification extension has them.

    Args:
        spec: classes and their colors.

    Returns:
        an object for each class, by value.
    """
    pairs = zip(spec.class_names, spec.class_colors, strict=True)
    return [
        {
            'value': value,
            'name': re.sub(r'[^0-9A-Za-z_-]+', '-', name),
            'description': name,
            'color_hint': bytes(color).hex().upper(),
        }
        for value, (name, color) in enumerate(pairs)
    ]


def _time_of(names: tuple[str, str], classes_path: Path) -> str:
    """When the ground was seen; where no name tells, when the optical file was last changed."""
    for name in names:
        if day := day_in(name):
            return f'{day.isoformat()}T00:00:00Z'
    optical = Path(names[0])
    file = optical if is_local(str(optical)) and optical.is_file() else classes_path
    return datetime.fromtimestamp(int(file.stat().st_mtime), UTC).isoformat().replace('+00:00', 'Z')
