"""Finding optical and SAR images that belong together."""

from __future__ import annotations

import glob
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..._files import file_name
from ...rasters import SceneError
from ...rasters.text import read_json, read_rows

logger = logging.getLogger(__name__)

#: Files that count as rasters in a folder.
RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.img')

#: Files that count as lists of paths.
LIST_SUFFIXES = ('.txt', '.csv')

#: Where images come from: a file, URL, folder, glob, list or STAC item, or several of them.
Source = str | Path | Sequence[str | Path]


class ScenePair(NamedTuple):
    """An optical and a SAR image of one place."""

    #: Name of the scene, for the output.
    name: str
    optical_path: str
    sar_path: str


def find_scenes(
    optical: Source, sar: Source | None = None, assets: tuple[str, str] = ('optical', 'sar')
) -> list[ScenePair]:
    """Find the optical and SAR images of scenes.

    A source is a raster (a VRT too, or a URL), a glob, a folder of rasters, a list, or a
    sequence of these. A list is a ``.txt`` or ``.csv`` file with a path per line, relative to
    its own folder; a first line of column names is passed over.

    Optical and SAR images belong together if their names do, apart from words that only occur on
    one side: ``planet_cloudy_fall_1_p_457`` and ``S1_fall_1_p_457``. A single image on each side
    is always a pair.

    Without *sar*, the optical source names both: a list with two columns, or STAC item files.

    Args:
        optical: the optical images.
        sar: the SAR images.
        assets: keys of the optical and the SAR asset in a STAC item.

    Returns:
        the scenes, in the order of the optical images.

    Raises:
        FileNotFoundError: if a source has no images.
        ValueError: if images cannot be paired.
    """
    if sar is None:
        pairs = [pair for path in _several(optical) for pair in _named_pairs(path, assets)]
    else:
        pairs = _pair(_expand(optical), _expand(sar))
    names = Counter(pair.name for pair in pairs)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise ValueError(
            f'Several scenes are called {", ".join(twice[:5])}: their maps would replace each '
            'other. Map them into folders of their own, or rename the optical images.'
        )
    return pairs


def map_path(output_dir: str | Path, scene: ScenePair) -> Path:
    """Where the map of a scene goes.

    Args:
        output_dir: the folder.
        scene: the scene.

    Returns:
        the file name.
    """
    return Path(output_dir) / f'{file_name(scene.name)}_map.tif'


def _several(source: Source) -> list[str]:
    return [str(source)] if isinstance(source, str | Path) else [str(path) for path in source]


def _expand(source: Source) -> list[str]:
    """Paths of all rasters of a source."""
    return [raster for path in _several(source) for raster in _expand_one(path)]


def _expand_one(path: str) -> list[str]:
    if '://' in path or path.startswith('/vsi'):
        return [path]
    if Path(path).is_dir():
        files = sorted(Path(path).iterdir())
        found = [str(file) for file in files if file.suffix.lower() in RASTER_SUFFIXES]
        return _some(found, path, f'rasters ({", ".join(RASTER_SUFFIXES)})')
    if not Path(path).exists():
        if glob.has_magic(path):
            return _matches(path)
        raise FileNotFoundError(f'{path}: no such file or folder. Check the path.')
    if Path(path).suffix.lower() in LIST_SUFFIXES:
        return _some([row[0] for row in _rows(Path(path))], path, 'a path per line')
    return [path]


def _matches(pattern: str) -> list[str]:
    # Path.glob refuses absolute patterns
    return _some(sorted(glob.glob(pattern, recursive=True)), pattern, 'a match')  # noqa: PTH207


def _some(found: list[str], path: str, expected: str) -> list[str]:
    if not found:
        raise FileNotFoundError(f'{path}: found nothing, expected {expected}.')
    return found


