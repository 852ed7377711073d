"""A diagram of the network, of what its modules pass to each other in a forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

#: Row and color of the modules whose name starts so.
ROWS = {
    'reconstruction': (3.0, '#e07b39'),
    'optical': (3.0, '#4c8bb8'),
    'fusions': (2.0, '#8a6fae'),
    'cross': (1.0, '#b05c7a'),
    'decoder': (1.0, '#4f9a6a'),
    'head': (1.0, '#4f9a6a'),
    'sar': (0.0, '#c7a43a'),
}

#: What stands in a box.
TITLES = {
    'optical': 'optical encoder\nstage {}',
    'sar': 'SAR encoder\nstage {}',
    'cross': 'cross-modal\nstage {}',
    'fusions': 'fusion {}',
    'decoder': 'U-Net\ndecoder',
    'head': 'head',
    'reconstruction': 'reconstruction',
}


class Call(NamedTuple):
    """A module that was called: its name, and the tensors that went in and came out."""

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]


def draw(network: nn.Module, *images: Tensor) -> Figure:
    """Run a network, and draw what its parts pass to each other.

    Args:
        network: a CloudSegNet.
        *images: its input.

    Returns:
        the figure: a box for each part, with the shape (channels, height, width) that it gives.
    """
    calls = trace(network, *images)
    figure, axes = plt.subplots(figsize=(13, 6))
    axes.set_axis_off()
    # the page behind it may be dark
    figure.patch.set_facecolor('white')
    places = {call.name: _place(call.name) for call in calls}
    for i, image in enumerate(images):
        kind = ('optical', 'sar')[i]
        calls.append(Call(f'image.{kind}', [], [image]))
        places[f'image.{kind}'] = (-1.0, ROWS[kind][0])
    for call in calls:
        for source in calls:
            passed = [t for t in call.inputs if any(t is out for out in source.outputs)]
            if passed and source is not call:
                _arrow(axes, places[source.name], places[call.name])
    for call in calls:
        _box(axes, call, places[call.name])
    axes.set_xlim(-1.7, 6.9)
    axes.set_ylim(-0.6, 3.6)
    figure.tight_layout()
    return figure


def trace(network: nn.Module, *images: Tensor) -> list[Call]:
    """Run a network, and record the calls of its parts.

    Args:
        network: a CloudSegNet.
        *images: its input.

    Returns:
        one entry for each stage, fusion block, decoder and head.
    """
    calls: list[Call] = []
    handles = [
        module.register_forward_hook(
            lambda _, given, got, name=name: calls.append(
                Call(name, list(_tensors(given)), list(_tensors(got)))
            )
        )
        for name, module in network.named_modules()
        if _is_part(name)
    ]
    with torch.no_grad():
        network(*images)
    for handle in handles:
        handle.remove()
    return calls


def _is_part(name: str) -> bool:
    *owner, last = name.split('.')
    return name in ('decoder', 'head', 'reconstruction') or (
        last.isdigit() and (owner[-1:] == ['stages'] or owner == ['fusions'])
    )


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def _kind(name: str) -> str:
    return next(
        kind for kind in ROWS if name.split('.')[-1 if 'image' in name else 0].startswith(kind)
    )


def _place(name: str) -> tuple[float, float]:
    """Stages from left to right, what follows them at the right."""
    kind = _kind(name)
    after = {'decoder': 5.0, 'head': 6.3, 'reconstruction': 5.0}
    column = after[kind] if kind in after else float(name.rsplit('.', 1)[-1]) * 1.3
    # a fusion block comes after its stage
    return column + (0.55 if kind == 'fusions' else 0.0), ROWS[kind][0]


def _box(axes: Any, call: Call, place: tuple[float, float]) -> None:
    kind = _kind(call.name)
    shape = ' x '.join(map(str, call.outputs[-1].shape[1:]))
    if call.name.startswith('image'):
        text = f'{"optical" if kind == "optical" else "SAR"} image'
    else:
        stage = call.name.rsplit('.', 1)[-1]
        text = TITLES[kind].format(int(stage) + 1 if stage.isdigit() else '')
    style = {'boxstyle': 'round,pad=0.45', 'facecolor': ROWS[kind][1], 'edgecolor': 'none'}
    axes.text(
        *place, f'{text}\n{shape}', ha='center', va='center', fontsize=8, color='white',
        bbox=style, zorder=3,
    )  # fmt: skip


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    # boxes are wider than high
    shrink = 42 if start[1] == end[1] else 22
    bend = 0.0 if abs(start[1] - end[1]) > 0.1 or end[0] - start[0] < 2 else -0.25
    style = {
        'arrowstyle': '->', 'color': '#666666', 'lw': 0.9, 'shrinkA': shrink, 'shrinkB': shrink,
        'connectionstyle': f'arc3,rad={bend}',
    }  # fmt: skip
    axes.annotate('', end, start, arrowprops=style, zorder=1)
