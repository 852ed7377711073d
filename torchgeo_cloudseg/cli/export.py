"""``cloudseg export``: a network as a file that runs without this package."""

from pathlib import Path

from rich.console import Console

from .._choices import Quantize, Resolution
from .._files import check_outputs
from ..rasters import is_local


def export(
    checkpoint: Path,
    output: Path,
    resolution: Resolution = 'optical',
    reconstruct: bool = False,
    quantize: Quantize | None = None,
    calibration_optical: list[str] | str | None = None,
    calibration_sar: list[str] | str | None = None,
    calibration_windows: int = 80,
    seed: int = 0,
    overwrite: bool = False,
    wait: bool = False,
) -> None:
    """Write a network as torch.export (.pt2) or ONNX file, for images of any number and size.

    Beside it stand a STAC item with the Machine Learning Model extension, OUTPUT.json, and a model
    card, OUTPUT.md.

    Args:
        checkpoint: teacher or student, from training or from `cloudseg convert`.
        output: file to write, .pt2 or .onnx.
        resolution: pixels of the class scores: those of the optical image, or of the labels in
            training.
        reconstruct: also give the cloud-free image.
        quantize: int8 for weights and activations of 8 bits (.onnx only), calibrated on scenes.
        calibration_optical: optical images of these scenes, as `cloudseg map` takes them: files,
            a glob, a folder, products, a list or STAC items.
        calibration_sar: their SAR images; not needed where the optical source names both.
        calibration_windows: windows that are drawn from the scenes. Four of five calibrate; on the
            others, classes are compared with those of float32.
        seed: seed of the places of the windows.
        overwrite: replace files that exist.
        wait: wait for another run that writes the same file, rather than refuse.

    Examples:
        For ONNX Runtime; with 8 bits; for PyTorch, with the cloud-free image::

            cloudseg export s.ckpt s.onnx
            cloudseg export s.ckpt s.onnx --quantize int8 --calibration-optical pairs.csv
            cloudseg export s.ckpt s.pt2 --reconstruct
    """
    from ..inference import find_scenes
    from ..inference.export import CalibrationScenes, export_network
    from ..inference.export.item import beside
    from ..inference.scenes.mapping import local_files
    from ..trainers import load_mapper

    sources = [calibration_optical, calibration_sar]
    named = [[one] if isinstance(one, str) else one or () for one in sources]
    inputs = [checkpoint, *(Path(path) for source in named for path in source if is_local(path))]
    check_outputs([*beside(output), output], inputs, overwrite)
    network, spec = load_mapper(checkpoint)
    calibration = None
    if calibration_optical or calibration_sar:
        scenes = find_scenes(calibration_optical, calibration_sar, looks_at=spec.images)
        inputs += [Path(file) for scene in scenes for file in local_files(*scene[1:])]
        calibration = CalibrationScenes(scenes, calibration_windows, seed)
    facts = export_network(
        network, spec, output, reconstruct, resolution, overwrite, wait, inputs, quantize,
        calibration,
    )  # fmt: skip
    size = output.stat().st_size / 1e6
    console = Console()
    console.print(
        f'{output}: {" and ".join(facts["outputs"])} from optical and sar, {facts["encoder"]}, '
        f'{spec.num_classes} classes, {size:.0f} MB; compared with the network.'
    )
    if found := facts.get('quantization'):
        console.print(
            f'{found["type"]}: {found["agreement"]:.2%} of the pixels of {found["compared"]} '
            'windows have the class that float32 gives them; logits differ by '
            f'{found["difference"]:.2g} on average, of {found["spread"]:.2g}.'
        )