def _rows(path: Path) -> list[list[str]]:
    """Rows of a list, with paths that are relative to it made absolute."""
    rows = [[cell.strip() for cell in row if cell.strip()] for row in read_rows(path)]
    rows = [row for row in rows if row and not row[0].startswith('#')]
    paths = [[_beside(path, cell) for cell in row] for row in rows]
    if rows and all(word.isidentifier() for word in rows[0]):
        # plain words, none of which is a file, are names of columns
        return paths if any(Path(cell).exists() for cell in paths[0]) else paths[1:]
    return paths


def _beside(path: Path, reference: str) -> str:
    """A path as it is meant in a file."""
    if '://' in reference or reference.startswith('/'):
        return reference.removeprefix('file://')
    return str(path.parent / reference)


def _named_pairs(path: str, assets: tuple[str, str]) -> Iterator[ScenePair]:
    """Pairs that a list or a STAC item names."""
    for file in map(Path, _matches(path) if glob.has_magic(path) else [path]):
        if not file.is_file():
            raise FileNotFoundError(
                f'{file}: found no list and no STAC item, which name optical and SAR images. '
                'Give the SAR images too.'
            )
        if file.suffix.lower() in ('.json', '.geojson'):
            yield _stac_pair(file, assets)
            continue
        if file.suffix.lower() not in LIST_SUFFIXES:
            raise ValueError(f'{file}: there is no SAR image to it. Give the SAR images too.')
        rows = _rows(file)
        if not rows:
            raise FileNotFoundError(f'{file}: found nothing, expected a pair of paths per line.')
        for row in rows:
            if len(row) != 2:
                expected = 'two columns, the optical and the SAR image'
                raise ValueError(f'{file}: found {row}, expected {expected}.')
            yield ScenePair(Path(row[0]).stem, *row)


def _stac_pair(path: Path, assets: tuple[str, str]) -> ScenePair:
    """The images of a STAC item."""
    item = read_json(path)
    try:
        found, name = dict(item['assets']), str(item['id'])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: found no STAC item ({error!r}), expected its JSON file.'
        ) from error
    missing = [asset for asset in assets if asset not in found]
    if missing:
        raise ValueError(
            f'{path}: found the assets {sorted(found)}, expected {missing}. Say which asset is '
            'the optical and which is the SAR image.'
        )
    for asset in assets:
        facts = found[asset]
        if not isinstance(facts, dict) or not isinstance(facts.get('href'), str):
            raise SceneError(path, f'no address in the asset {asset!r}', 'a text as its href')
    optical, sar = (_beside(path, found[asset]['href']) for asset in assets)
    return ScenePair(name, optical, sar)


def _pair(optical: list[str], sar: list[str]) -> list[ScenePair]:
    """Pair images by their names."""
    if len(optical) == len(sar) == 1:
        return [ScenePair(Path(optical[0]).stem, optical[0], sar[0])]
    words = [{word for path in side for word in _words(path)} for side in (optical, sar)]
    common = words[0] & words[1]
    # paths of both sides by the words that both have
    alike: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for side, paths in enumerate((optical, sar)):
        for path in paths:
            key = tuple(word for word in _words(path) if word in common)
            alike.setdefault(key, ([], []))[side].append(path)
    pairs, problems, unused = [], [], []
    for ours, theirs in alike.values():
        if len(ours) == len(theirs) == 1:
            pairs.append(ScenePair(Path(ours[0]).stem, ours[0], theirs[0]))
        elif ours:
            found = ', '.join(theirs[:3]) or 'no SAR image of a similar name'
            problems += [f'{path}: {found}' for path in ours]
        else:
            unused += theirs
    if problems:
        raise ValueError(
            f'{len(problems)} of {len(optical)} optical images have not exactly one SAR image of '
            'their own:\n  '
            + '\n  '.join(problems[:20])
            + '\nName the pairs in a .csv file with two columns instead.'
        )
    if unused:
        logger.warning('%d SAR image(s) without optical image, such as %s', len(unused), unused[0])
    return pairs


def _words(path: str) -> list[str]:
    return re.split(r'[^A-Za-z0-9]+', Path(path).stem)
