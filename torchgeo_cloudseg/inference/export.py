"""Networks as files that run without this package: torch.export's ``.pt2``, and ONNX.

One graph is recorded for all batches and sizes. A file is read back and compared with the network
before it gets its name.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from .. import __version__
from .._choices import Resolution
from .._files import writing
from ..datasets.scene_spec import SceneSpec, spec_to_dict
from ..models import Network
from ..models.network import STRIDE
from .errors import ExportError

#: Name of the facts in a file: an extra file of torch.export, an entry of ONNX's metadata_props.
FACTS = 'cloudseg.json'

#: Names of the inputs, in order.
INPUTS = ('optical', 'sar')

#: Names of the axes that may have any length.
AXES = {0: 'batch', 2: 'height', 3: 'width'}

#: Batch, height and width of the images with which the graph is recorded.
RECORDED = (2, 64, 96)

#: Those of the images with which a file is compared with the network.
COMPARED = ((1, 33, 50), (3, 128, 71))

#: Difference that rounding in float32 may make, as a share of the largest value.
TOLERANCE = 1e-4

#: Protocol Buffers, and so ONNX, hold no more than this in one file.
ONNX_BYTES = 2**31 - 2**20

#: What writing and checking ONNX needs beside PyTorch.
ONNX_LIBRARIES = ('onnx', 'onnxscript', 'onnxruntime')

#: What PyTorch raises where it cannot record or run a graph; these have no class in common.
TORCH_ERRORS = (
    RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError,
    ArithmeticError,
)  # fmt: skip

#: What runs a file: images in, outputs by name out.
Run = Callable[[Tensor, Tensor], dict[str, Tensor]]


class PortableNetwork(nn.Module):
    """A network as a graph without branches: any batch and size, outputs by name."""

    def __init__(self, network: Network, scale: Fraction) -> None:
        """Initialize a new PortableNetwork instance.

        Args:
            network: the network; where it has a reconstruction branch, that is an output.
            scale: pixels of the logits per pixel of the image.
        """
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, optical: Tensor, sar: Tensor) -> dict[str, Tensor]:
        """Segment, and reconstruct.

        Args:
            optical: optical image, float32, 0..1, shape (B, C, H, W).
            sar: SAR image on the same grid, float32, 0..1, shape (B, S, H, W).

        Returns:
            ``logits`` (B, K, H * scale, W * scale), rounded down, and ``reconstruction``
            (B, C, H, W) where the network has that branch.
        """
        height, width = optical.shape[-2:]
        rows, columns = _padded(height), _padded(width)
        output = self.network(_pad(optical, rows, columns), _pad(sar, rows, columns))
        logits = output.logits[..., :height, :width]
        if self.scale != 1:
            up, down = self.scale.as_integer_ratio()
            size = _own_symbol(height * up // down), _own_symbol(width * up // down)
            logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=False)
        outputs = {'logits': logits}
        if output.reconstruction is not None:
            outputs['reconstruction'] = output.reconstruction[..., :height, :width]
        return outputs


def _own_symbol(side: int) -> Any:
    """A length of which PyTorch knows only that it is positive.

    It is read out of a tensor. A length computed from the image's would make PyTorch ask what holds
    for some sizes of images only.

    Returns:
        the length.
    """
    length: Any = torch.scalar_tensor(side, dtype=torch.int64).item()
    torch._check(length >= 1)
    return length


def _padded(side: int) -> int:
    """The next multiple of the network's stride."""
    padded: int = _own_symbol((side + STRIDE - 1) // STRIDE) * STRIDE
    torch._check(padded >= side)
    return padded


def _pad(x: Tensor, rows: int, columns: int) -> Tensor:
    """Repeat the right and bottom edge, as the network does, but always."""
    height, width = x.shape[-2:]
    row = torch.arange(rows, device=x.device).clamp(max=height - 1)
    column = torch.arange(columns, device=x.device).clamp(max=width - 1)
    return x.index_select(2, row).index_select(3, column)


def export_network(
    network: Network,
    spec: SceneSpec,
    path: str | Path,
    reconstruct: bool = False,
    resolution: Resolution = 'optical',
    overwrite: bool = False,
    wait: bool = False,
    inputs: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write a network to a file that runs without this package.

    Inputs are ``optical`` (B, C, H, W) and ``sar`` (B, S, H, W), float32, 0..1; outputs are
    ``logits`` and, where asked for, ``reconstruction``. Any batch and any size will do, from one
    image of one pixel. The file also holds *spec* and more, as JSON under :data:`FACTS`.

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

    Returns:
        the facts in the file.

    Raises:
        ValueError: if the file is of another kind, or the arguments do not fit the network.
        FileExistsError: if there is such a file, and *overwrite* is False.
        FileNotFoundError: if the folder does not exist.
        OutputError: if it cannot be written, or another run is writing it.
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
    if path.suffix == '.onnx':
        _check_onnx(network, path)
    scale = spec.label_scale if resolution == 'label' else Fraction(1)
    portable = PortableNetwork(_lean(network, reconstruct), scale)
    facts = {
        'package': f'torchgeo-cloudseg {__version__}',
        'encoder': config.encoder,
        'modalities': config.modalities,
        'outputs': ['logits', 'reconstruction'] if reconstruct else ['logits'],
        'resolution': resolution,
        **spec_to_dict(spec),
    }
    with writing([path], inputs, overwrite, wait) as (draft,), _quiet():
        run = FORMATS[path.suffix](_record(portable), draft, facts)
        _compare(run, portable, path)
    return facts


def _lean(network: Network, reconstruct: bool) -> Network:
    """The same network on the CPU, in evaluation mode, without what the outputs do not need."""
    lean = network.rebuilt(reconstruct=reconstruct)
    state = network.state_dict()
    lean.load_state_dict({name: state[name] for name in lean.state_dict()})
    return lean.eval().requires_grad_(False)


def _images(network: Network, size: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, ...]:
    """An optical and a SAR image of noise."""
    batch, height, width = size
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.rand(batch, channels, height, width, generator=generator)
        for channels in network.config.in_channels
    )


def _record(portable: PortableNetwork) -> ExportedProgram:
    """The graph for any batch and size."""
    axes = {axis: Dim(name, min=1) for axis, name in AXES.items()}
    try:
        return torch.export.export(
            portable,
            _images(portable.network, RECORDED),
            dynamic_shapes=dict.fromkeys(INPUTS, axes),
            strict=False,
        )
    except TORCH_ERRORS as error:
        raise ExportError(
            f'encoder={portable.network.config.encoder!r}: PyTorch {torch.__version__} cannot '
            f'record it for images of all sizes ({_first_line(error)}). Mix Transformers, '
            'ConvNeXt, PVTv2, ResNet and others can be exported; shifted windows (Swin) cannot.'
        ) from error


def _compare(run: Run, portable: PortableNetwork, path: Path) -> None:
    """Make sure that a file gives the network's outputs, at sizes that were not recorded."""
    for seed, size in enumerate(COMPARED, start=1):
        images = _images(portable.network, size, seed)
        with torch.no_grad():
            expected = portable(*images)
        try:
            found = run(*images)
        except TORCH_ERRORS as error:
            raise ExportError(
                f'{path}: not written, because it does not run on images of {size[1:]} px '
                f'({_first_line(error)}).'
            ) from error
        for name, values in expected.items():
            difference = float((found[name] - values).abs().max())
            largest = float(values.abs().max())
            # not a number is not right either
            if not difference <= TOLERANCE * largest:
                raise ExportError(
                    f'{path}: not written, because its {name} differ from those of the network '
                    f'by up to {difference:.2g}, of {largest:.2g}, for images of {size[1:]} px. '
                    'Check that the checkpoint holds finite weights.'
                )


def _first_line(error: Exception) -> str:
    """What an error says, without the pages that the exporters add."""
    first = next(iter(str(error).strip().splitlines()), '')
    return f'{type(error).__name__}: {shorten(first, 160)}'


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to themselves what the exporters say about their own inside."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)


def _program_file(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> Run:
    """Write a file of torch.export, and make it run."""
    # on a full disk PyTorch would end the process, without an error
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={FACTS: json.dumps(facts, indent=1)})
    path.write_bytes(content.getbuffer())
    run: Run = torch.export.load(path).module()
    return run


def _check_onnx(network: Network, path: Path) -> None:
    missing = [name for name in ONNX_LIBRARIES if find_spec(name) is None]
    if missing:
        raise ExportError(
            f'{path}: writing ONNX needs {", ".join(missing)}, not installed here. Run '
            "`pip install 'torchgeo-cloudseg[export]'`, or write a .pt2 file."
        )
    # weights are written in float32
    size = sum(4 * x.numel() for x in network.state_dict().values())
    if size > ONNX_BYTES:
        raise ExportError(
            f'{path}: the weights take {size / 2**30:.1f} GiB, and an ONNX file holds less than '
            '2 GiB. Write a .pt2 file.'
        )


def _onnx_file(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> Run:
    """Write an ONNX file, and make it run."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = facts['outputs']
    try:
        converted: Any = torch.onnx.export(
            program,
            verbose=False,
            dynamo=True,
            input_names=INPUTS,
            output_names=names,
            dynamic_shapes=dict.fromkeys(INPUTS, AXES),
            external_data=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f'{path.name}: not written ({_first_line(error)}).') from error
    converted.model.metadata_props[FACTS] = json.dumps(facts)
    converted.save(path, external_data=False)
    # one class for each way to fail, and none for all
    failures = tuple(kind for kind in vars(state).values() if _is_error(kind))

    def run(*images: Tensor) -> dict[str, Tensor]:
        arrays = (image.numpy() for image in images)
        try:
            session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
            values = session.run(names, dict(zip(INPUTS, arrays, strict=True)))
        except failures as error:
            raise RuntimeError(str(error)) from error
        return dict(zip(names, map(torch.from_numpy, values), strict=True))

    return run


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


#: How the graph and its facts are written, and made to run, by the suffix of the file.
FORMATS = {'.pt2': _program_file, '.onnx': _onnx_file}
