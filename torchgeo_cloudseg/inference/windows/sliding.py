"""Sliding a network over images, window by window, and putting the windows together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..._choices import BATCH_SIZE, BlendName
from .dates import DateMeans
from .plan import WindowPlan, plan_windows
from .weights import Blend, make_blend

#: Optical and SAR windows (N, C, h, w), (N, S, h, w) in; logits (N, K, h', w') out.
Network = Callable[[Tensor, Tensor], Tensor]

#: The same with several outputs, such as logits and a reconstructed image.
MultiNetwork = Callable[[Tensor, Tensor], Sequence[Tensor]]


class Images(NamedTuple):
    """The images under a row of windows."""

    #: (B, C, window, W)
    optical: Tensor
    #: (B, S, window, W)
    sar: Tensor
    #: Where there is data (B, window, W), bool, on the CPU.
    valid: Tensor


class RowBlock(NamedTuple):
    """Finished rows of the output."""

    #: Index of the row of windows that finished them.
    row: int
    #: For every output of the network (B, K, rows, W); empty where no window had data.
    outputs: tuple[Tensor, ...]
    #: Where there is data under that row of windows (B, window, W), on any date.
    valid: Tensor


#: Index of an image, of a column of windows, and the network's outputs (K, h, w) for the window.
Window = tuple[int, int, tuple[Tensor, ...]]

#: Gives the images under rows of windows, one after the other; for each row those of every date.
Reader = Callable[[Sequence[int]], Iterable[Iterable[Images]]]


def sliding_window(
    model: Network,
    optical: Tensor,
    sar: Tensor,
    window: int = 160,
    stride: int = 80,
    scale: float | Fraction = 0.3,
    blend: BlendName | Blend = 'average',
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Logits of whole images, from overlapping windows.

    The defaults are the test protocol of Xu et al. 2024, see
    :func:`~torchgeo_cloudseg.inference.plan_windows` and
    :class:`~torchgeo_cloudseg.inference.Average`. Windows of several images share a forward pass.

    Images whose sides are no multiple of the scale's denominator (10 px for 3/10) are padded at
    the right and bottom by repeating the edge; images smaller than a window are one window of
    their own size, rounded up to that multiple.

    Args:
        model: network, in evaluation mode, that gives the logits (N, K, h * scale, w * scale) of
            windows (N, C, h, w) and (N, S, h, w).
        optical: optical images (B, C, H, W), scaled as the network expects them.
        sar: SAR images (B, S, H, W) on the same grid.
        window: side of the windows, in pixels.
        stride: distance between windows, in pixels.
        scale: output pixels per image pixel; exact, 0.3 is taken as 3/10.
        blend: how windows are put together: 'average', 'hann', 'gaussian' or 'crop'.
        batch_size: windows per forward pass.

    Returns:
        logits (B, K, H * scale, W * scale), sizes rounded half up, on the device of the logits.

    Raises:
        ValueError: if images do not match, windows leave gaps or do not fall on whole output
            pixels, or the network's output has another size than announced.

    Example:
        >>> import torch
        >>> def model(optical, sar):
        ...     return optical[:, :2]
        >>> optical, sar = torch.rand(1, 4, 300, 200), torch.rand(1, 2, 300, 200)
        >>> sliding_window(model, optical, sar, scale=1).shape
        torch.Size([1, 2, 300, 200])
    """
    same_grid = optical.shape[:1] + optical.shape[2:] == sar.shape[:1] + sar.shape[2:]
    if optical.ndim != 4 or sar.ndim != 4 or not same_grid:
        raise ValueError(
            f'optical {tuple(optical.shape)} and sar {tuple(sar.shape)}: expected (B, C, H, W) and '
            '(B, S, H, W) with the same B, H and W.'
        )
    plan = plan_windows((optical.shape[-2], optical.shape[-1]), window, stride, scale)

    def network(optical: Tensor, sar: Tensor) -> tuple[Tensor]:
        return (model(optical, sar),)

    (logits,) = slide_images(network, optical, sar, [plan], make_blend(blend), batch_size)
    return logits


