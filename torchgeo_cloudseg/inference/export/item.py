"""A STAC item of an exported network, by the Machine Learning Model extension."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..._choices import BATCH_SIZE
from ...datasets.scene_spec import SceneSpec
from ..scenes.sidecars import class_objects
from .portable import AXES

#: Schema that an item follows.
MLM = 'https://stac-extensions.github.io/mlm/v1.5.1/schema.json'

#: That of the size of a file.
FILE = 'https://stac-extensions.github.io/file/v2.1.0/schema.json'

#: Time of an item: a network is no observation, and the same one gives the same item.
ALWAYS = {
    'datetime': None,
    'start_datetime': '1900-01-01T00:00:00Z',
    'end_datetime': '9999-12-31T23:59:59Z',
}

#: Framework, its library, type of the file and of what is in it, by the suffix.
KINDS = {
    '.pt2': (
        'PyTorch',
        'torch',
        'application/octet-stream; framework=pytorch',
        'torch.export.save',
    ),
    '.onnx': ('ONNX', 'onnx', 'application/octet-stream; framework=onnx', 'onnx'),
}

#: Titles of the images.
TITLES = {'optical': 'optical', 'sar': 'SAR'}


def beside(path: Path) -> tuple[Path, Path]:
    """Names of the STAC item and of the model card of an exported network.

    Args:
        path: the exported network.

    Returns:
        both, beside it.
    """
    return path.with_name(f'{path.name}.json'), path.with_name(f'{path.name}.md')


def band_names(spec: SceneSpec, kind: str) -> list[str]:
    """Names of an image's bands, by which an input says which they are.

    Args:
        spec: the facts.
        kind: 'optical' or 'sar'.

    Returns:
        names; those that the data set states, else the numbers in the file.
    """
    named = getattr(spec, f'{kind}_names')
    return [
        f'{TITLES[kind]} {name or f"band {band}"}'
        for name, band in zip_longest(named, getattr(spec, f'{kind}_bands'))
    ]


def model_item(path: Path, facts: Mapping[str, Any], spec: SceneSpec, size: int) -> dict[str, Any]:
    """A STAC item of an exported network, by the Machine Learning Model extension, version 1.5.

    Args:
        path: the exported network.
        facts: those in the file.
        spec: what the network expects of a scene, and its classes.
        size: bytes of the file.

    Returns:
        the item, for JSON.
    """
    framework, library, media, artifact = KINDS[path.suffix]
    outputs = [_output(name, facts, spec) for name in facts['outputs']]
    hyperparameters = {name: facts[name] for name in ('encoder', 'modalities', 'window')}
    summary = f'Recorded on the CPU by PyTorch {facts["versions"]["torch"]}.'
    if quantization := facts.get('quantization'):
        hyperparameters['quantization'] = quantization['type']
        summary += ' Fast where the processor has 8-bit dot products (VNNI).'
    bands = [{'name': name} for kind in TITLES for name in band_names(spec, kind)]
    properties = {
        **ALWAYS,
        'title': title(facts),
        'description': description(facts, spec),
        'mlm:name': re.sub(r'[^0-9A-Za-z_.-]+', '-', f'CloudSeg {path.name}'),
        'mlm:architecture': facts['architecture'],
        'mlm:tasks': sorted({task for output in outputs for task in output['tasks']}),
        'mlm:framework': framework,
        'mlm:framework_version': facts['versions'][library],
        'mlm:total_parameters': facts['parameters'],
        'mlm:batch_size_suggestion': BATCH_SIZE,
        'mlm:accelerator': 'amd64',
        # what torch.export records stays on the device where it was recorded
        'mlm:accelerator_constrained': path.suffix == '.pt2',
        'mlm:accelerator_summary': summary,
        'mlm:input': [_input(kind, spec) for kind in TITLES],
        'mlm:output': outputs,
        'mlm:hyperparameters': hyperparameters,
        'bands': bands,
    }
    card = beside(path)[1]
    return {
        'type': 'Feature', 'stac_version': '1.1.0', 'stac_extensions': [MLM, FILE],
        'id': path.name, 'geometry': None, 'properties': properties, 'links': [],
        'assets': {
            'model': {
                'href': f'./{path.name}', 'type': media, 'title': title(facts),
                'roles': ['mlm:model', 'mlm:compiled'], 'mlm:artifact_type': artifact,
                'file:size': size, 'bands': bands,
            },
            'card': {
                'href': f'./{card.name}', 'type': 'text/markdown', 'title': 'Model card',
                'roles': ['metadata'],
            },
        },
    }  # fmt: skip


def title(facts: Mapping[str, Any]) -> str:
    """One line on an exported network.

    Args:
        facts: those in the file.

    Returns:
        the line.
    """
    bits = f', {facts["quantization"]["type"]}' if 'quantization' in facts else ''
    return f'Land cover through clouds ({facts["architecture"]}, {facts["encoder"]}{bits})'


def description(facts: Mapping[str, Any], spec: SceneSpec) -> str:
    """What an exported network does.

    Args:
        facts: those in the file.
        spec: what it expects of a scene, and its classes.

    Returns:
        a sentence or two.
    """
    seen = ' and '.join(TITLES[kind] for kind in spec.images)
    text = f'Maps {spec.num_classes} classes of land cover from {seen} images, through clouds.'
    if 'reconstruction' in facts['outputs']:
        text += ' Gives the cloud-free image, too.'
    return text


def _structure(channels: int, axis: str) -> dict[str, Any]:
    """An array of any batch, height and width."""
    names = {**AXES, 1: axis}
    return {
        'shape': [-1, channels, -1, -1],
        'dim_order': [names[i] for i in range(len(names))],
        'data_type': 'float32',
    }


def scaling(spec: SceneSpec, kind: str) -> list[tuple[float, float]]:
    """Stored values of 0 and of 1.

    Args:
        spec: the facts.
        kind: 'optical' or 'sar'.

    Returns:
        a pair for each band.
    """
    count = len(getattr(spec, f'{kind}_bands'))
    low, high = (end * (count // len(end)) for end in getattr(spec, f'{kind}_range'))
    return list(zip(low, high, strict=True))


def _input(kind: str, spec: SceneSpec) -> dict[str, Any]:
    names = band_names(spec, kind)
    return {
        'name': kind,
        'description': (
            f'{TITLES[kind]} image. Stored values are clipped to the range of the scaling, and '
            'brought to 0..1.'
        ),
        'bands': names,
        'input': _structure(len(names), 'band'),
        'value_scaling': [
            {'type': 'min-max', 'minimum': low, 'maximum': high}
            for low, high in scaling(spec, kind)
        ],
        'resize_type': None,
    }


def _output(name: str, facts: Mapping[str, Any], spec: SceneSpec) -> dict[str, Any]:
    if name == 'reconstruction':
        bands = band_names(spec, 'optical')
        return {
            'name': name, 'tasks': ['regression'], 'bands': bands,
            'description': 'Cloud-free optical image, 0..1, on the grid of the input.',
            'result': _structure(len(bands), 'band'),
        }  # fmt: skip
    if name == 'opacity':
        return {
            'name': name, 'tasks': ['regression'], 'bands': [],
            'description': 'Opacity of the clouds, 0 clear..1 opaque, on the grid of the input.',
            'result': _structure(1, 'opacity'),
        }  # fmt: skip
    grid = f'{spec.label_scale} pixels each' if facts['resolution'] == 'label' else 'one pixel each'
    return {
        'name': name, 'tasks': ['semantic-segmentation'],
        'description': f'Scores of the classes; pixels of the input have {grid}.',
        'result': _structure(spec.num_classes, 'class'),
        'classification:classes': class_objects(spec),
    }  # fmt: skip
