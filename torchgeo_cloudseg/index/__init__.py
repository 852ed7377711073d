"""Tables of scenes and files: made in parallel, kept between runs, brought up to date."""

from .cached_table import IndexDir, IndexStore
from .footprints import project, project_each
from .layer import Layer, by_key
from .nominal import NominalPlaces
from .raster_table import datasets_by_crs
from .scene_table import SceneFiles, read_scene_table

__all__ = (
    'IndexDir',
    'IndexStore',
    'Layer',
    'NominalPlaces',
    'SceneFiles',
    'by_key',
    'datasets_by_crs',
    'project',
    'project_each',
    'read_scene_table',
)
