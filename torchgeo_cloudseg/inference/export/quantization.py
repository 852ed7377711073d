"""ONNX files with weights and activations of 8 bits, calibrated on scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from numpy.typing import NDArray

from ..._progress import progress_bar
from ..errors import ExportError
from .calibration import Window
from .formats import TORCH_ERRORS, first_line, onnx_failures, onnx_run, quiet
from .portable import INPUTS

#: One of so many windows is kept for the comparison with float32.
HELD = 5


class WindowReader:
    """Windows as ONNX Runtime asks for them."""

    def __init__(self, windows: Sequence[Window], bar: Any) -> None:
        """Initialize a new WindowReader instance.

        Args:
            windows: the windows.
            bar: what is told of each.
        """
        self.windows: Iterator[Window] = iter(windows)
        self.bar = bar

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Inputs of the next window, by name; None after the last."""
        window = next(self.windows, None)
        if window is None:
            return None
        self.bar.update()
        return {name: image.numpy() for name, image in zip(INPUTS, window, strict=True)}


def first_convolutions(model: Any) -> list[str]:
    """Convolutions that read the images, or what is computed of them without another one.

    They have few channels, which 8 bits make no faster, and the values that all others depend on.

    Args:
        model: an ONNX model, whose nodes are in order.

    Returns:
        names of the nodes.
    """
    read = {image.name for image in model.graph.input}
    found = []
    for node in model.graph.node:
        # a size is no value of an image
        if read.isdisjoint(node.input) or node.op_type == 'Shape':
            continue
        if node.op_type == 'Conv':
            found.append(node.name)
        else:
            read.update(node.output)
    return found


def quantize_file(path: Path, windows: Sequence[Window], progress: bool = True) -> dict[str, Any]:
    """Give an ONNX file 8-bit weights and activations, and compare it with what it was.

    Args:
        path: a float32 file, which is replaced.
        windows: windows of scenes; one of five compares, the others calibrate.
        progress: show a progress bar.

    Returns:
        how many windows calibrated (``windows``) and compared (``compared``), the share of pixels
        whose class is the same (``agreement``), the mean absolute difference of the logits
        (``difference``), and their standard deviation (``spread``).

    Raises:
        ExportError: if ONNX Runtime cannot quantize the network.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    compared = windows[::HELD]
    fitted = [window for i, window in enumerate(windows) if i % HELD] or compared
    before = onnx_run(path)
    expected = [before(*window)['logits'] for window in compared]
    bar = progress_bar(title='Calibrating', total=len(fitted), unit='window', disable=not progress)
    failures: tuple[type[Exception], ...] = (*TORCH_ERRORS, *onnx_failures())
    with TemporaryDirectory() as folder, bar, quiet():
        prepared = Path(folder, 'prepared.onnx')
        try:
            quant_pre_process(path, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                path,
                WindowReader(fitted, bar),
                nodes_to_exclude=first_convolutions(onnx.load(prepared)),
                per_channel=True,
                activation_type=QuantType.QUInt8,
            )
        except failures as error:
            raise ExportError(f'{path.name}: not quantized ({first_line(error)}).') from error
    after = onnx_run(path)
    found = torch.cat([after(*window)['logits'] for window in compared])
    wanted = torch.cat(expected)
    return {
        'windows': len(fitted),
        'compared': len(compared),
        'agreement': float((found.argmax(1) == wanted.argmax(1)).float().mean()),
        'difference': float((found - wanted).abs().mean()),
        'spread': float(wanted.std()),
    }
