"""Small products in the layouts of the archives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine
from rasterio.warp import transform

CRS = 'EPSG:32632'
LEFT, TOP = 600_000.0, 5_300_000.0

#: Meters of a side.
SIDE = 2400

#: Namespace of the metadata of Sentinel-2, by which GDAL tells how files are called.
PSD = 'https://psd-14.sentinel2.eo.esa.int/PSD'

#: Stored value of each Sentinel-2 band, before the offset.
LEVEL = {name: 500 + 300 * i for i, name in enumerate(
    ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B10', 'B11', 'B12')
)}  # fmt: skip


def write_band(
    path: Path, value: float, pixel: float, dtype: str = 'uint16', **profile: Any
) -> Path:
    """A band of about one value; a stripe of its left tenth is 0."""
    size = int(SIDE / pixel)
    rng = np.random.default_rng(int(abs(value)) + size)
    pixels = value * rng.uniform(0.8, 1.2, (1, size, size))
    pixels[:, :, : size // 10] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    jp2 = {'driver': 'JP2OpenJPEG', 'QUALITY': '100', 'REVERSIBLE': 'YES'}
    place = {'crs': CRS, 'transform': Affine(pixel, 0, LEFT, 0, -pixel, TOP)}
    kind = {'driver': 'GTiff', 'dtype': dtype, 'count': 1, 'height': size, 'width': size}
    kind |= place | (jp2 if path.suffix == '.jp2' else {}) | profile
    with rasterio.open(path, 'w', **kind) as raster:
        raster.write(pixels.astype(kind['dtype']))
    return path


def write_sentinel2(
    folder: Path, day: str = '20200701', level: str = 'L2A', offset: int = -1000
) -> Path:
    """A SAFE folder; without offset, of an early baseline."""
    baseline = 'N0400' if offset else 'N0214'
    safe = folder / f'S2A_MSI{level}_{day}T101559_{baseline}_R065_T32UQD_{day}T130000.SAFE'
    images = safe / 'GRANULE' / f'{level}_T32UQD_A026241_{day}T101559' / 'IMG_DATA'
    sizes = {'B02': 10, 'B03': 10, 'B04': 10, 'B08': 10, 'B01': 60, 'B09': 60, 'B10': 60}
    bands = [b for b in LEVEL if level == 'L1C' or b != 'B10']
    for band in bands:
        pixel = sizes.get(band, 20)
        steps = [pixel] if level == 'L1C' else [s for s in (10, 20, 60) if s >= pixel]
        for step in steps:
            where = images / f'R{step}m' if level == 'L2A' else images
            ending = f'_{step}m' if level == 'L2A' else ''
            write_band(
                where / f'T32UQD_{day}T101559_{band}{ending}.jp2', LEVEL[band] - offset, step
            )
    others = ('SCL', 'AOT') if level == 'L2A' else ('TCI',)
    for name in others:
        write_band(
            images / ('R20m' if level == 'L2A' else '') / f'T32UQD_{day}T101559_{name}_20m.jp2',
            4,
            20,
            'uint8',
        )
    kind = 'BOA' if level == 'L2A' else 'RADIO'
    listed = ''.join(
        f'<{kind}_ADD_OFFSET band_id="{i}">{offset}</{kind}_ADD_OFFSET>' for i in range(13)
    )
    listed = f'<{kind}_ADD_OFFSET_VALUES_LIST>{listed}</{kind}_ADD_OFFSET_VALUES_LIST>' * bool(
        offset
    )
    unit = 'BOA_QUANTIFICATION_VALUE' if level == 'L2A' else 'QUANTIFICATION_VALUE'
    # as far as GDAL looks for subdatasets
    files = sorted(images.rglob('*_B*.jp2')) if level == 'L2A' else sorted(images.glob('*_B*.jp2'))
    named = ''.join(
        f'<IMAGE_FILE>{file.relative_to(safe).with_suffix("")}</IMAGE_FILE>' for file in files
    )
    level_name = f'Level-{level[1:]}'
    product, tile = f'{level_name}_User_Product', f'{level_name}_Tile_ID'
    schema = f'{PSD}/User_Product_{level_name}.xsd'
    (safe / f'MTD_MSI{level}.xml').write_text(
        f'<n1:{product} xmlns:n1="{schema}"><n1:General_Info><Product_Info>'
        f'<PRODUCT_URI>{safe.name}</PRODUCT_URI>'
        '<Query_Options><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>'
        f'<Product_Organisation><Granule_List><Granule granuleIdentifier="{images.parent.name}" '
        f'imageFormat="JPEG2000">{named}</Granule></Granule_List></Product_Organisation>'
        '</Product_Info>'
        f'<Product_Image_Characteristics><{unit} unit="none">10000</{unit}>{listed}'
        f'</Product_Image_Characteristics></n1:General_Info></n1:{product}>'
    )
    sizes = ''.join(
        f'<Size resolution="{step}"><NROWS>{SIDE // step}</NROWS><NCOLS>{SIDE // step}</NCOLS>'
        f'</Size><Geoposition resolution="{step}"><ULX>{LEFT:.0f}</ULX><ULY>{TOP:.0f}</ULY>'
        f'<XDIM>{step}</XDIM><YDIM>-{step}</YDIM></Geoposition>'
        for step in (10, 20, 60)
    )
    (images.parent / 'MTD_TL.xml').write_text(
        f'<n1:{tile} xmlns:n1="/S2_PDI_{level_name}_Tile_Metadata.xsd"><n1:Geometric_Info>'
        '<Tile_Geocoding>'
        f'<HORIZONTAL_CS_CODE>{CRS}</HORIZONTAL_CS_CODE>{sizes}</Tile_Geocoding>'
        f'</n1:Geometric_Info></n1:{tile}>'
    )
    return safe


def write_sentinel1(folder: Path, day: str = '20200703', calibrated: bool = True) -> Path:
    """A GRD product over a little more than the same ground, of about -12 and -18 dB."""
    safe = folder / f'S1A_IW_GRDH_1SDV_{day}T052500_{day}T052525_033300_03DBE0_ABCD.SAFE'
    rows = cols = 300
    places = [(r, c) for r in np.linspace(0, rows, 4) for c in np.linspace(0, cols, 5)]
    xs = [LEFT - 300 + 10 * c for _, c in places]
    ys = [TOP + 300 - 10 * r for r, _ in places]
    lon, lat = transform(CRS, 'EPSG:4326', xs, ys)
    points = [
        GroundControlPoint(r, c, x, y, 200) for (r, c), x, y in zip(places, lon, lat, strict=True)
    ]
    columns = np.arange(cols) + 0.5
    constant = 400 + columns / 3
    rng = np.random.default_rng(0)
    for number, (name, level) in enumerate({'vv': -12.0, 'vh': -18.0}.items(), start=1):
        stem = f's1a-iw-grd-{name}-{day}t052500-{day}t052525-033300-03dbe0-00{number}'
        path = safe / 'measurement' / f'{stem}.tiff'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = constant * 10 ** (level / 20) * rng.uniform(0.95, 1.05, (rows, cols))
        pixels[:, :12] = 0
        kind = {'driver': 'GTiff', 'dtype': 'uint16', 'count': 1, 'height': rows, 'width': cols}
        with rasterio.open(path, 'w', **kind) as raster:
            raster.write(np.rint(pixels).astype(np.uint16), 1)
            raster.gcps = points, rasterio.CRS.from_epsg(4326)
        if calibrated:
            knots = np.unique(np.append(np.arange(0, cols, 40), cols - 1))
            texts = [' '.join(map(str, x)) for x in (knots, 400 + (knots + 0.5) / 3)]
            vectors = ''.join(
                f'<calibrationVector><line>{line}</line><pixel count="9">{texts[0]}</pixel>'
                f'<sigmaNought count="9">{texts[1]}</sigmaNought></calibrationVector>'
                for line in (0, 150, 299)
            )
            table = safe / 'annotation' / 'calibration' / f'calibration-{stem}.xml'
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(
                f'<calibration><calibrationVectorList>{vectors}</calibrationVectorList></calibration>'
            )
    (safe / 'manifest.safe').write_text('<xfdu:XFDU xmlns:xfdu="x"/>')
    return safe


def write_landsat(folder: Path, level: str = 'L2SP') -> Path:
    """A Collection 2 scene; red is of reflectance 0.04, other bands of 0.01 per number."""
    name = f'LC08_{level}_193027_20200701_20200913_02_T1'
    scene = folder / name
    surface = level == 'L2SP'
    scale, offset = (2.75e-5, -0.2) if surface else (2e-5, -0.1)
    facts = ''
    for band in range(1, 8):
        ending = f'SR_B{band}' if surface else f'B{band}'
        write_band(scene / f'{name}_{ending}.TIF', (band / 100 - offset) / scale, 30, nodata=0)
        facts += f'    REFLECTANCE_MULT_BAND_{band} = {scale}\n'
        facts += f'    REFLECTANCE_ADD_BAND_{band} = {offset}\n'
    write_band(scene / f'{name}_QA_PIXEL.TIF', 21824, 30)
    text = f'GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS\n{facts}    SUN_ELEVATION = 30.0\nEND\n'
    (scene / f'{name}_MTL.txt').write_text(text)
    return scene


def write_planet(folder: Path, day: str = '20200701') -> Path:
    """An order with one image of four bands and its mask."""
    name = f'{day}_101010_1032'
    files = folder / 'PSScene' / name / 'analytic_sr_udm2'
    levels = np.array([700, 900, 1100, 3000])[:, None, None]
    pixels = np.random.default_rng(1).uniform(0.8, 1.2, (4, 800, 800)) * levels
    place = {'crs': CRS, 'transform': Affine(3, 0, LEFT, 0, -3, TOP), 'height': 800, 'width': 800}
    files.mkdir(parents=True)
    image = files / f'{name}_3B_AnalyticMS_SR_clip.tif'
    with rasterio.open(image, 'w', driver='GTiff', count=4, dtype='uint16', nodata=0, **place) as r:
        r.write(pixels.astype(np.uint16))
    mask = files / f'{name}_3B_udm2_clip.tif'
    with rasterio.open(mask, 'w', driver='GTiff', count=8, dtype='uint8', **place) as r:
        r.write(np.ones((8, 800, 800), np.uint8))
    (folder / 'manifest.json').write_text('{}')
    return folder


def write_item(path: Path, name: str, assets: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """A STAC item; written where the path ends in .json."""
    properties = {'datetime': '2020-07-01T10:15:59Z', **facts.pop('properties', {})}
    item = {
        'type': 'Feature', 'stac_version': '1.0.0', 'id': name, 'properties': properties,
        'geometry': None, 'links': [], 'assets': dict(assets), **facts,
    }  # fmt: skip
    if path.suffix == '.json':
        path.write_text(json.dumps(item))
    return item
