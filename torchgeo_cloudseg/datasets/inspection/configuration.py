"""A configuration for ``cloudseg fit`` and ``torchgeo fit`` of what was found, with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..m3mcr.layout import LEGENDS
from .facts import PERCENT, common
from .inspection import TITLES, Inspection
from .kinds import Images

#: Teacher, which sees what is clear, and student, which learns from it to see through clouds.
Role = Literal['teacher', 'student']

#: Sides of training patches: the largest multiple of the step that fits, up to the limit.
PATCH_STEP, PATCH_LIMIT = 32, 256

#: Longest side of scenes that are tested whole, in pixels, and sides of tiles of larger ones.
WHOLE_PX, TILE_PX = 1024, 512

#: Scenes of which some are left for validation, beside those for training and testing.
LEAST_SCENES = 3

#: Classes of ESA WorldCover by code.
WORLDCOVER = {code: entry for entry in LEGENDS['level2'] for code in entry.codes}

#: Codes of CORINE land cover, level 3, and those of what it does not map.
CORINE = {
    *range(111, 113), *range(121, 125), *range(131, 134), 141, 142, *range(211, 214),
    *range(221, 224), 231, *range(241, 245), *range(311, 314), *range(321, 325),
    *range(331, 336), 411, 412, *range(421, 424), 511, 512, *range(521, 524),
}  # fmt: skip
NOT_CORINE = {0, 990, 995, 999}

CALLBACKS = """\
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args:
        dirpath: {folder}
        filename: {role}
        monitor: {score}
        mode: max
        enable_version_counter: false
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args:
        dirpath: {folder}
        filename: last
        enable_version_counter: false
        save_on_exception: true
    - class_path: torchgeo_cloudseg.trainers.InterruptAfterStep
