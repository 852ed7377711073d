"""What is found in the files of one kind, such as all optical images: facts, no judgment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._progress import progress_bar
from ..._threads import Threads
from ...rasters import SceneError
from ...rasters.survey import Survey, survey_raster

#: Files of each kind of which pixels are looked at, and windows of each where there are few.
SAMPLED_FILES = 200
SAMPLED_WINDOWS = 16

#: Files read at the same time, to hide the latency of disks.
THREADS = 2

#: Per cent of the pixels below the values that are shown.
PERCENT = (0, 1, 50, 99, 100)

#: Files of one kind of oddity that are named.
NAMED = 5


@dataclass
class Facts:
    """What is found in files of one kind. Counters say how many files have it."""

    files: int = 0
    crs: Counter[str] = field(default_factory=Counter)
    #: Width of a pixel in units of the CRS.
    resolutions: Counter[float] = field(default_factory=Counter)
    #: Height and width in pixels.
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    counts: Counter[int] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    nodata: Counter[float | None] = field(default_factory=Counter)
    descriptions: Counter[tuple[str, ...]] = field(default_factory=Counter)
    #: Scale and offset of the first band.
    scaling: Counter[tuple[float, float]] = field(default_factory=Counter)
    #: Names of some files and their tags, which may tell the sensor.
    hints: str = ''
    #: Pixels by value, of label files and masks; the first file in which a value was found.
    codes: Counter[float] = field(default_factory=Counter)
    seen_in: dict[float, str] = field(default_factory=dict)
    #: True where there are more values than codes would have.
    is_measured: bool = False
    #: Values of sampled pixels (C, n), as float64 with NaN for no data.
    sample: NDArray[np.float64] | None = None
    #: Share of sampled pixels without data.
    missing: float = 0.0
    #: The value of files that have one everywhere; NaN for what they declare as no data.
    constant: dict[str, float] = field(default_factory=dict)
    sampled_files: int = 0
    problems: list[SceneError] = field(default_factory=list)
    #: First file of each value of a counter, by the name of the counter and the value.
    examples: dict[tuple[str, Any], str] = field(default_factory=dict)
    #: CRS and bounds of each file.
    places: dict[str, tuple[str, tuple[float, float, float, float]]] = field(default_factory=dict)

    @property
    def percentiles(self) -> NDArray[np.float64]:
        """Values below which :data:`PERCENT` of the sampled pixels lie, (C, 5)."""
        if self.sample is None or self.sample.shape[1] == 0:
            return np.full((0, len(PERCENT)), np.nan)
        return np.array([_percentiles(band) for band in self.sample])

    @property
    def usual(self) -> tuple[float, float] | None:
        """Lowest and highest usual value of all bands; None where no pixel was looked at."""
        values = self.percentiles
        if not np.isfinite(values).any():
            return None
        return float(np.nanmin(values[:, 1])), float(np.nanmax(values[:, 3]))

    def clipped(self, low: Sequence[float], high: Sequence[float]) -> list[float]:
        """Share of the sampled pixels of each band that lie beyond a range."""
        if self.sample is None:
            return []
        shape = len(self.sample)
        ends = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
        with_data = np.isfinite(self.sample)
        beyond = (self.sample < ends[0][:, None]) | (self.sample > ends[1][:, None])
        shares = (beyond & with_data).sum(axis=1) / np.maximum(with_data.sum(axis=1), 1)
        return [float(share) for share in shares]


def find_facts(
    paths: Sequence[str],
    title: str,
    codes: bool = False,
    seed: int = 0,
    progress: bool = True,
    nodata: float | None = None,
) -> Facts:
    """Read the headers of all files, the pixels of some, and, of labels and masks, all pixels.

    Args:
        paths: the files, with the same bands.
        title: text of the progress bar.
        codes: whether they hold codes, of which all are counted.
        seed: seed of the choice of files and pixels.
        progress: show a progress bar.
        nodata: stored value of pixels without data, beside that which files declare.

    Returns:
        what there is.
    """
    facts = Facts(files=len(paths))
    rng = np.random.default_rng(seed)
    sampled = set(rng.permutation(len(paths))[:SAMPLED_FILES].tolist()) if not codes else set()
    windows = max(1, SAMPLED_WINDOWS // max(len(sampled), 1))
    pixels: list[NDArray[np.float64]] = []
    read = partial(_read, codes=codes, seed=seed)
    with Threads(THREADS) as pool:
        wanted = (windows * (i in sampled) for i in range(len(paths)))
        found = pool.map(read, paths, wanted)
        for path, result in zip(
            paths, progress_bar(found, title, len(paths), disable=not progress), strict=True
        ):
            if isinstance(result, SceneError):
                facts.problems.append(result)
                continue
            _add_header(facts, path, result)
            _add_codes(facts, path, result)
            if result.sample is not None:
                pixels.append(_add_sample(facts, result, nodata))
    fitting = [values for values in pixels if len(values) == len(pixels[0])]
    if fitting:
        facts.sample = np.concatenate(fitting, axis=1)
        facts.missing = float(np.isnan(facts.sample).all(axis=0).mean())
    return facts


def _read(path: str, windows: int, codes: bool, seed: int) -> Survey | SceneError:
    try:
        return survey_raster(path, windows, codes, seed)
    except SceneError as error:
        return error


def _add_header(facts: Facts, path: str, survey: Survey) -> None:
    header = survey.header
    found = {
        'crs': header.crs,
        'resolutions': round(header.grid.transform.a, 9),
        'sizes': (header.height, header.width),
        'counts': header.count,
        'dtypes': header.dtype,
        'nodata': header.nodata,
        'descriptions': survey.descriptions,
        'scaling': (survey.scales[0], survey.offsets[0]),
    }
    for name, value in found.items():
        getattr(facts, name)[value] += 1
        facts.examples.setdefault((name, value), path)
    facts.places[path] = header.crs, header.grid.bounds
    if survey.only is not None:
        facts.constant[path] = float('nan') if survey.only == header.nodata else survey.only
    if sum(facts.counts.values()) <= NAMED:
        facts.hints += f'{path} {survey.tags} '


def _add_codes(facts: Facts, path: str, survey: Survey) -> None:
    facts.codes.update(survey.codes)
    facts.is_measured |= survey.is_measured
    if len(facts.seen_in) < len(facts.codes):
        for code in survey.codes:
            facts.seen_in.setdefault(code, path)


def _add_sample(facts: Facts, survey: Survey, nodata: float | None) -> NDArray[np.float64]:
    values = np.asarray(survey.sample).astype(np.float64)
    facts.sampled_files += 1
    for value in (survey.header.nodata, nodata):
        if value is not None:
            values[values == value] = np.nan
    values[~np.isfinite(values)] = np.nan
    return values


def _percentiles(band: NDArray[np.float64]) -> NDArray[np.float64]:
    known = band[~np.isnan(band)]
    return np.percentile(known, PERCENT) if len(known) else np.full(len(PERCENT), np.nan)


def common(counter: Counter[Any]) -> Iterator[str]:
    """What a counter holds as text, the most frequent first, with numbers of several."""
    for value, count in counter.most_common():
        text = 'none' if value in ('', None) else str(value)
        yield text if len(counter) == 1 else f'{text} ({count})'
