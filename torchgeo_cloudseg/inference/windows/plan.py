"""Where windows lie on an image, and which part of the output each of them reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from ...rasters import exact_scale, size_at


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image.

    Window *i* has its nominal place at ``i * stride_px``. A window that would leave the image is
    shifted inside. Images whose size is no multiple of *step_px* are padded at the far end, by
    less than a step, so that every window starts on a whole output pixel; an image smaller than
    a window gets a single window of its own (padded) size.

    Attributes:
        size_px: size of the image.
        window_px: size of the windows; at most the padded size of the image.
        stride_px: distance between nominal places.
        step_px: smallest distance that is a whole number of output pixels.

    Example:
        >>> Axis(size_px=300, window_px=160, stride_px=80, step_px=10).starts_px
        (0, 80, 140)
    """

    size_px: int
    window_px: int
    stride_px: int
    step_px: int

    @cached_property
    def padded_px(self) -> int:
        """Size of the image with its padding."""
        return -(-self.size_px // self.step_px) * self.step_px

    @cached_property
    def nominal_starts_px(self) -> tuple[int, ...]:
        """Nominal place of each window."""
        beyond = self.padded_px - self.window_px
        return tuple(i * self.stride_px for i in range(-(-beyond // self.stride_px) + 1))

    @cached_property
    def starts_px(self) -> tuple[int, ...]:
        """Place of each window after shifting it inside the image."""
        last = self.padded_px - self.window_px
        return tuple(min(start, last) for start in self.nominal_starts_px)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.starts_px)


@dataclass(frozen=True)
class WindowPlan:
    """Windows that cover an image, and the grid of the output.

    Windows form rows and columns. Output rows are finished in *row blocks*: block *i* is what no
    window after row *i* of the windows reaches, from the start of row *i* to the start of the next
    one.

    Attributes:
        rows: windows down the image.
        columns: windows across the image.
        scale: output rows per image row, and output columns per image column unless there is a
            *column_scale* for these.
        column_scale: output columns per image column, where pixels of the two are not alike.

    Example:
        >>> from fractions import Fraction
        >>> axis = Axis(size_px=300, window_px=160, stride_px=80, step_px=10)
        >>> plan = WindowPlan(axis, axis, Fraction(3, 10))
        >>> plan.output_size_px, plan.block_px(0)
        ((90, 90), (0, 24))
    """

    rows: Axis
    columns: Axis
    scale: Fraction
    column_scale: Fraction | None = None

    @property
    def across(self) -> Fraction:
        """Output columns per image column."""
        return self.scale if self.column_scale is None else self.column_scale

    def at(self, scale: Fraction | int) -> WindowPlan:
        """The same windows with an output on another grid.

        Args:
            scale: output pixels per image pixel, with which windows start on whole pixels.

        Returns:
            a new plan.
        """
        return replace(self, scale=Fraction(scale), column_scale=None)

    @property
    def window_output_px(self) -> tuple[int, int]:
        """Height and width of a window, in output pixels."""
        return self.to_output(self.rows.window_px), self.columns_to_output(self.columns.window_px)

    @property
    def output_size_px(self) -> tuple[int, int]:
        """Height and width of the output, in output pixels: image size times scale, rounded."""
        return size_at(self.rows.size_px, self.scale), size_at(self.columns.size_px, self.across)

    def to_output(self, image_px: int) -> int:
        """Convert a number of rows that is a multiple of a step from image to output.

        Args:
            image_px: rows of the image.

        Returns:
            rows of the output.
        """
        return int(image_px * self.scale)

    def columns_to_output(self, image_px: int) -> int:
        """Convert a number of columns that is a multiple of a step from image to output.

        Args:
            image_px: columns of the image.

        Returns:
            columns of the output.
        """
        return int(image_px * self.across)

    def block_px(self, row: int) -> tuple[int, int]:
        """Output rows that are finished after a row of windows.

        Args:
            row: index of the row of windows.

        Returns:
            first output row and the one after the last.
        """
        starts = self.rows.starts_px
        if row + 1 == len(starts):
            return self.to_output(starts[row]), self.output_size_px[0]
        return self.to_output(starts[row]), self.to_output(starts[row + 1])

    def image_rows(self, row: int) -> int:
        """Height of a row block in image pixels, padding included.

        Args:
            row: index of the row block.

        Returns:
            number of rows of the padded image.
        """
        ends = (*self.rows.starts_px[1:], self.rows.padded_px)
        return ends[row] - self.rows.starts_px[row]

    def first_row_reaching(self, row: int) -> int:
        """First row of windows that reaches into a row block.

        Args:
            row: index of the row block.

        Returns:
            index of a row of windows, at most *row*.
        """
        start = self.rows.starts_px[row]
        return next(
            i for i, top in enumerate(self.rows.starts_px) if top + self.rows.window_px > start
        )


def plan_windows(
    size_px: tuple[int, int],
    window_px: int,
    stride_px: int,
    scale: float | Fraction = 1,
    column_scale: float | Fraction | None = None,
) -> WindowPlan:
    """Plan the windows over an image.

    With a window of two strides this is the plan of Xu et al. 2024 (their released test code):
    ``ceil(size / stride) - 1`` windows a side, the last one shifted inside.

    Args:
        size_px: height and width of the image.
        window_px: side of the square windows.
        stride_px: distance between windows.
        scale: output pixels per image pixel, such as 0.3 or ``Fraction(3, 10)``.
        column_scale: the same for columns, where it is another.

    Returns:
        the plan.

    Raises:
        ValueError: if windows leave gaps, or do not fall on whole output pixels.

    Example:
        >>> plan = plan_windows((300, 300), window_px=160, stride_px=80)
        >>> len(plan.rows)
        3
    """
    exact = exact_scale(scale)
    across = exact if column_scale is None else exact_scale(column_scale)
    steps = exact.denominator, across.denominator
    if min(size_px) < 1:
        raise ValueError(f'An image of {size_px[0]} x {size_px[1]} pixels has no pixels to map.')
    if not 0 < stride_px <= window_px:
        raise ValueError(
            f'stride={stride_px} and window={window_px}: expected 0 < stride <= window, or there '
            'would be gaps.'
        )
    for name, length in (('window', window_px), ('stride', stride_px)):
        for ratio in dict.fromkeys((exact, across)):
            step = ratio.denominator
            if length % step:
                nearest = max(step, round(length / step) * step)
                raise ValueError(
                    f'{name}={length}: {length} * {ratio} is no whole number of output pixels. '
                    f'Take a multiple of {step}, such as {nearest}, or another scale.'
                )
    rows, columns = (
        Axis(size, min(window_px, -(-size // step) * step), stride_px, step)
        for size, step in zip(size_px, steps, strict=True)
    )
    return WindowPlan(rows, columns, exact, None if across == exact else across)