"""


def write_configuration(found: Inspection, role: Role, output: Path, results: Path) -> str:
    """Write a configuration.

    Args:
        found: what was found, and judged.
        role: teacher or student.
        output: file that the text goes to, which the text names.
        results: folder for checkpoints; the student looks for its teacher there.

    Returns:
        the text of a YAML file.
    """
    return '\n'.join(_lines(found, role, output, results)) + '\n'


def _lines(found: Inspection, role: Role, output: Path, results: Path) -> Iterator[str]:
    folder = results / role
    names = list(_classes(found.images['mask'])) if 'mask' in found.images else []
    yield f'# {role.capitalize()} for the images in {found.root}, written by `cloudseg inspect`.'
    yield f'#   cloudseg fit --config {output}'
    yield f'#   torchgeo fit --config {output}'
    for remark in found.remarks:
        yield f'# Odd: {remark}.'
    yield 'seed_everything: 0'
    yield 'trainer:'
    yield '  max_epochs: 30'
    yield f'  default_root_dir: {_text(folder)}'
    divisible = len(found.scenes) >= LEAST_SCENES
    if not divisible:
        yield '  # too few scenes for validation: the best is that of the training'
    score = 'val_mIoU' if divisible else 'train_mIoU'
    yield CALLBACKS.format(folder=_text(folder), role=role, score=score).rstrip()
    yield from _model(found, role, results, names)
    yield 'data:'
    yield '  class_path: torchgeo_cloudseg.datamodules.SceneFolderDataModule'
    yield '  init_args:'
    for line in _data(found, role, names):
        yield f'    {line}' if line else ''


def looks_at(found: Inspection) -> str:
    """Which images there are: ``both``, ``optical`` or ``sar``."""
    optical = {'image', 'image_clear'} & found.images.keys()
    if optical and 'image_sar' in found.images:
        return 'both'
    return 'optical' if optical else 'sar'


def roles(found: Inspection) -> tuple[Role, ...]:
    """What can be trained: a student needs an optical image."""
    return ('teacher',) if looks_at(found) == 'sar' else ('teacher', 'student')


def _model(found: Inspection, role: Role, results: Path, names: Sequence[str]) -> Iterator[str]:
    images = found.images
    optical = images.get('image') or images.get('image_clear')
    counts = [len(one.bands) if one else 1 for one in (optical, images.get('image_sar'))]
    patch = _patch(found)
    yield 'model:'
    yield f'  class_path: torchgeo_cloudseg.trainers.CloudSeg{role.capitalize()}Task'
    yield '  init_args:'
    if role == 'student':
        yield '    # best checkpoint of the teacher, trained before'
        yield f'    teacher: {_text(results / "teacher" / "teacher.ckpt")}'
        yield '    init_from_teacher: true'
    yield '    # mit_b4 is that of the paper; mit_b0 learns in minutes on a laptop'
    yield '    backbone: mit_b0'
    yield f'    modalities: {looks_at(found)}'
    yield f'    # optical and SAR bands{"" if looks_at(found) == "both" else " (1 for none)"}'
    yield f'    in_channels: {counts}'
    yield f'    num_classes: {max(len(names), 1)}'
    if names:
        yield f'    labels: {json.dumps(list(names))}'
    yield '    lr: 1.0e-3'
    yield '    schedule: cosine'
    yield f'    window: {patch}'
    yield f'    stride: {patch // 2}'
    if role == 'teacher' and 'image_clear' not in images and 'mask_cloud' in images:
        yield '    # there are no cloud-free images of the same places'
        yield '    image_key: image'


def _data(found: Inspection, role: Role, names: Sequence[str]) -> Iterator[str]:
    reference = found.images[found.reference]
    sizes = set(reference.finest.sizes)
    longest = max((max(size) for size in sizes), default=0)
    yield f'root: {_text(found.root)}'
    yield 'batch_size: 8'
    yield f'patch_size: {_patch(found)}'
    if longest > WHOLE_PX:
        yield f'# scenes of up to {longest} px are tested in tiles'
        yield f'test_size: {TILE_PX}'
    elif len(sizes) > 1:
        yield '# scenes differ in size'
        yield 'test_batch_size: 1'
    yield 'augment: true'
    if role == 'student' and not {'image', 'image_clear'} <= found.images.keys():
        yield '# there are no cloud-free twins of cloudy images: clear ones get synthetic clouds'
        yield 'clouds: broken'
    for key, images in found.images.items():
        yield from _modality(found, key, images)
    if reference.sensor is not None:
        rgb = reference.sensor.rgb_of(reference.bands)
        if rgb:
            yield f'rgb: {json.dumps(list(rgb))}'
    yield f'pixel_size_m: {_pixel(found):g}'
    if names:
        yield from _legend(found)
    yield '# splits by blocks of ground, always the same, without shared edges; or by `lists`,'
    yield '# `column` of a table, `date`'
    yield 'division: {by: blocks, val: 0.1, test: 0.2}'
    if found.pairing.incomplete:
        count = len(found.pairing.incomplete)
        yield f'# {count} files or scenes have no counterpart; `error` names them'
        yield 'incomplete: skip'


def _modality(found: Inspection, key: str, images: Images) -> Iterator[str]:
    modality = images.modality()
    yield f'# {TITLES[key]}: {_summary(images)}'
    yield f'{key}:'
    if isinstance(modality.files, dict):
        yield '  files:'
        for band, pattern in modality.files.items():
            yield f'    {_text(band)}: {_text(str(pattern))}'
    else:
        yield f'  files: {_text(str(modality.files))}'
    if modality.bands:
        yield f'  bands: {json.dumps(modality.bands)}'
    if modality.numbers:
        yield f'  numbers: {modality.numbers}'
    if images.range is not None:
        yield f'  # stored values of 0 and 1: {images.because}'
        yield from (f'  #   {line}' for line in percentiles(images))
        yield f'  range: {[list(end) for end in images.range]}'
    if modality.nodata is not None:
        yield f'  nodata: {modality.nodata:g}'
    if key == 'mask_cloud':
        yield f'  # stored codes of clouds: {images.because}'
        yield f'  codes: {list(images.codes)}'
    rule, count = found.pairs.get(key, ('name', 0))
    if key != found.reference:
        yield f'  # paired by {rule}: {count} scenes'
        if rule == 'place':
            yield '  pair: place'


def percentiles(images: Images) -> Iterator[str]:
    """Percentiles of each band, in words."""
    heads = ', '.join(map(str, PERCENT))
    for band, facts in images.facts.items():
        names = [band] if band else _all_names(images, len(facts.percentiles))
        for name, values in zip(names, facts.percentiles, strict=False):
            shown = ', '.join(f'{value:.4g}' for value in values)
            yield f'{name}: percentiles {heads} are {shown} ({facts.sampled_files} files sampled)'


def _all_names(images: Images, count: int) -> list[str]:
    """Names of all bands of a file, those that are not used included."""
    if not images.numbers:
        return list(images.bands)
    by_number = dict(zip(images.numbers, images.bands, strict=True))
    return [by_number.get(number, f'(band {number})') for number in range(1, count + 1)]


def _legend(found: Inspection) -> Iterator[str]:
    labels = found.images['mask']
    facts = labels.first
    total = sum(facts.codes.values())
    yield '# names are for you to give; shares are of all label pixels'
    yield 'classes:'
    for name, code in _classes(labels).items():
        share = f'# {facts.codes[code] / total:.2%}'
        known = WORLDCOVER.get(code)
        color = f', color: {list(known.color)}' if known and _is_worldcover(labels) else ''
        yield f'  {_text(name)}: {{codes: [{code}]{color}}}  {share}'
    unknown = _unknown(labels)
    yield '# codes of pixels that belong to no class' + (
        ': no data, as the files declare, and negative ones' if unknown else ''
    )
    yield f'unknown_codes: {unknown}'


def _classes(labels: Images) -> dict[str, int]:
    """A class for each code, by its name."""
    unknown = _unknown(labels)
    codes = sorted(int(code) for code in labels.first.codes if float(code).is_integer())
    known = WORLDCOVER if _is_worldcover(labels) else {}
    return {
        known[code].name if code in known else f'class {code}': code
        for code in codes
        if code not in unknown
    }


def _unknown(labels: Images) -> list[int]:
    facts = labels.first
    nodata = {value for value in facts.nodata if value is not None and float(value).is_integer()}
    codes = [code for code in facts.codes if float(code).is_integer()]
    if _is_worldcover(labels):
        nodata |= {0}
    elif CORINE.issuperset(set(codes) - NOT_CORINE - nodata - {-9999}):
        nodata |= NOT_CORINE
    return sorted(int(code) for code in codes if code < 0 or code in nodata)


def _is_worldcover(labels: Images) -> bool:
    """Whether all codes are those of ESA WorldCover, and enough of them to tell."""
    codes = {code for code in labels.first.codes if code > 0}
    return codes <= WORLDCOVER.keys() and len(codes & {10, 20, 30, 40, 50, 60, 80, 90, 95}) > 3


def _patch(found: Inspection) -> int:
    """Side of the training patches."""
    sizes = found.images[found.reference].finest.sizes
    smallest = min((min(size) for size in sizes), default=PATCH_STEP)
    whole = min(smallest, PATCH_LIMIT) // PATCH_STEP * PATCH_STEP
    return max(whole, PATCH_STEP)


def _pixel(found: Inspection) -> float:
    """Side of a pixel in meters, as far as it is known."""
    images = found.images[found.reference]
    facts = images.finest
    side = min(facts.resolutions, default=10.0)
    if '' in facts.crs or not facts.crs:
        return (
            min((band.pixel_m for band in images.sensor.bands), default=10) if images.sensor else 10
        )
    # degrees
    return side * 111_320 if side < 0.05 else side


def _summary(images: Images) -> str:
    facts = images.first
    size = ' x '.join(map(str, facts.sizes.most_common(1)[0][0])) if facts.sizes else '?'
    more = '' if len(facts.sizes) == 1 else ' and other sizes'
    crs = ', '.join(common(facts.crs))
    return f'{facts.files} files, {size} px{more}, {", ".join(common(facts.dtypes))}, CRS {crs}'


def _text(value: str | Path) -> str:
    """A text as YAML has it, in quotes where it needs them."""
    text = str(value)
    plain = text.replace('/', '').replace('_', '').replace('-', '').replace('.', '').isalnum()
    return text if plain and not text[0].isdigit() else json.dumps(text)
