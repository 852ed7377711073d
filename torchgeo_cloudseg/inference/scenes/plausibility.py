"""Whether the values of a scene can be what a network expects, before it is mapped."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...datasets.scene_spec import Range
from ...rasters import Image, SceneError, name_of

logger = logging.getLogger(__name__)

#: Windows a side that are looked at, and their size in pixels.
SAMPLES, SAMPLE_PX = 4, 128

#: Rows read at once where there is no data in them.
SWEEP_ROWS = 512

#: Share of the range below which all values lie in one place: nothing is to be seen.
FLAT = 1e-3

#: Share of the range that speckle alone is wider than.
NARROW = 0.02

#: Share of the range that a type of integers must reach.
SMALL = 0.1

#: Lowest and highest usual value: all others are a hundredth at either end.
USUAL = 1.0, 99.0


class NoDataError(SceneError):
    """An image, or a scene, without a single pixel with data."""


@dataclass(frozen=True)
class Finding:
    """What the sample of an image looks like."""

    #: Shares of the values of each band outside of its range, and of those that are missing.
    clipped: tuple[float, ...]
    missing: tuple[float, ...]
    #: Whether bands have one value only.
    constant: tuple[bool, ...]
    #: Lowest and highest usual value of all bands, and the same as shares of the range.
    usual: tuple[float, float]
    relative: tuple[float, float]

    def __str__(self) -> str:
        """Shares of each band."""
        bands = zip(self.clipped, self.missing, self.constant, strict=True)
        return ', '.join(
            f'band {number}: {clipped:.0%} outside, {missing:.0%} missing'
            + (', constant' if constant else '')
            for number, (clipped, missing, constant) in enumerate(bands, start=1)
        )


def check_values(image: Image, kind: str, ends: Range, max_clipped: float) -> None:
    """Refuse an image without data, and one whose values cannot be those of the training.

    Args:
        image: the image, with the bands selected.
        kind: 'optical' or 'SAR'.
        ends: values that become 0 and 1, for all bands or by band.
        max_clipped: share of values outside of this range that is accepted.

    Raises:
        SceneError: if it has no data, or too few values in the range; it tells what they may be.
    """
    values = sample(image)
    low, high = (np.asarray(end, np.float64).reshape(-1, 1) for end in ends)
    finding = _look_at(values, low, high)
    if any(finding.constant):
        logger.warning('%s: %s', name_of(image.path), finding)
    too_many = max(finding.clipped) > max_clipped
    dtype = np.dtype(image.header.dtype)
    top = image.brightest(float(np.iinfo(dtype).max)) if dtype.kind in 'iu' else np.inf
    # what the type of the file cannot hold is not there
    too_small = top < low.min() + SMALL * float((high - low).max())
    flat = finding.relative[1] < FLAT or too_small
    if kind == 'SAR':
        flat = 0 < np.ptp(finding.relative) < NARROW
    too_flat = max_clipped < 1 and bool(flat)
    if too_many or too_flat:
        cause, remedy = _cause(finding, kind, image.header.dtype, float(low.min()))
        usual = '{:.4g} to {:.4g}'.format(*finding.usual)
        argument = '--optical_range' if kind == 'optical' else '--sar_range'
        raise SceneError(
            image.path,
            f'{kind} values that are not those of the training: usually {usual} ({finding})',
            f'values between {_text(low)} and {_text(high)}',
            f'{cause}{remedy} Otherwise say which stored values are 0 and 1 ({argument}), or '
            f'accept that values are clipped (--max_clipped 1).',
        )


def sample(image: Image) -> NDArray[np.float32]:
    """Values from all over an image.

    Args:
        image: the image, with the bands selected.

    Returns:
        values (C, N) of windows in which there is data.

    Raises:
        NoDataError: if there is no data in the whole image.
    """
    height, width = image.size
    spans = [
        [(int(start), min(int(start) + SAMPLE_PX, size)) for start in np.unique(starts.astype(int))]
        for size in (height, width)
        for starts in [np.linspace(0, max(0, size - SAMPLE_PX), SAMPLES)]
    ]
    windows = [image.measure(rows, cols) for rows in spans[0] for cols in spans[1]]
    found = [values[:, has_data] for values, has_data in windows]
    if any(np.isfinite(values).any() for values in found):
        return np.concatenate(found, axis=1)
    for top in range(0, height, SWEEP_ROWS):
        values, has_data = image.measure((top, min(top + SWEEP_ROWS, height)))
        if np.isfinite(values[:, has_data]).any():
            return values[:, has_data]
    where = ' under the optical image' if image.is_warped else ''
    remedy = 'Give another image, or say which value stands for no data.'
    raise NoDataError(image.path, f'no measurement at all{where}', 'pixels with data', remedy)


def _look_at(
    values: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> Finding:
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1), 1)
    outside = (known & ((values < low) | (values > high))).sum(axis=1) / count
    missing = 1 - known.mean(axis=1)
    constant = [len(band) > SAMPLE_PX and np.ptp(band) == 0 for band in map(_finite, values)]
    relative = (values - low) / (high - low)
    return Finding(
        tuple(map(float, outside)),
        tuple(map(float, missing)),
        tuple(map(bool, constant)),
        _usual(values),
        _usual(relative),
    )


def _usual(values: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.percentile(_finite(values), USUAL)
    return float(low), float(high)


def _finite(values: NDArray[np.floating]) -> NDArray[np.floating]:
    finite: NDArray[np.floating] = values[np.isfinite(values)]
    return finite


def _cause(finding: Finding, kind: str, dtype: str, black: float) -> tuple[str, str]:
    """What values may be, and what to do about it."""
    low, high = finding.usual
    decibel = black < 0
    if kind == 'optical':
        if low < -1 and high < 2:
            return 'These look like SAR measurements in dB. ', 'Exchange --optical and --sar.'
        if dtype in ('uint8', 'int8') and finding.relative[1] < SMALL:
            return 'This looks like a picture of 8 bits, not reflectance. ', 'Give the original.'
        if finding.relative[1] < FLAT and high <= 2:
            return 'These look like reflectance 0..1. ', 'Then give --optical_range 0 1.'
        return f'These may be {dtype} radiances, or reflectance in another unit. ', ''
    if decibel and finding.relative[0] > 1 - NARROW and high <= 0:
        return 'This looks like dB, not dB x 100. ', 'Then declare the scale in the file (100).'
    if decibel and low >= 0:
        if high <= 10:
            unit = 'power (or amplitude)'
            return 'This looks like linear backscatter, not dB. ', f'Then give --sar_unit {unit}.'
        cause = 'These look like digital numbers of SAR amplitude, or an optical image. '
        return cause, 'Then give --sar_unit amplitude, or exchange --optical and --sar.'
    if decibel and finding.relative[0] < -10:
        return 'This looks like dB x 100. ', 'Then declare the scale in the file (0.01).'
    return '', ''


def _text(ends: NDArray[np.float64]) -> str:
    return ' / '.join(f'{end:g}' for end in ends.ravel())
