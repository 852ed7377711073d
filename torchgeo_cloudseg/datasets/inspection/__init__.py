"""Looking at a folder of images: facts, kinds, pairing, oddities, and a configuration of them."""

from .check import check_declaration
from .configuration import roles, write_configuration
from .inspection import Inspection, inspect_images
from .judgment import judge

__all__ = (
    'Inspection',
    'check_declaration',
    'inspect_images',
    'judge',
    'roles',
    'write_configuration',
)
