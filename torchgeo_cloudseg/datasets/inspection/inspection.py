"""Looking at a folder of images: what there is, which files belong together, what is odd."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import shapely

from ...index import SceneFiles, project_each
from ...rasters import SceneError
from ..scene_folder.division import SPLITS, Division
from ..scene_folder.modality import day_of
from ..scene_folder.pairing import COVERED, Pairing, pair_modalities
from .facts import Facts, find_facts
from .kinds import Images, find_pattern, settle_images, settle_mask, split_bands

#: Layers of products that are cloud masks.
CLOUD_LAYERS = {'SCL': 'scene classifications', 'UDM2': 'usable data masks'}

#: Titles of what is looked at, by sample key.
TITLES = {
    'image': 'Optical',
    'image_clear': 'Cloud-free',
    'image_sar': 'SAR',
    'mask_cloud': 'Cloud mask',
    'mask': 'Labels',
}


@dataclass
class Inspection:
    """What was found in a folder of images."""

    #: Folder below which all files lie.
    root: Path
    images: dict[str, Images] = field(default_factory=dict)
    pairing: Pairing = field(default_factory=Pairing)
    #: Rule and number of scenes that have a file by it, by sample key.
    pairs: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: Days between the image and the other files, where names tell both.
    days: dict[str, Counter[int]] = field(default_factory=dict)
    #: Share of scenes that others cover completely, by key; and whether scenes touch each other.
    covered: dict[str, float] = field(default_factory=dict)
    #: What cannot be used as it is, and what is odd.
    problems: list[SceneError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def reference(self) -> str:
        """The image on whose grid samples lie."""
        return next(key for key in TITLES if key in self.images and not key.startswith('mask'))

    @property
    def scenes(self) -> list[SceneFiles]:
        """Scenes that have all their files."""
        return self.pairing.scenes

    @cached_property
    def is_divisible(self) -> bool:
        """Whether blocks of ground leave every split a scene."""
        places = Outlines(self.images).places
        found = [places.get(scene.paths[self.reference], ('', ())) for scene in self.scenes]
        crs, boxes = [crs for crs, _ in found], [bounds for _, bounds in found]
        if not all(crs):
            return len(found) >= len(SPLITS)  # laid out apart from each other
        west, south, east, north = np.array(boxes).reshape(-1, 4).T
        table = pd.DataFrame({'scene': [scene.name for scene in self.scenes], 'crs': crs})
        table = table.assign(left=west, top=north, xres=east - west, yres=north - south)
        if table.empty:
            return False
        return {*SPLITS} <= {*Division().divide(table.assign(height=1, width=1), self.root)}


def inspect_images(sources: Mapping[str, str], seed: int = 0, progress: bool = True) -> Inspection:
    """Look at a folder of images.

    Args:
        sources: folder, file or pattern by sample key.
        seed: seed of the choice of pixels.
        progress: show progress bars.

    Returns:
        what there is.

    Raises:
        FileNotFoundError: if a source has no files.
        ValueError: if there is no image.
    """
    if not any(not key.startswith('mask') for key in sources):
        raise ValueError('There is no image: give optical or SAR images.')
    root, patterns = common_root(sources)
    found = Inspection(root)
    for key, pattern in patterns.items():
        kind: Literal['optical', 'sar'] | None = None
        if not key.startswith('mask'):
            kind = 'sar' if key == 'image_sar' else 'optical'
        found.images[key], others = split_bands(key, pattern, root, kind)
        masks = next((name for name in CLOUD_LAYERS if name in others), None)
        if masks is not None and 'mask_cloud' not in sources and key == 'image':
            paths = others[masks]
            found.remarks.append(
                f'{len(paths)} files are {CLOUD_LAYERS[masks]} ({masks}): taken as cloud masks'
            )
            place = find_pattern(pattern, root, paths)
            found.images['mask_cloud'] = Images('mask_cloud', {'': paths}, {'': place})
    found.images = {key: found.images[key] for key in TITLES if key in found.images}
    read_facts(found, seed, progress)
    for key, images in found.images.items():
        if key == 'mask_cloud':
            settle_mask(images)
        elif key != 'mask':
            settle_images(images, 'sar' if key == 'image_sar' else 'optical')
    choose_pairing(found)
    check_places(found)
    return found


def read_facts(found: Inspection, seed: int, progress: bool) -> None:
    """Read all files.

    Args:
        found: what is looked at; facts are added.
        seed: seed of the choice of pixels.
        progress: show progress bars.
    """
    for key, images in found.images.items():
        for band, paths in images.files.items():
            title = f'{TITLES[key]} {band}'.strip()
            codes = key.startswith('mask')
            images.facts[band] = find_facts(paths, title, codes, seed, progress, images.nodata)


def common_root(sources: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The folder below which all sources lie, and their patterns below it."""
    absolute = {key: os.path.abspath(source) for key, source in sources.items()}  # noqa: PTH100
    bases = []
    for source in absolute.values():
        base = Path(source)
        while glob.has_magic(str(base)) or not base.is_dir():
            base = base.parent
        bases.append(str(base))
    root = os.path.commonpath(bases)
    return Path(root), {key: os.path.relpath(source, root) for key, source in absolute.items()}


