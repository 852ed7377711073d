"""Which files hold a modality of a folder of images, and what they hold."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...index import Layer
from ...rasters import SceneError
from ..products.found import PICTURE_SUFFIXES, RASTER_SUFFIXES
from ..scene_spec import Range

#: Endings of files that count as images in a folder.
SUFFIXES = (*RASTER_SUFFIXES, *PICTURE_SUFFIXES, '.npy')

#: Files that GDAL and geographic information systems put beside images.
SIDECARS = ('.aux.xml', '.ovr', '.msk', '.tfw', '.xml')

#: Days in names of files: 20200701, 2020-07-01 or 2020_07_01.
DAY = r'(?<!\d)((?:19|20)\d\d)([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)'

#: How the files of a modality are found: folders, files or patterns; by band where each has its
#: own.
Files = str | Path | list[str | Path] | dict[str, str | Path | list[str | Path]]

#: How values are given in YAML: two numbers for all bands, or two lists with one for each.
Ends = tuple[float, float] | tuple[list[float], list[float]]


@dataclass(frozen=True)
class Modality:
    """Files of one kind, such as all optical images, and what they hold.

    Attributes:
        files: folder, file or pattern (``optical/*.tif``, ``**`` for all folders below), or
            several of them, below the root of the data set; by the names of bands where every
            band is a file of its own.
        bands: names of the bands, in order (defaults to the names under *files*; one band where
            these are not by band).
        numbers: which bands of the files these are, counted from 1 (defaults to all that the
            files have, which must be as many).
        range: stored values that are brought to 0 and 1, two numbers, or two lists of one number
            per band; images need it.
        nodata: stored value of pixels without data.
        codes: of a cloud mask, the stored values that are clouds; all others are clear.
        pair: how files are paired with the images on whose grid samples lie: by ``name``, or by
            ``place`` (those that cover most of the image, of several the nearest in time). A
            single file is for all images.
        name: regular expression for the name of a file without its ending, whose groups are what
            files of a scene have in common (defaults to all words but those that all files of
            the modality have, and not all files of the others).
        max_days: with ``place``, largest distance in time.

    Example:
        >>> sentinel_2 = Modality('s2/*.tif', bands=['B02', 'B03', 'B04', 'B08'], range=(0, 10000))
        >>> sentinel_1 = Modality({'VV': 's1/*_VV.tif', 'VH': 's1/*_VH.tif'}, range=(-30, 0))
        >>> corine = Modality('corine.tif')  # of all images
        >>> corine.pair
        'name'
    """

    files: Files
    bands: list[str] | None = None
    numbers: list[int] | None = None
    range: Ends | None = None
    nodata: float | None = None
    codes: list[int] = field(default_factory=lambda: [1])
    pair: Literal['name', 'place'] = 'name'
    name: str | None = None
    max_days: float | None = None

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        if self.bands:
            return tuple(self.bands)
        if isinstance(self.files, Mapping):
            return tuple(self.files)
        return tuple(f'band {number}' for number in self.numbers or [1])

    @property
    def ends(self) -> Range:
        """The range as a data set states it.

        Raises:
            ValueError: if there is none.
        """
        if self.range is None:
            raise ValueError('range: missing; give the stored values that are brought to 0 and 1.')
        low, high = ([end] if isinstance(end, int | float) else end for end in self.range)
        return tuple(map(float, low)), tuple(map(float, high))

    def layer(self, key: str, npy: bool) -> Layer:
        """What the engine is told of it.

        Args:
            key: key of the sample.
            npy: whether its files are ``.npy`` files.

        Returns:
            the layer, whose files may lie anywhere.
        """
        images = not key.startswith('mask')
        return Layer(
            key,
            key,
            self.band_names,
            suffix='.npy' if npy else '',
            categorical=not images,
            nodata=self.nodata if images else None,
            # of an optical image, NaN stands for no data
            may_be_nan=key == 'image_sar' or (images and self.nodata is None),
            numbers=tuple(self.numbers or ()),
            anywhere=True,
        )

    def check(self, key: str) -> list[str]:
        """What is wrong with the declaration, before any file is looked at.

        Args:
            key: key of the sample.

        Returns:
            sentences that say what and how to mend it.
        """
        wrong: list[str] = []
        count = len(self.band_names)
        if isinstance(self.files, Mapping):
            unknown = [band for band in self.band_names if band not in self.files]
            if unknown:
                wrong.append(f'bands {unknown} are not under `files`: {list(self.files)}.')
            if self.numbers:
                wrong.append('give `numbers` only where one file holds all bands.')
        elif self.numbers and len(self.numbers) != count:
            wrong.append(f'{len(self.numbers)} numbers for {count} bands; give one for each.')
        if self.numbers and min(self.numbers) < 1:
            wrong.append(f'numbers={self.numbers} count from 1.')
        if not key.startswith('mask'):
            wrong += self._check_range(count)
        elif count > 1 and key == 'mask':
            wrong.append(f'labels have one band, not {count}; give `numbers` with one number.')
        if self.name is not None:
            try:
                re.compile(self.name)
            except re.error as error:
                wrong.append(f'name={self.name!r} is no regular expression: {error}.')
        return [f'{key}: {text}' for text in wrong]

    def _check_range(self, count: int) -> list[str]:
        if self.range is None:
            return ['`range` is missing; `cloudseg inspect` suggests one.']
        low, high = self.ends
        if not {len(low), len(high)} <= {1, count}:
            return [f'`range` has {len(low)} and {len(high)} ends; give 1 or {count} of each.']
        if not (np.array(low) < np.array(high)).all():
            return [f'range={self.range}: the lower end must be below the upper one.']
        return []

    def find(self, root: Path) -> tuple[dict[str, list[str]], list[SceneError]]:
        """The files, by band where every band has its own.

        Args:
            root: root of the data set, for relative patterns.

        Returns:
            sorted paths by band ('' for files with all bands), and what patterns found nothing.
        """
        sides = self.files if isinstance(self.files, Mapping) else {'': self.files}
        wanted = {band: sides[band] for band in self.band_names if band in sides} or sides
        found, problems = {}, []
        for band, patterns in wanted.items():
            paths: dict[str, None] = {}
            for pattern in [patterns] if isinstance(patterns, str | Path) else patterns:
                matches = expand(root, str(pattern))
                paths |= dict.fromkeys(matches)
                if not matches:
                    place = os.path.join(root, pattern)  # noqa: PTH118 - may be an address
                    remedy = 'Correct `files`; patterns are relative to `root`.'
                    problems.append(SceneError(place, 'no file', 'images', remedy))
            found[band] = sorted(paths)
        return found, problems


def expand(root: Path, pattern: str) -> list[str]:
    """Files of a folder, a pattern or a path.

    Args:
        root: where relative ones start.
        pattern: folder (with all folders below), pattern, file, or what else GDAL reads.

    Returns:
        the files, without hidden ones and sidecars; of a folder, images only.
    """
    if '://' in pattern or pattern.startswith('/vsi'):
        return [pattern]
    path = os.path.normpath(os.path.join(root, pattern))  # noqa: PTH118 - may be a pattern
    found: set[str] = set()
    # absolute patterns, too, and files whose names look like one
    for match in [path] if os.path.exists(path) else glob.iglob(path, recursive=True):  # noqa: PTH110, PTH207
        if os.path.isdir(match):  # noqa: PTH112
            below = glob.iglob(os.path.join(glob.escape(match), '**'), recursive=True)  # noqa: PTH118, PTH207
            found |= {file for file in below if file.lower().endswith(SUFFIXES)}
        elif not match.lower().endswith(SIDECARS):
            found.add(match)
    return sorted(found)


def stem_of(path: str) -> str:
    """Name of a file without folder and ending."""
    return re.split(r'[/\\]', path)[-1].rpartition('.')[0] or path


def day_of(path: str) -> pd.Timestamp | None:
    """The day that the name of a file names.

    Args:
        path: the file.

    Returns:
        the first day; None where there is none.
    """
    found = re.search(DAY, stem_of(path))
    if found is None:
        return None
    day: Any = pd.to_datetime(''.join(found.group(1, 3, 4)), errors='coerce')
    return None if pd.isna(day) else day


#: Files by what they have in common with files of other sides, by side.
Keyed = dict[str, dict[str, list[str]]]


def keys_of(
    sides: Mapping[str, Sequence[str]], patterns: Mapping[str, str | None]
) -> tuple[Keyed, list[SceneError]]:
    """What the names of files of one scene have in common.

    Without a regular expression, that is all words but those that all files of a side have, and
    not all files of the others: ``s2_cloudy_12_p3`` and ``s1_12_p3`` are both ``12_p3``.

    Args:
        sides: files of each modality, or of each band of one.
        patterns: regular expressions by side, see :class:`Modality`.

    Returns:
        by side, the files by what they have in common, and files whose name does not match.
    """
    words = {side: [_words(path) for path in paths] for side, paths in sides.items()}
    usual = {side: _in_all(lists) for side, lists in words.items()}
    common = set.intersection(*usual.values()) if usual else set()
    keyed: Keyed = {side: {} for side in sides}
    problems = []
    for side, paths in sides.items():
        pattern = patterns.get(side)
        for path, own in zip(paths, words[side], strict=True):
            kept = [word for word in own if word in common or word not in usual[side]]
            if pattern is not None:
                match = re.fullmatch(pattern, stem_of(path))
                if match is None:
                    expected = f'one that matches `name` ({pattern})'
                    remedy = 'Correct the expression, or narrow `files` down.'
                    problems.append(SceneError(path, 'this name', expected, remedy))
                    continue
                kept = [group for group in match.groups() or (match.group(),) if group]
            keyed[side].setdefault('_'.join(kept), []).append(path)
    return keyed, problems


def _words(path: str) -> list[str]:
    return [word for word in re.split(r'[^A-Za-z0-9]+', stem_of(path)) if word]


def _in_all(lists: Sequence[Sequence[str]]) -> set[str]:
    """Words that all names have."""
    return set.intersection(*map(set, lists)) if lists else set()
