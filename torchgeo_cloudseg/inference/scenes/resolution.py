"""The pixels of a map: how many there are per optical pixel, and windows that fit them."""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from typing import NamedTuple

from ...datasets.scene_spec import SceneSpec
from ...rasters import Grid, exact_scale
from .options import MapOptions

logger = logging.getLogger(__name__)

#: Share by which pixels may differ from those that were asked for: unnoticed, and at most.
CLOSE, TOLERATED = 1e-3, 1e-2


class MapScale(NamedTuple):
    """Pixels of the map per optical pixel, and windows that begin and end on whole ones."""

    rows: Fraction
    columns: Fraction
    window: int
    stride: int


def map_scale(grid: Grid, spec: SceneSpec, options: MapOptions) -> MapScale:
    """Find the pixels of a map, and windows for them.

    Args:
        grid: the grid of the optical image.
        spec: what the network was trained on.
        options: what is wanted.

    Returns:
        the scale: exact for the label grid and the optical one; for a size in units of the CRS, the
        ratio nearest to it with which windows overlap as they should.

    Raises:
        ValueError: if the image has no units, or windows that were given allow for no size near
            the one that is wanted.
    """
    if options.resolution == 'label':
        return _with_windows(spec.label_scale, spec.label_scale, spec, options)
    if options.resolution == 'optical':
        return _with_windows(Fraction(1), Fraction(1), spec, options)
    wanted = float(options.resolution)
    if grid.crs is None and grid.control:
        raise ValueError(
            f'resolution={wanted:g}: the optical image has no grid, but ground control points or '
            "polynomials, and no unit of length. Give 'label' or 'optical'."
        )
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    # sides of a pixel, however it is turned
    sides = math.hypot(b, e), math.hypot(a, d)
    rows = _ratio(sides[0] / wanted, 1, spec, options)
    columns = _ratio(sides[1] / wanted, rows.denominator, spec, options)
    sizes = [side / float(scale) for side, scale in zip(sides, (rows, columns), strict=True)]
    apart = max(abs(size / wanted - 1) for size in sizes)
    if apart > TOLERATED:
        how = _given(options)
        text = ' x '.join(f'{size:.6g}' for size in dict.fromkeys(sizes))
        raise ValueError(
            f'resolution={wanted:g}: no map has such pixels with {how}. The next size is {text}. '
            'Give that, or other windows.'
        )
    if apart > CLOSE / 100:
        logger.info('Pixels of the map are %.6g x %.6g, not %g.', *sizes, wanted)
    return _with_windows(rows, columns, spec, options)


def _given(options: MapOptions) -> str:
    sizes = {'window': options.window, 'stride': options.stride}
    texts = [f'{name}={size}' for name, size in sizes.items() if size is not None]
    return ' and '.join(texts) or 'windows of a size near that of the training'


def _ratio(wanted: float, step_px: int, spec: SceneSpec, options: MapOptions) -> Fraction:
    """The ratio nearest to a number with which windows of whole steps begin on whole pixels."""
    exact = exact_scale(wanted) if wanted > 1 / 1000 else Fraction(0)
    if exact and _fits(math.lcm(exact.denominator, step_px), spec, options):
        return exact
    found = []
    for denominator in range(1, spec.window + 1):
        if _fits(math.lcm(denominator, step_px), spec, options):
            ratio = Fraction(max(1, round(wanted * denominator)), denominator)
            found.append((abs(float(ratio) / wanted - 1), denominator, ratio))
    close = [entry for entry in found if entry[0] <= CLOSE]
    # of those that nobody can tell apart, the one that leaves windows the most freedom
    return min(close, key=lambda entry: entry[1])[2] if close else min(found)[2]


def _fits(step_px: int, spec: SceneSpec, options: MapOptions) -> bool:
    """Whether windows near those of the training, or those that are given, are whole steps."""
    given = [size for size in (options.window, options.stride) if size is not None]
    if any(size % step_px for size in given):
        return False
    if options.window is not None:
        return options.stride is not None or 2 * step_px <= options.window or step_px == 1
    fitting = round(spec.window / step_px) * step_px
    return 3 * abs(fitting - spec.window) <= spec.window


def _with_windows(
    rows: Fraction, columns: Fraction, spec: SceneSpec, options: MapOptions
) -> MapScale:
    """Window and stride; those that are not given begin and end on whole pixels of the map."""
    step_px = math.lcm(rows.denominator, columns.denominator)
    window = options.window
    if window is None:
        # where no size near that of the training fits, the plan says so
        fitting = round(spec.window / step_px) * step_px
        window = fitting if 3 * abs(fitting - spec.window) <= spec.window else spec.window
    usual = max(step_px, 3 * window // 4 // step_px * step_px)
    return MapScale(rows, columns, window, usual if options.stride is None else options.stride)
