"""Rasters: opening, reading, warping and writing. No other room calls rasterio."""

from .archive import ArchivePath, folder_at
from .calibrated import divided_band
from .cog import RasterLayer, write_cog
from .errors import SceneError, ScenesError, unreadable_folder
from .footprint import footprint
from .grid import Grid, Take, exact_scale, nearest, size_at
from .header import Header, crs_string, read_array_header, read_header
from .image import Image
from .installed import gdal_version, missing_drivers
from .mosaic import mosaic
from .name import gdal_name, is_local, name_of, on_disk, sources_of, without_scheme
from .open import block_cache, file_state, open_raster, reading, seeing_sidecars
from .place import has_place, overlap, overlapping_share, place_text
from .raw import count_images, raw_image
from .stack import Band, band_stack
from .warp import Resampling, transform_bounds, warp, window_under
from .window import only_value, read_window
from .write import RasterWriter, write_array, write_geotiff

__all__ = (
    'ArchivePath',
    'Band',
    'Grid',
    'Header',
    'Image',
    'RasterLayer',
    'RasterWriter',
    'Resampling',
    'SceneError',
    'ScenesError',
    'Take',
    'band_stack',
    'block_cache',
    'count_images',
    'crs_string',
    'divided_band',
    'exact_scale',
    'file_state',
    'folder_at',
    'footprint',
    'gdal_name',
    'gdal_version',
    'has_place',
    'is_local',
    'missing_drivers',
    'mosaic',
    'name_of',
    'nearest',
    'on_disk',
    'only_value',
    'open_raster',
    'overlap',
    'overlapping_share',
    'place_text',
    'raw_image',
    'read_array_header',
    'read_header',
    'read_window',
    'reading',
    'seeing_sidecars',
    'size_at',
    'sources_of',
    'transform_bounds',
    'unreadable_folder',
    'warp',
    'window_under',
    'without_scheme',
    'write_array',
    'write_cog',
    'write_geotiff',
)
