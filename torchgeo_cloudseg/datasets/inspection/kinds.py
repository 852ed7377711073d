"""From what is found in files to what they are: bands, sensor, range, codes of clouds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ..scene_folder import Modality
from ..scene_folder.modality import expand, stem_of
from ..scene_spec import Range
from ..sensors import SENSORS, Recognized, Sensor, names_word, recognize_sensor
from .facts import Facts

#: Codes of Sentinel-2's scene classification that hide the ground: no data, shadows, clouds of
#: medium and high probability, cirrus. Those of OmniCloudMask and CloudSEN12: thick and thin
#: clouds, and shadows. Bands of Planet's UDM2: shadow, light and heavy haze, cloud.
SCL_CLOUDS = (0, 3, 8, 9, 10)
CLASSIFIED_CLOUDS = (1, 2, 3)
UDM2_BANDS = (3, 4, 5, 6)

#: Darkest pixels above which reflectance has the offset of Sentinel-2's processing baseline 04.00.
OFFSET = 1000.0
DARKEST_WITH_OFFSET = 950.0

#: How bands and range are known that somebody has declared.
DECLARED = 'declared'

#: What images are.
Kind = Literal['optical', 'sar']


@dataclass
class Images:
    """Images of one kind: how they are found, what they are, and how that is known."""

    key: str
    #: Files by band; under '' where every file has all bands.
    files: dict[str, list[str]]
    #: Patterns by band, which find these files.
    patterns: dict[str, str]
    facts: dict[str, Facts] = field(default_factory=dict)
    sensor: Sensor | None = None
    bands: tuple[str, ...] = ()
    #: Numbers of the bands in the files, where these have others, too.
    numbers: tuple[int, ...] = ()
    range: Range | None = None
    #: How bands and range are known, for people.
    because: str = ''
    nodata: float | None = None
    codes: tuple[int, ...] = ()
    remarks: list[str] = field(default_factory=list)

    @property
    def first(self) -> Facts:
        """Facts of the first band, or of all of them."""
        return next(iter(self.facts.values()))

    @property
    def finest(self) -> Facts:
        """Facts of the band with the smallest pixels."""
        return min(self.facts.values(), key=lambda one: min(one.resolutions, default=0))

    def modality(
        self, pair: Literal['name', 'place'] = 'name', name: str | None = None
    ) -> Modality:
        """The declaration of these images.

        Args:
            pair: how they are paired.
            name: regular expression for names.

        Returns:
            the declaration.
        """
        by_band = list(self.patterns) != ['']
        return Modality(
            files=dict(self.patterns) if by_band else self.patterns[''],
            bands=None if by_band or self.key.startswith('mask') else list(self.bands),
            numbers=list(self.numbers) or None,
            range=self.range and (list(self.range[0]), list(self.range[1])),
            nodata=self.nodata,
            codes=list(self.codes) or [1],
            pair=pair,
            name=name,
        )


def split_bands(
    key: str, pattern: str, root: Path, kind: Kind | None
) -> tuple[Images, dict[str, list[str]]]:
    """Find the files of a folder or pattern, and tell whether every file is one band.

    Args:
        key: key of the sample.
        pattern: folder, file or pattern.
        root: where relative ones start.
        kind: what they are; None for labels and masks.

    Returns:
        the images, and files that are layers of the product other than bands, by their name.

    Raises:
        FileNotFoundError: if there is no file.
    """
    paths = expand(root, pattern)
    if not paths:
        raise FileNotFoundError(f'{pattern}: found no file, expected images. Check the path.')
    best: tuple[tuple[bool, int], Sensor] | None = None
    for sensor in SENSORS.values():
        if sensor.kind != kind:
            continue
        rest, bands, others = _by_band(sensor, paths)
        named = bool(re.search(sensor.pattern, Path(paths[0]).name.lower()))
        if len(bands) > 1 and not rest and _alike(bands):
            # several sensors have a band 2; few call it SR_B2
            exact = sum(names_word(Path(files[0]).name, band) for band, files in bands.items())
            if best is None or (named, exact) > best[0]:
                best = (named, exact), sensor
        elif others and rest and not bands and named:
            return Images(key, {'': rest}, {'': find_pattern(pattern, root, rest)}), others
    if best is None:
        return Images(key, {'': paths}, {'': pattern}), {}
    _, bands, others = _by_band(best[1], paths)
    files = {name: bands[name] for name in best[1].band_names if name in bands}
    patterns = {name: find_pattern(pattern, root, found) for name, found in files.items()}
    return Images(key, files, patterns), others


def _by_band(
    sensor: Sensor, paths: Sequence[str]
) -> tuple[list[str], dict[str, list[str]], dict[str, list[str]]]:
    rest: list[str] = []
    bands: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for path in paths:
        name = Path(path).name
        named = bool(re.search(sensor.pattern, name.lower()))
        band = sensor.find_band(name, loose=named) if named or sensor.distinct else None
        other = sensor.find_other(name)
        if other is not None:
            others.setdefault(other, []).append(path)
        elif band is not None:
            bands.setdefault(band, []).append(path)
        else:
            rest.append(path)
    return rest, bands, others


def _alike(bands: Mapping[str, Sequence[str]]) -> bool:
    """Whether bands have about as many files: names such as B2 may be of something else."""
    counts = [len(paths) for paths in bands.values()]
    return min(counts) > 0.5 * max(counts)


def find_pattern(pattern: str, root: Path, paths: Sequence[str]) -> str:
    """A pattern that finds some of the files of a folder, and no others.

    Args:
        pattern: folder or pattern that finds these and others.
        root: where relative ones start.
        paths: the files.

    Returns:
        the pattern, below the same folder.
    """
    base = pattern if (root / pattern).is_dir() else str(Path(pattern).parent)
    names = [Path(path).name for path in paths]
    tail = _common_tail(names)
    for depth in ('', '**'):
        for word in (f'*{tail}', *_middles(names)):
            candidate = str(Path(base, depth, word))
            if expand(root, candidate) == sorted(paths):
                return candidate
    return pattern


def _common_tail(names: Sequence[str]) -> str:
    """The longest ending of all names that begins with a separator."""
    reverse = [name[::-1] for name in names]
    first, last = min(reverse), max(reverse)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    tail = first[:length][::-1]
    # a single file: the last word
    start = re.search(r'[_\-.]', tail) if len(names) > 1 else re.search(r'[_\-][^_\-]*$', tail)
    return tail[start.start() :] if start else tail


def _middles(names: Sequence[str]) -> list[str]:
    """Patterns of words that all names have."""
    words = [set(re.findall(r'[A-Za-z0-9]+', stem_of(name))) for name in names]
    return [f'*{word}*' for word in sorted(set.intersection(*words), key=len, reverse=True)]


def settle_images(images: Images, kind: Kind) -> None:
    """Tell sensor, bands and range of images from what was found.

    Args:
        images: the images, with facts; bands, range and remarks are set.
        kind: what they are.
    """
    by_band = list(images.files) != ['']
    facts = images.first
    usual = [one.usual for one in images.facts.values() if one.usual is not None]
    values = (min(low for low, _ in usual), max(high for _, high in usual)) if usual else None
    hints = ' '.join(one.hints for one in images.facts.values())
    texts = list(images.files) if by_band else list(facts.descriptions.most_common(1)[0][0])
    found = recognize_sensor(texts, hints, values, kind) if all(texts) else None
    if found is not None and by_band and set(found.bands) != set(texts):
        found = None
    if found is None and not any(texts):
        found = _by_count(len(texts), hints, values, kind)
    elif found is None and values is not None and recognize_sensor(texts, hints, None, kind):
        images.remarks.append(
            f'bands are named as those of a known sensor, but values from {values[0]:g} to '
            f'{values[1]:g} are not: what are its units?'
        )
    if found is not None:
        images.sensor = found.sensor
        kept = [(i, band) for i, band in enumerate(found.bands, start=1) if band is not None]
        images.bands = tuple(band for _, band in kept)
        images.numbers = () if by_band or len(kept) == len(texts) else tuple(i for i, _ in kept)
        images.because = found.sensor.title
    else:
        images.bands = tuple(text or f'band {i}' for i, text in enumerate(texts, start=1))
    _settle_nodata(images)
    _settle_range(images)


def _by_count(
    count: int, hints: str, values: tuple[float, float] | None, kind: Kind
) -> Recognized | None:
    """A product of which a file has all bands without names."""
    for sensor in SENSORS.values():
        named = re.search(sensor.pattern, hints.lower())
        if sensor.kind == kind and named and len(sensor.bands) == count:
            return recognize_sensor(sensor.band_names, f'{hints} {sensor.name}', values, kind)
    return None


def _settle_nodata(images: Images) -> None:
    declared = {value for facts in images.facts.values() for value in facts.nodata}
    stated = sorted(value for value in declared if value is not None and not np.isnan(value))
    if len(stated) > 1:
        images.remarks.append(f'files declare different values for no data: {stated}')
    if stated:
        images.nodata = stated[0]
    elif images.sensor is not None:
        images.nodata = images.sensor.nodata


def _settle_range(images: Images) -> None:
    percentiles = np.concatenate([facts.percentiles for facts in images.facts.values()])
    if images.numbers:
        percentiles = percentiles[[number - 1 for number in images.numbers]]
    eight_bit = all(set(facts.dtypes) == {'uint8'} for facts in images.facts.values())
    if images.sensor is not None:
        images.range = images.sensor.range_of(images.bands)
        if images.sensor.name.startswith('sentinel-2') and (
            len(percentiles) and np.nanmin(percentiles[:, 0]) >= DARKEST_WITH_OFFSET
        ):
            low, high = images.range
            images.range = tuple(x + OFFSET for x in low), tuple(x + OFFSET for x in high)
            images.remarks.append(
                'no pixel is darker than 950: values have the offset of 1000 that processing '
                'baseline 04.00 adds; the range is 1000 to 11000'
            )
    elif eight_bit:
        images.range, images.because = ((0.0,), (255.0,)), 'all of 8 bits'
    elif len(percentiles):
        low, high = (_rounded(percentiles[:, i].tolist()) for i in (1, 3))
        high = [b if b > a else a + 1 for a, b in zip(low, high, strict=True)]
        images.range = tuple(low), tuple(high)
        images.because = 'percentiles 1 and 99 of sampled pixels: no sensor was recognised'


def _rounded(values: Sequence[float]) -> list[float]:
    """Values to three digits."""
    return [float(f'{value:.3g}') for value in np.nan_to_num(values)]


def settle_mask(images: Images, name: str = '') -> None:
    """Tell which codes of a cloud mask are clouds.

    Args:
        images: the masks, with facts; codes, numbers and remarks are set.
        name: name of the layer in its product, where that is known.
    """
    facts = images.first
    codes = {int(code) for code in facts.codes if float(code).is_integer()}
    bands = facts.counts.most_common(1)[0][0]
    if bands == 8 or 'udm2' in facts.hints.lower():
        images.numbers, images.codes = UDM2_BANDS, (1,)
        images.because = 'UDM2: shadow, haze and cloud'
    elif name == 'SCL' or 'scl' in facts.hints.lower() or max(codes, default=0) in range(4, 12):
        images.codes, images.because = SCL_CLOUDS, 'scene classification of Sentinel-2'
    elif codes <= {0, 1, 2, 3} and codes & {2, 3}:
        images.codes = CLASSIFIED_CLOUDS
        images.because = '1 thick, 2 thin, 3 shadow, as OmniCloudMask and CloudSEN12'
    elif len(codes) <= 2:
        images.codes = (max(codes, default=1),)
        images.because = 'the larger of two values'
    else:
        images.codes = tuple(sorted(codes - {0}))
        images.because = 'all but 0'
        images.remarks.append(f'codes {sorted(codes)} are of no known mask: which are clouds?')
    if bands > 1 and not images.numbers:
        images.numbers = (1,)
