"""A model card of an exported network, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...datasets.scene_spec import SceneSpec
from .item import KINDS, TITLES, band_names, description, scaling, title


def model_card(path: Path, facts: Mapping[str, Any], spec: SceneSpec, size: int) -> str:
    """A model card, in Markdown.

    Args:
        path: the exported network.
        facts: those in the file.
        spec: what the network expects of a scene, and its classes.
        size: bytes of the file.

    Returns:
        the text.
    """
    framework = KINDS[path.suffix][0]
    versions = ', '.join(f'{name} {number}' for name, number in facts['versions'].items())
    bands = [
        (kind, str(number), name, f'{low:g}', f'{high:g}')
        for kind in TITLES
        for number, name, (low, high) in zip(
            getattr(spec, f'{kind}_bands'), band_names(spec, kind), scaling(spec, kind), strict=True
        )
    ]
    classes = [
        (str(value), name, f'#{bytes(color).hex()}')
        for value, (name, color) in enumerate(zip(spec.class_names, spec.class_colors, strict=True))
    ]
    about = [
        ('architecture', facts['architecture']),
        ('encoder', facts['encoder']),
        ('modalities', facts['modalities']),
        ('parameters', f'{facts["parameters"]:,}'),
        ('file', f'{path.name}, {framework}, {size / 1e6:.1f} MB'),
        ('window of the training', f'{spec.window} px'),
        ('pixels of labels per image pixel', str(spec.label_scale)),
        ('made by', versions),
    ]
    return '\n'.join([
        '---', 'library_name: torchgeo-cloudseg', 'pipeline_tag: image-segmentation',
        'tags: [remote-sensing, land-cover, clouds, sar]', '---', '', f'# {title(facts)}', '',
        description(facts, spec), '', *_table(('fact', 'value'), about), '',
        '## Inputs', '',
        'Float32, (batch, band, height, width), 0..1: stored values are clipped to their range. '
        'Both images lie on one grid, of any size.', '',
        *_table(('input', 'band of the file', 'name', 'stored 0', 'stored 1'), bands), '',
        '## Outputs', '', *(_output(name, facts, spec) for name in facts['outputs']), '',
        *_table(('value', 'class', 'color'), classes), '', *_precision(facts),
        *_confidence(facts),
        '## Limits', '',
        'The file says what the network was trained on, not how good it is: measure it on scenes '
        'of the place and season where it is to be used. Values outside of the ranges above, other '
        'sensors and other pixel sizes are not what it has learnt.', '',
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ['---'] * len(head), *rows]
    return [f'| {" | ".join(cell.replace("|", "&#124;") for cell in line)} |' for line in lines]


def _output(name: str, facts: Mapping[str, Any], spec: SceneSpec) -> str:
    if name == 'reconstruction':
        return f'- `{name}`: the cloud-free image, (batch, band, height, width), 0..1.'
    if name == 'opacity':
        return f'- `{name}`: that of the clouds, (batch, 1, height, width), 0 clear..1 opaque.'
    grid = 'the training labels' if facts['resolution'] == 'label' else 'the optical image'
    return (
        f'- `{name}`: scores, (batch, class, height, width), on the grid of {grid}; the class of '
        f'a pixel is that of the highest of its {spec.num_classes} scores.'
    )


def _confidence(facts: Mapping[str, Any]) -> list[str]:
    """How scores become true confidence, where that was fitted."""
    if 'calibration' not in facts:
        return []
    found = facts['calibration']
    bins = pairwise((0, *found['edges'], 1))
    thresholds = found['thresholds'] or [None] * len(found['temperatures'])
    rows = [
        (f'{low:g} to {high:g}', f'{temperature:.3f}', '' if least is None else f'{least:.3f}')
        for (low, high), temperature, least in zip(
            bins, found['temperatures'], thresholds, strict=True
        )
    ]
    least = f'least probability in a {100 * found["coverage"]:g} % set'
    return [
        '## Confidence', '',
        'Scores are divided by a temperature before the softmax; it was fitted on validation '
        'scenes, by the opacity that the network tells.', '',
        *_table(('opacity', 'temperature', least), rows), '',
    ]  # fmt: skip


def _precision(facts: Mapping[str, Any]) -> list[str]:
    """What 8 bits have changed, where there are 8 bits."""
    if 'quantization' not in facts:
        return []
    found = facts['quantization']
    return [
        '## Precision', '',
        f'Weights and activations have 8 bits ({found["type"]}, ONNX Runtime, static), calibrated '
        f'on {found["windows"]} windows of {len(found["scenes"])} scenes (seed {found["seed"]}): '
        f'{", ".join(found["scenes"])}. On {found["compared"]} other windows of these scenes, '
        f'{found["agreement"]:.2%} of the pixels have the class that the float32 network gives '
        'them.', '',
    ]  # fmt: skip
