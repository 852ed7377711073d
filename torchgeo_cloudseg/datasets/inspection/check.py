"""Holding a declaration against the files: everything that is wrong, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...rasters import SceneError
from ..scene_folder import Modality
from ..scene_folder.declaration import FolderDeclaration
from ..scene_folder.pairing import pair_modalities
from .inspection import (
    Inspection,
    Outlines,
    check_places,
    count_days,
    first_file,
    read_facts,
)
from .judgment import judge
from .kinds import DECLARED, Images


def check_declaration(
    arguments: Mapping[str, Any], seed: int = 0, progress: bool = True
) -> Inspection:
    """Hold what arguments declare of a folder of images against its files.

    Args:
        arguments: arguments of a :class:`~torchgeo_cloudseg.datasets.SceneFolder` by name.
        seed: seed of the choice of pixels.
        progress: show progress bars.

    Returns:
        what there is, judged.

    Raises:
        ValueError: if the declaration contradicts itself.
    """
    facts = FolderDeclaration.of_arguments(arguments)
    root, modalities = Path(arguments.get('root', '.')), facts.modalities_of
    found = Inspection(root)
    for key, modality in modalities.items():
        files, missing = modality.find(root)
        found.problems += missing
        found.images[key] = _declared(key, modality, files)
    read_facts(found, seed, progress)
    outlines = Outlines(found.images)
    found.pairing = pair_modalities(root, modalities, facts.reference, outlines, first_file)
    skipped = arguments.get('incomplete') == 'skip'
    known = set(map(str, found.problems))
    wrong = [*found.pairing.problems, *([] if skipped else found.pairing.incomplete)]
    found.problems += [error for error in wrong if str(error) not in known]
    for key, rule in found.pairing.rules.items():
        found.pairs[key] = rule, len(found.pairing.scenes)
    count_days(found)
    check_places(found)
    for images in found.images.values():
        found.problems += _bands(images)
    declared = dict.fromkeys(facts.unknown_codes, '')
    declared |= {code: entry.name for entry in facts.legend for code in entry.codes}
    judge(found, declared)
    return found


def _declared(key: str, modality: Modality, files: Mapping[str, Sequence[str]]) -> Images:
    """Images as they are declared, in place of what would be recognised."""
    images = Images(
        key, {band: list(paths) for band, paths in files.items()}, dict.fromkeys(files, '')
    )
    images.bands, images.numbers = modality.band_names, tuple(modality.numbers or ())
    images.range = modality.ends if modality.range is not None else None
    images.nodata, images.codes = modality.nodata, tuple(modality.codes)
    images.because = DECLARED
    return images


def _bands(images: Images) -> Iterator[SceneError]:
    """Files that have other bands than those declared."""
    by_band = list(images.files) != ['']
    wanted = 1 if by_band else len(images.bands)
    for facts in images.facts.values():
        for count in facts.counts:
            if not images.numbers and count != wanted:
                yield SceneError(
                    facts.examples['counts', count],
                    f'{count} band(s) (in {facts.counts[count]} of {facts.files} files)',
                    f'{wanted} ({", ".join(images.bands)})',
                    f'Name all bands under `bands` of `{images.key}`, or say by `numbers` which '
                    'they are.',
                )
            elif images.numbers and count < max(images.numbers):
                yield SceneError(
                    facts.examples['counts', count],
                    f'{count} band(s) (in {facts.counts[count]} of {facts.files} files)',
                    f'bands {list(images.numbers)}',
                    f'Correct `numbers` of `{images.key}`.',
                )