def slide_images(
    model: MultiNetwork,
    optical: Tensor,
    sar: Tensor,
    plans: Sequence[WindowPlan],
    blend: Blend,
    batch_size: int = BATCH_SIZE,
) -> tuple[Tensor, ...]:
    """All outputs of a network for whole images, from the same passes over their windows.

    Args:
        model: network with one output per plan.
        optical: optical images (B, C, H, W).
        sar: SAR images (B, S, H, W) on the same grid.
        plans: the same windows for every output of the network, each with its own scale.
        blend: how windows are put together.
        batch_size: windows per forward pass.

    Returns:
        for every plan, the output (B, K, H * scale, W * scale).
    """
    plan = plans[0]
    right = plan.columns.padded_px - optical.shape[-1]
    bottom = plan.rows.padded_px - optical.shape[-2]
    optical, sar = (
        F.pad(image, (0, right, 0, bottom), mode='replicate') for image in (optical, sar)
    )

    everywhere = torch.ones(len(optical), plan.rows.window_px, optical.shape[-1], dtype=torch.bool)

    def read(rows: Sequence[int]) -> Iterator[list[Images]]:
        for top in (plan.rows.starts_px[row] for row in rows):
            under = slice(top, top + plan.rows.window_px)
            yield [Images(optical[:, :, under], sar[:, :, under], everywhere)]

    blocks = stream_row_blocks(model, read, plans, blend, batch_size)
    outputs = zip(*(block.outputs for block in blocks), strict=True)
    return tuple(torch.cat(rows, dim=-2) for rows in outputs)


