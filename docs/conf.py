"""How the site is built: ``sphinx-build -W docs docs/_build/html``.

Without a network nothing is missing but links into the documentation of other projects; with one,
``CLOUDSEG_DOCS_ONLINE=1`` adds them. ``CLOUDSEG_DOCS_EXECUTE=off`` leaves notebooks unexecuted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from torchgeo_cloudseg import __version__

project = 'torchgeo-cloudseg'
author = 'The torchgeo-cloudseg developers'
copyright = author  # noqa: A001 - the name that Sphinx reads
version = release = __version__

extensions = [
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
    'sphinx_design',
    # equations without a network
    'sphinx-mathjax-offline',
    'myst_nb',
]
templates_path = ['_templates']
exclude_patterns = ['_build', '_templates', '**/.ipynb_checkpoints']
# terms are TorchGeo's, in docstrings that are inherited
suppress_warnings = ['config.cache', 'ref.term']

# pages
myst_enable_extensions = ['colon_fence', 'dollarmath', 'deflist']
myst_heading_anchors = 3
copybutton_prompt_text = r'\$ |>>> |\.\.\. '
copybutton_prompt_is_regexp = True

# notebooks
nb_execution_mode = os.environ.get('CLOUDSEG_DOCS_EXECUTE', 'cache')
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_execution_excludepatterns = ['*.md.txt']
nb_merge_streams = True
# remarks of libraries about notebooks
nb_output_stderr = 'remove'

# docstrings
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_default_options = {'members': True, 'show-inheritance': True, 'member-order': 'bysource'}
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
autoclass_content = 'both'
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

#: Rooms with public names, in the order of the house.
ROOMS = (
    'rasters', 'index', 'datasets', 'samplers', 'transforms', 'miniature', 'models', 'losses',
    'metrics', 'datamodules', 'inference', 'trainers',
)  # fmt: skip


def _own_names(room: str) -> list[str]:
    """Public names of a room, without what it passes on from another one."""
    module = import_module(room)
    homes = {name: getattr(getattr(module, name), '__module__', room) for name in module.__all__}
    return [name for name, home in homes.items() if home.startswith(room) or home == 'typing']


own_names = {f'torchgeo_cloudseg.{room}': _own_names(f'torchgeo_cloudseg.{room}') for room in ROOMS}
autosummary_context = {'own_names': own_names}


def _tell_tables(*event: Any) -> None:
    """Say what is in a table, in place of what a dict is."""
    _, _, _, obj, _, lines = event
    if isinstance(obj, dict):
        lines[:] = [f'Table by name: {", ".join(map(str, obj))}.']


#: Pages of this folder that stand elsewhere in the menu.
PLACED = ('index', 'getting_started', 'method', 'architecture', 'results')


def _gather(*event: Any) -> None:
    """List all other pages of this folder where the how-tos are, and results if there are any."""
    source = event[-1]
    here = {page.stem for page in Path(__file__).parent.glob('*.md')}
    pages = '\n'.join(f'../{page}' for page in sorted(here.difference(PLACED)))
    source[0] = source[0].replace('@PAGES@', pages)
    source[0] = source[0].replace('@RESULTS@', 'results' if 'results' in here else '')


def setup(app: Any) -> None:
    """Connect."""
    app.connect('autodoc-process-docstring', _tell_tables)
    app.connect('source-read', _gather)


if os.environ.get('CLOUDSEG_DOCS_ONLINE'):
    extensions.append('sphinx.ext.intersphinx')
    intersphinx_mapping = {
        'python': ('https://docs.python.org/3', None),
        'torch': ('https://docs.pytorch.org/docs/stable', None),
        'torchgeo': ('https://torchgeo.readthedocs.io/en/stable', None),
        'lightning': ('https://lightning.ai/docs/pytorch/stable', None),
        'numpy': ('https://numpy.org/doc/stable', None),
        'rasterio': ('https://rasterio.readthedocs.io/en/stable', None),
    }

html_theme = 'pydata_sphinx_theme'
html_title = project
html_show_sourcelink = False
# pages without a section have nothing to list
html_sidebars = {page: [] for page in ('getting_started', 'method', 'results')}
html_theme_options = {
    'show_toc_level': 2,
    'navigation_with_keys': False,
    'navbar_align': 'left',
    'header_links_before_dropdown': 6,
    'footer_start': ['copyright'],
    'footer_end': ['theme-version'],
    'secondary_sidebar_items': ['page-toc'],
}
