"""``cloudseg export``: a network as a file that runs without this package."""

from pathlib import Path

from rich.console import Console

from .._choices import Resolution
from .._files import check_outputs


def export(
    checkpoint: Path,
    output: Path,
    resolution: Resolution = 'optical',
    reconstruct: bool = False,
    overwrite: bool = False,
    wait: bool = False,
) -> None:
    """Write a network as torch.export (.pt2) or ONNX file, for images of any number and size.

    Args:
        checkpoint: teacher or student, from training or from `cloudseg convert`.
        output: file to write, .pt2 or .onnx.
        resolution: pixels of the class scores: those of the optical image, or of the labels in
            training.
        reconstruct: also give the cloud-free image.
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.

    Examples:
        For ONNX Runtime; for PyTorch without this package, with the cloud-free image::

            cloudseg export student.ckpt student.onnx
            cloudseg export student.ckpt student.pt2 --reconstruct
    """
    from ..inference.export import export_network
    from ..trainers import load_mapper

    check_outputs([output], [checkpoint], overwrite)
    network, spec = load_mapper(checkpoint)
    console = Console()
    with console.status(f'Recording {network.config.encoder}; a large one takes minutes'):
        facts = export_network(
            network, spec, output, reconstruct, resolution, overwrite, wait, [checkpoint]
        )
    size = output.stat().st_size / 1e6
    console.print(
        f'{output}: {" and ".join(facts["outputs"])} from optical and sar, {facts["encoder"]}, '
        f'{spec.num_classes} classes, {size:.0f} MB; compared with the network.'
    )