def stream_row_blocks(
    model: MultiNetwork,
    read: Reader,
    plans: Sequence[WindowPlan],
    blend: Blend,
    batch_size: int = BATCH_SIZE,
    blocks: Collection[int] | None = None,
    make_means: Callable[[], DateMeans] | None = None,
) -> Iterator[RowBlock]:
    """Slide over images from top to bottom and hand out output rows as soon as they are finished.

    Memory does not depend on the height of the images. A forward pass never spans two rows of
    windows, so that its results, to the last bit, do not depend on where a run starts. It is left
    out where none of its windows has data.

    Args:
        model: network with one output per plan.
        read: gives the images under rows of windows, padded to the plan's width.
        plans: the same windows for every output of the network, each with its own scale.
        blend: how windows are put together.
        batch_size: windows per forward pass.
        blocks: row blocks to compute (defaults to all); windows above that reach into them are
            computed too.
        make_means: makes what puts the dates of a row together; None where there is one date.

    Yields:
        the row blocks in order.

    Raises:
        ValueError: if *batch_size* is not positive, or the network's output has another size than
            announced.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: expected at least 1.')
    plan = plans[0]
    blocks = range(len(plan.rows)) if blocks is None else blocks
    reaching = (range(plan.first_row_reaching(block), block + 1) for block in blocks)
    rows = sorted(set(chain.from_iterable(reaching)))
    sums: list[WindowSum] = []
    for row, dates in zip(rows, read(rows), strict=True):
        if row - 1 not in rows:
            sums = [WindowSum(plan, blend) for plan in plans]
        with torch.no_grad():
            if make_means is None:
                (images,) = dates
                windows, valid = _run_windows(model, images, plan, batch_size), images.valid
            else:
                windows, valid = _run_dates(model, dates, plan, batch_size, make_means())
            for image, column, outputs in windows:
                for total, output in zip(sums, outputs, strict=True):
                    total.add(output, image, row, column, images=len(valid))
            finished = [total.finish(row) for total in sums]
        if row in blocks:
            reached = tuple(output for output in finished if output is not None)
            yield RowBlock(row, reached, valid)


class WindowSum:
    """Sum of weighted windows, from the start of the current row of windows on."""

    def __init__(self, plan: WindowPlan, blend: Blend) -> None:
        """Initialize a new WindowSum instance.

        Args:
            plan: windows and output grid.
            blend: how windows are put together.
        """
        self.plan = plan
        self.row_weights = blend.weights(plan.rows, plan.scale)
        self.column_weights = blend.weights(plan.columns, plan.across)
        self._sum: Tensor | None = None

    def add(self, output: Tensor, image: int, row: int, column: int, images: int) -> None:
        """Add a window.

        Args:
            output: the network's output (K, h, w) for the window.
            image: index of the image.
            row: index of the window's row, the current one.
            column: index of the window in its row.
            images: number of images.

        Raises:
            ValueError: if the output has another size than announced.
        """
        plan, size = self.plan, self.plan.window_output_px
        if output.shape[-2:] != size:
            raise ValueError(
                f'The network gave {tuple(output.shape[-2:])} output pixels for a window of '
                f'{(plan.rows.window_px, plan.columns.window_px)} pixels, expected {size} at a '
                f'scale of {plan.scale}. Resize its output, or give the scale that it has.'
            )
        if self._sum is None:
            width = plan.columns_to_output(plan.columns.padded_px)
            # half precision is for the network; sums are not
            self._sum = torch.zeros(images, len(output), size[0], width, device=output.device)
            self.row_weights = self.row_weights.to(output.device)
            self.column_weights = self.column_weights.to(output.device)
        start = plan.columns_to_output(plan.columns.starts_px[column])
        weights = torch.outer(self.row_weights[row], self.column_weights[column])
        self._sum[image, :, :, start : start + size[1]].addcmul_(output.float(), weights)

    def finish(self, row: int) -> Tensor | None:
        """Close the current row of windows.

        Args:
            row: its index.

        Returns:
            the row block (B, K, rows, W) that is finished with it; None where no window reached it.
        """
        if self._sum is None:
            return None
        start, stop = self.plan.block_px(row)
        finished = self._sum[:, :, : stop - start, : self.plan.output_size_px[1]]
        # the next row of windows starts where the block ends
        self._sum = F.pad(self._sum[:, :, stop - start :], (0, 0, 0, stop - start))
        return finished


def _run_dates(
    model: MultiNetwork,
    dates: Iterable[Images],
    plan: WindowPlan,
    batch_size: int,
    means: DateMeans,
) -> tuple[Iterator[Window], Tensor]:
    """Outputs for the windows in a row, of all dates together, and where one of them has data."""
    anywhere = torch.zeros(1, dtype=torch.bool)
    width, starts_px = plan.columns.window_px, plan.columns.starts_px
    for images in dates:
        anywhere = anywhere | images.valid
        for image, column, outputs in _run_windows(model, images, plan, batch_size):
            under = slice(starts_px[column], starts_px[column] + width)
            means.add((image, column), outputs, images.valid[image, :, under])
    return means.windows(), anywhere


def _run_windows(
    model: MultiNetwork, images: Images, plan: WindowPlan, batch_size: int
) -> Iterator[Window]:
    """Outputs of the network for the windows in a row; for each its image and its column."""
    optical, sar, valid = images
    width, starts_px = plan.columns.window_px, plan.columns.starts_px
    windows = list(product(range(len(optical)), range(len(starts_px))))
    for first in range(0, len(windows), batch_size):
        chunk = windows[first : first + batch_size]
        places = [(image, slice(starts_px[i], starts_px[i] + width)) for image, i in chunk]
        if not any(valid[image, :, place].any() for image, place in places):
            continue
        outputs = model(
            torch.stack([optical[image, :, :, place] for image, place in places]),
            torch.stack([sar[image, :, :, place] for image, place in places]),
        )
        for (image, column), *window in zip(chunk, *outputs, strict=True):
            yield image, column, tuple(window)
