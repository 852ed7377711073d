"""Writing a network to a file that runs without this package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ... import __version__
from ..._choices import Quantize, Resolution
from ..._files import check_outputs, writing
from ..._progress import progress_bar
from ...datasets.scene_spec import SceneSpec, spec_to_dict
from ...models import Calibration, Network
from .calibration import CalibrationScenes
from .card import model_card
from .formats import FORMATS, LIBRARIES, check_onnx, compare, quiet, record, write_facts
from .item import beside, model_item
from .portable import PortableNetwork, lean_network
from .quantization import quantize_file


def export_network(
    network: Network,
    spec: SceneSpec,
    path: str | Path,
    reconstruct: bool = False,
    resolution: Resolution = 'optical',
    overwrite: bool = False,
    wait: bool = False,
    inputs: Sequence[Path] = (),
    quantize: Quantize | None = None,
    calibration: CalibrationScenes | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Write a network to a file that runs without this package.

    Inputs are ``optical`` (B, C, H, W) and ``sar`` (B, S, H, W), float32, 0..1; outputs are
    ``logits``, the ``opacity`` of the clouds where the network tells it and, where asked for,
    ``reconstruction``. Any batch and any size will do, from one image of one pixel. The file also
    holds *spec* and more, as JSON under :data:`FACTS`, such as the temperatures of a calibrated
    network: logits are as the network gives them. Beside it stand a STAC item, ``<path>.json``, and
    a model card, ``<path>.md``.

    Args:
        network: the network; it is not changed.
        spec: what it expects of a scene, and its classes.
        path: file to write; ``.pt2`` for torch.export, ``.onnx`` for ONNX.
        reconstruct: also give the cloud-free image.
        resolution: ``optical`` gives logits (B, K, H, W); ``label`` resizes them (bilinear) to
            the grid of the training labels, (B, K, H * label_scale, W * label_scale), rounded
            down.
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.
        inputs: files that must not be replaced, such as the network's.
        quantize: ``int8`` for weights and activations of 8 bits, ONNX only.
        calibration: scenes by which the range of all activations is found, for *quantize*.
        progress: show progress bars.

    Returns:
        the facts in the file.

    Raises:
        ValueError: if the file is of another kind, or the arguments do not fit the network.
        FileExistsError: if there is such a file, and *overwrite* is False.
        FileNotFoundError: if the folder does not exist.
        OutputError: if it cannot be written, or another run is writing it.
        SceneError: if a scene of the calibration cannot be read, or cannot be meant.
        ExportError: if a library is missing, the encoder cannot be recorded for all sizes, the
            network is too large for the format, or the file gives other outputs than the network.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(
            f'{path}: found {path.suffix or "no suffix"}, expected one of {", ".join(FORMATS)}.'
        )
    config = network.config
    known = (len(spec.optical_bands), len(spec.sar_bands)), spec.num_classes
    if known != (config.in_channels, config.num_logits):
        raise ValueError(
            f'spec: found (optical, SAR) bands and classes {known}, expected those of the '
            f'network, {(config.in_channels, config.num_logits)}.'
        )
    if reconstruct and not config.reconstruct:
        raise ValueError(
            'reconstruct: the network has no reconstruction branch. Only students have one that '
            'were trained with a reconstruction loss.'
        )
    if (quantize is None) != (calibration is None):
        found = 'no scenes' if calibration is None else 'scenes to calibrate on'
        raise ValueError(
            f'quantize={quantize}: found {found}, expected int8 and scenes to calibrate on '
            '(--calibration-optical, --calibration-sar), or neither.'
        )
    if quantize and path.suffix != '.onnx':
        raise ValueError(f'quantize={quantize}: found {path.suffix}, expected an .onnx file.')
    if path.suffix == '.onnx':
        check_onnx(network, path)
    item, card = beside(path)
    check_outputs([item, card, path], inputs, overwrite)
    # what is wrong with a scene is seen before a graph is recorded, which takes longer
    windows = calibration.read(spec, progress) if calibration else []
    scale = spec.label_scale if resolution == 'label' else Fraction(1)
    portable = PortableNetwork(lean_network(network, reconstruct), scale)
    facts = {
        'package': f'torchgeo-cloudseg {__version__}',
        'architecture': network.name,
        'encoder': config.encoder,
        'modalities': config.modalities,
        'parameters': sum(x.numel() for x in portable.parameters()),
        'outputs': [
            'logits',
            *(['opacity'] if network.tells_opacity else []),
            *(['reconstruction'] if reconstruct else []),
        ],
        'resolution': resolution,
        'versions': {
            'torchgeo-cloudseg': __version__,
            **{name: version(name) for name in ('torch', *LIBRARIES[path.suffix])},
        },
        **spec_to_dict(spec),
    }
    if network.calibration != Calibration():
        facts['calibration'] = asdict(network.calibration)
    with writing([item, card, path], inputs, overwrite, wait) as (item_draft, card_draft, draft):
        title = f'Recording {config.encoder}'
        with quiet(), progress_bar(title=title, total=1, unit='graph', disable=not progress) as bar:
            compare(FORMATS[path.suffix](record(portable), draft, facts), portable, path)
            bar.update()
        if calibration:
            facts['quantization'] = {
                'type': quantize,
                'scenes': [scene.name for scene in calibration.scenes],
                'seed': calibration.seed,
                **quantize_file(draft, windows, progress),
            }
            write_facts(draft, facts)
        size = draft.stat().st_size
        item_draft.write_text(json.dumps(model_item(path, facts, spec, size), indent=1) + '\n')
        card_draft.write_text(model_card(path, facts, spec, size), encoding='utf-8')
    return facts
