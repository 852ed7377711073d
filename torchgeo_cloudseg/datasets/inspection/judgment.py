"""What cannot be used as it is, and what is odd, in what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...rasters import SceneError
from ..scene_spec import Range
from .facts import NAMED, Facts, common
from .inspection import TITLES, Inspection
from .kinds import DECLARED, Images

#: Share of pixels beyond the range from which on it is an error, and from which on it is said.
CLIPPED, CLIPPED_ODD = 0.5, 0.05

#: Share of pixels without data, or of one class, that is said.
MISSING_ODD, DOMINANT_ODD = 0.3, 0.95

#: Counters of which all files should have the same value, as words.
SAME = {'counts': 'band(s)', 'dtypes': 'data type', 'crs': 'CRS'}


def judge(found: Inspection, declared: Mapping[int, str] | None = None) -> None:
    """Add what is wrong and what is odd to what was found.

    Args:
        found: what was found; problems and remarks are added.
        declared: name of the class of each code that was declared, empty for codes of no class;
            None where nothing was declared.
    """
    for key, images in found.images.items():
        for band, facts in images.facts.items():
            found.problems += facts.problems
            found.problems += _uneven(images, facts)
            found.problems += _empty(images, facts)
            found.remarks += [f'{_title(key, band)}: {text}' for text in _odd(facts, key)]
        found.remarks += [f'{TITLES[key]}: {text}' for text in images.remarks]
        if not key.startswith('mask'):
            found.problems += _clipped(images)
            found.remarks += [f'{TITLES[key]}: {text}' for text in _clipped_some(images)]
        elif key == 'mask':
            found.problems += _codes(images.first, declared)
            found.remarks += [f'{TITLES[key]}: {text}' for text in _shares(images.first)]
    for key, share in found.covered.items():
        if share < 1:
            found.remarks.append(
                f'{TITLES[key]}: {1 - share:.0%} of the images are not covered completely; what is '
                'beyond has no data'
            )
    for key, days in found.days.items():
        if max(days) > 0:
            spread = ', '.join(f'{day} ({count})' for day, count in sorted(days.items())[:NAMED])
            found.remarks.append(f'{TITLES[key]}: days between it and the image: {spread}')


def _title(key: str, band: str) -> str:
    return f'{TITLES[key]} {band}'.strip()


def _uneven(images: Images, facts: Facts) -> Iterator[SceneError]:
    """Files that differ from the others in what all should have."""
    for name, words in SAME.items():
        counter: Counter[object] = getattr(facts, name)
        (usual, most), *rest = counter.most_common() or [(None, 0)]
        if name == 'crs':
            # several are fine, none beside some is not
            rest = [(value, count) for value, count in rest if not value]
            if usual == '' and len(counter) > 1:
                rest = [('', most)]
        elif name == 'counts' and (images.numbers or images.because == DECLARED):
            rest = []  # held against what is declared
        elif name == 'dtypes':
            rest = [(value, n) for value, n in rest if 'complex' in str(value)]
        for value, count in rest:
            yield SceneError(
                facts.examples[name, value],
                f'{value or "no"} {words} (in {count} of {facts.files} files)',
                f'{usual} {words}, as the others' if usual != value else f'a {words}',
                'Give files of one kind, or narrow the pattern down.',
            )


def _empty(images: Images, facts: Facts) -> Iterator[SceneError]:
    for path, value in facts.constant.items():
        if np.isnan(value) or value == images.nodata:
            yield SceneError(path, 'no data in any pixel', 'an image',
                             'Leave it out, or restore it from its source.')  # fmt: skip


def _odd(facts: Facts, key: str) -> Iterator[str]:
    if facts.constant and not key.startswith('mask'):
        some = next(iter(facts.constant))
        yield f'{len(facts.constant)} files have one value everywhere, such as {some}'
    if facts.missing > MISSING_ODD:
        yield f'{facts.missing:.0%} of the sampled pixels have no data'
    scaling = [ends for ends in facts.scaling if ends != (1.0, 0.0)]
    if scaling and not key.startswith('mask'):
        yield (
            f'files declare scale and offset {scaling[0]}: samples have stored values, and the '
            'range is in stored values'
        )
    if len(facts.scaling) > 1:
        yield f'files declare different scales and offsets: {", ".join(common(facts.scaling))}'
    if key.startswith('image') and key != 'image_sar' and facts.usual and facts.usual[0] < 0:
        yield (
            f'usual values begin at {facts.usual[0]:g}: is this a SAR image, or is there a value '
            'for no data that files do not declare?'
        )
    if facts.sample is not None and facts.nodata.keys() == {None} and key != 'image_sar':
        share = float((facts.sample == 0).all(axis=0).mean())
        if share > CLIPPED_ODD:
            yield f'{share:.0%} of the sampled pixels are 0 in all bands: is 0 no data?'


def _stretches(images: Images) -> Iterator[tuple[str, float, Facts, int, Range]]:
    """Share of clipped pixels of each band, with its facts and its position in them."""
    if images.range is None:
        return
    by_band = list(images.files) != ['']
    count = len(images.bands)
    low, high = (np.broadcast_to(end, count).tolist() for end in images.range)
    for i, band in enumerate(images.bands):
        facts = images.facts[band] if by_band else images.first
        position = 0 if by_band else (images.numbers[i] - 1 if images.numbers else i)
        if facts.sample is None or position >= len(facts.sample):
            continue
        own = (low[i],), (high[i],)
        yield band, facts.clipped(*own)[position], facts, position, own


def _clipped(images: Images) -> Iterator[SceneError]:
    for band, share, facts, position, (low, high) in _stretches(images):
        if share > CLIPPED:
            _, first, _, last, _ = facts.percentiles[position]
            found = f'{share:.0%} of the sampled pixels of {band} beyond {low[0]:g} to {high[0]:g}'
            yield SceneError(
                next(iter(facts.places)),
                found,
                'a range that holds most of them',
                f'Set `range` of `{images.key}` to [{first:g}, {last:g}] (percentiles 1 and 99), '
                'or check the units.',
            )


def _clipped_some(images: Images) -> Iterator[str]:
    for band, share, *_ in _stretches(images):
        if CLIPPED_ODD < share <= CLIPPED:
            yield f'{share:.0%} of the sampled pixels of {band} are beyond the range'


def _codes(facts: Facts, declared: Mapping[int, str] | None) -> Iterator[SceneError]:
    total = max(sum(facts.codes.values()), 1)
    some = next(iter(facts.places), '')
    if facts.is_measured:
        yield SceneError(some, f'more than {len(facts.codes)} values', 'codes of classes',
                         'Give labels; this looks like a measurement.')  # fmt: skip
        return
    odd = [code for code in facts.codes if not float(code).is_integer()]
    if odd:
        path = facts.seen_in[odd[0]]
        yield SceneError(path, f'label code(s) {_list(odd)}', 'whole numbers', 'Round them.')
    if declared is None:
        return
    for code, count in facts.codes.most_common():
        if code not in declared and float(code).is_integer():
            yield SceneError(
                facts.seen_in[code],
                f'label code {code:g}, {count / total:.2%} of all pixels',
                f'one of {sorted(declared)}',
                'Add it to a class, or to `unknown_codes`.',
            )
    names = dict.fromkeys(name for name in declared.values() if name)
    for name in names:
        codes = [code for code, owner in declared.items() if owner == name]
        if not any(code in facts.codes for code in codes):
            yield SceneError(
                some,
                f'no pixel of class {name!r} (codes {_list(codes)}) in any of {facts.files} files',
                'one at least',
                f'Correct its codes, or remove it; there are {_list(sorted(facts.codes))}.',
            )


def _shares(facts: Facts) -> Iterator[str]:
    total = max(sum(facts.codes.values()), 1)
    for code, count in facts.codes.most_common(1):
        if count / total > DOMINANT_ODD:
            yield f'{count / total:.1%} of all pixels have code {code:g}'


def _list(codes: Sequence[float]) -> str:
    shown = ', '.join(f'{code:g}' for code in codes[:20])
    return f'{shown}, ...' if len(codes) > 20 else shown
