"""A configuration for ``cloudseg fit`` and ``torchgeo fit`` of what was found, with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..legend import LandCoverClass
from .facts import PERCENT, common
from .inspection import TITLES, Inspection
from .kinds import Images
from .legends import known_legend

#: Teacher, which sees what is clear, and student, which learns from it to see through clouds.
Role = Literal['teacher', 'student']

#: Sides of training patches: the largest multiple of the step that fits, up to the limit.
PATCH_STEP, PATCH_LIMIT = 32, 256

#: Longest side of scenes that are tested whole, in pixels, and sides of tiles of larger ones.
WHOLE_PX, TILE_PX = 1024, 512

#: Scenes that are too few, or too close together, to be divided are cut into parts: so many along
#: a side, of so many pixels at least.
PARTS, LEAST_PART_PX = 8, 64

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
    validated = found.is_divisible or _cut(found) is not None
    if not validated:
        yield '  # no scene can be left for validation: the best is that of the training'
    score = 'val_mIoU' if validated else 'train_mIoU'
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
    cut = _cut(found)
    if cut is None:
        yield 'division: {by: blocks, val: 0.1, test: 0.2}'
    else:
        yield '# whole scenes would leave a split without any: they are cut into parts'
        yield f'division: {{by: blocks, val: 0.1, test: 0.2, cut_px: {cut}}}'
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
    known, unknown = _known(labels)
    what = (
        'names and colors are those of a legend that has all codes'
        if known
        else ('names are for you to give')
    )
    yield f'# {what}; shares are of all label pixels'
    yield 'classes:'
    for name, code in _classes(labels).items():
        share = f'# {facts.codes[code] / total:.2%}'
        color = f', color: {list(known[code].color)}' if known else ''
        yield f'  {_text(name)}: {{codes: [{code}]{color}}}  {share}'
    yield '# codes of pixels that belong to no class' + (
        ': no data, as the files declare, and negative ones' if unknown else ''
    )
    yield f'unknown_codes: {unknown}'


def _classes(labels: Images) -> dict[str, int]:
    """A class for each code, by its name."""
    known, unknown = _known(labels)
    codes = sorted(int(code) for code in labels.first.codes if float(code).is_integer())
    return {
        known[code].name if known else f'class {code}': code
        for code in codes
        if code not in unknown
    }


def _known(labels: Images) -> tuple[Mapping[int, LandCoverClass], list[int]]:
    """Classes by code, where a legend has all codes, and codes that are no class."""
    facts = labels.first
    nodata = {value for value in facts.nodata if value is not None and float(value).is_integer()}
    codes = [code for code in facts.codes if float(code).is_integer()]
    known, more = known_legend(codes, nodata)
    unknown = nodata.union(more)
    return known, sorted(int(code) for code in codes if code < 0 or code in unknown)


def _patch(found: Inspection) -> int:
    """Side of the training patches."""
    whole = min(_smallest(found), _cut(found) or PATCH_LIMIT) // PATCH_STEP * PATCH_STEP
    return max(whole, PATCH_STEP)


def _cut(found: Inspection) -> int | None:
    """Side of the parts into which scenes are cut; None where they are divided, or too small."""
    part = min(_smallest(found) // PARTS, PATCH_LIMIT) // PATCH_STEP * PATCH_STEP
    return part if part >= LEAST_PART_PX and not found.is_divisible else None


def _smallest(found: Inspection) -> int:
    """Shortest side of all scenes, in pixels."""
    sizes = found.images[found.reference].finest.sizes
    return min((min(size) for size in sizes), default=PATCH_STEP)


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
