"""How a graph is recorded, written, and compared with its network."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ...models import Network
from ..errors import ExportError
from .portable import AXES, INPUTS, PortableNetwork

#: Name of the facts in a file: an extra file of torch.export, an entry of ONNX's metadata_props.
FACTS = 'cloudseg.json'

#: Batch, height and width of the images with which the graph is recorded.
RECORDED = (2, 64, 96)

#: Those of the images with which a file is compared with the network.
COMPARED = ((1, 33, 50), (3, 128, 71))

#: Difference that rounding in float32 may make, as a share of the largest value.
TOLERANCE = 1e-4

#: Protocol Buffers, and so ONNX, hold no more than this in one file.
ONNX_BYTES = 2**31 - 2**20

#: What writing and checking a file needs beside PyTorch, by its suffix.
LIBRARIES = {'.pt2': (), '.onnx': ('onnx', 'onnxscript', 'onnxruntime')}

#: What PyTorch raises where it cannot record or run a graph; these have no class in common.
TORCH_ERRORS = (
    RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError,
    ArithmeticError,
)  # fmt: skip

#: What runs a file: images in, outputs by name out.
Run = Callable[[Tensor, Tensor], dict[str, Tensor]]


def _images(network: Network, size: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, ...]:
    """An optical and a SAR image of noise."""
    batch, height, width = size
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.rand(batch, channels, height, width, generator=generator)
        for channels in network.config.in_channels
    )


def record(portable: PortableNetwork) -> ExportedProgram:
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
            f'record it for images of all sizes ({first_line(error)}). Mix Transformers, '
            'ConvNeXt, PVTv2, ResNet and others can be exported; shifted windows (Swin) cannot.'
        ) from error


def compare(run: Run, portable: PortableNetwork, path: Path) -> None:
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
                f'({first_line(error)}).'
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


def first_line(error: Exception) -> str:
    """What an error says, without the pages that the exporters add."""
    first = next(iter(str(error).strip().splitlines()), '')
    return f'{type(error).__name__}: {shorten(first, 160)}'


@contextmanager
def quiet() -> Iterator[None]:
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


def check_onnx(network: Network, path: Path) -> None:
    """Refuse what cannot become ONNX here, before work starts.

    Args:
        network: the network.
        path: the file.

    Raises:
        ExportError: if a library is missing, or the network is too large.
    """
    missing = [name for name in LIBRARIES['.onnx'] if find_spec(name) is None]
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
        raise ExportError(f'{path.name}: not written ({first_line(error)}).') from error
    converted.model.metadata_props[FACTS] = json.dumps(facts)
    converted.save(path, external_data=False)
    return onnx_run(path)


def onnx_run(path: Path) -> Run:
    """Make an ONNX file run.

    Args:
        path: the file.

    Returns:
        what runs it on the CPU; it raises a RuntimeError where that cannot be done.
    """
    import onnxruntime

    session: Any = None

    def run(*images: Tensor) -> dict[str, Tensor]:
        nonlocal session
        arrays = (image.numpy() for image in images)
        try:
            session = session or onnxruntime.InferenceSession(
                path, providers=['CPUExecutionProvider']
            )
            names = [output.name for output in session.get_outputs()]
            values = session.run(names, dict(zip(INPUTS, arrays, strict=True)))
        except onnx_failures() as error:
            raise RuntimeError(str(error)) from error
        return dict(zip(names, map(torch.from_numpy, values), strict=True))

    return run


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts into an ONNX file.

    Args:
        path: the file.
        facts: what takes the place of those in it.
    """
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {FACTS: json.dumps(facts)})
    onnx.save(model, path)


def onnx_failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: one class for each way to fail, and none for all."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(kind for kind in vars(state).values() if _is_error(kind))


def _is_error(kind: object) -> TypeGuard[type[Exception]]:
    return isinstance(kind, type) and issubclass(kind, Exception)


#: How the graph and its facts are written, and made to run, by the suffix of the file.
FORMATS = {'.pt2': _program_file, '.onnx': _onnx_file}