def choose_pairing(found: Inspection) -> None:
    """Pair files by name, and those by place of which names do not tell."""
    outlines = Outlines(found.images)
    reference = found.reference
    rules: dict[str, Literal['name', 'place']] = dict.fromkeys(found.images, 'name')
    total = len(next(iter(found.images[reference].files.values())))
    for key in found.images:
        if key == reference:
            continue
        counts: dict[str, int] = {}
        for rule in ('name', 'place'):
            if rule == 'place' and (counts['name'] == total or not outlines.known(reference, key)):
                continue
            pair = {reference: found.images[reference].modality()}
            pair[key] = found.images[key].modality(rule)
            made = pair_modalities(found.root, pair, reference, outlines, first_file)
            counts[rule] = len(made.scenes)
        rules[key] = 'place' if counts.get('place', 0) > counts['name'] else 'name'
    modalities = {key: images.modality(rules[key]) for key, images in found.images.items()}
    found.pairing = pair_modalities(found.root, modalities, reference, outlines, first_file)
    for key, rule in found.pairing.rules.items():
        found.pairs[key] = rule, sum(key in scene.paths for scene in found.pairing.scenes)
    found.problems += [*found.pairing.problems, *found.pairing.incomplete]
    count_days(found)


def first_file(paths: Sequence[str]) -> str:
    """The file that stands for an image made of several, where pixels do not matter."""
    return paths[0]


def count_days(found: Inspection) -> None:
    """Count the days between images and what belongs to them."""
    for key in found.images:
        apart: Counter[int] = Counter()
        for scene in found.scenes:
            ours, theirs = (day_of(scene.paths[k]) for k in (found.reference, key))
            if ours is not None and theirs is not None:
                apart[abs((ours - theirs).days)] += 1
        if apart and key != found.reference:
            found.days[key] = apart


class Outlines:
    """Tells where files lie, from headers that were read already."""

    def __init__(self, images: Mapping[str, Images]) -> None:
        self.places = {
            path: place
            for one in images.values()
            for facts in one.facts.values()
            for path, place in facts.places.items()
        }
        self._facts: dict[str, Facts] = {key: one.first for key, one in images.items()}

    def known(self, *keys: str) -> bool:
        """Whether all files of some keys say where they lie."""
        return all('' not in self._facts[key].crs and self._facts[key].crs for key in keys)

    def __call__(self, paths: Sequence[str]) -> tuple[pd.DataFrame, list[SceneError]]:
        """Outlines of files.

        Args:
            paths: the files.

        Returns:
            table of those that say where they lie, as ``read_file_table`` has it, and no error:
            what cannot be read was noted before.
        """
        kept = [path for path in paths if self.places.get(path, ('', ()))[0]]
        crs = np.array([self.places[path][0] for path in kept], object)
        boxes = shapely.box(*np.array([self.places[path][1] for path in kept]).reshape(-1, 4).T)
        outlines = project_each(boxes, crs, 'EPSG:4326') if kept else boxes
        return pd.DataFrame({'path': kept, 'crs': crs, 'outline': outlines}), []


def check_places(found: Inspection) -> None:
    """How much of each image others cover, and whether images touch each other."""
    outlines = Outlines(found.images)
    scenes = found.scenes
    if not scenes or not outlines.known(found.reference):
        return
    ours = _boxes(outlines, [scene.paths[found.reference] for scene in scenes])
    for key in found.images:
        if key == found.reference or not outlines.known(key):
            continue
        theirs = _boxes(outlines, [scene.paths[key] for scene in scenes])
        shares = shapely.area(shapely.intersection(ours, theirs)) / shapely.area(ours)
        found.covered[key] = float((shares >= COVERED).mean())
        found.problems += [
            SceneError(
                scenes[i].paths[key],
                'no ground in common with its image',
                f'some of the ground of {scenes[i].paths[found.reference]}',
                'Check that they belong together, and which CRS the files state.',
            )
            for i in np.flatnonzero(shares <= 0)
        ]
    first, second = shapely.STRtree(ours).query(ours, predicate='intersects')
    touching = len(set(first[first != second].tolist()))
    if touching:
        found.remarks.append(
            f'{touching} of {len(scenes)} images touch or overlap others: splits are made of '
            'blocks of ground, and images between blocks are left out'
        )


def _boxes(outlines: Outlines, paths: Sequence[str]) -> np.ndarray:
    unique = sorted(set(paths))
    table, _ = outlines(unique)
    by_path = dict(zip(table['path'], table['outline'], strict=True))
    return np.array([by_path.get(path) for path in paths], object)
