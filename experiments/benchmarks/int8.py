"""An exported network with 8 bits against the same with float32: accuracy, agreement, time.

    python experiments/benchmarks/int8.py student.ckpt demo/data --output results/int8.json

Takes a checkpoint of miniature or real M3M-CR and the folder of the data. Calibrates on training
scenes under clouds; classes, mIoU and times are those of test scenes, in ONNX Runtime on one
thread. The two files take turns, and times are of the processor, so that other work slows both
alike.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from machine import describe, write_figures

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.inference import find_scenes
from torchgeo_cloudseg.inference.export import CalibrationScenes, export_network
from torchgeo_cloudseg.trainers import load_mapper
from torchgeo_cloudseg.transforms import Rescale

#: Flags of processors with dot products of 8 bits.
DOT_PRODUCTS = ('avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp')

Inputs = dict[str, np.ndarray]


def dot_products() -> list[str]:
    """Which dot products of 8 bits the processor has."""
    info = Path('/proc/cpuinfo')
    flags = set(re.findall(r'\w+', info.read_text())) if info.is_file() else set()
    return [flag for flag in DOT_PRODUCTS if flag in flags]


def open_file(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def scenes(root: Path, spec: Any) -> list[tuple[Inputs, np.ndarray]]:
    """Test scenes under clouds, scaled, and their labels."""
    rescale = Rescale({'image': spec.optical_range, 'image_sar': spec.sar_range})
    data = M3MCRDataModule(root=root, batch_size=1, num_workers=0)
    data.setup('test')
    found = []
    for batch in data.test_dataloader():
        images = rescale({key: batch[key].float() for key in ('image', 'image_sar')})
        inputs = {'optical': images['image'], 'sar': images['image_sar']}
        found.append(({key: x.numpy() for key, x in inputs.items()}, batch['mask'].numpy()))
    return found


def miou(classes: list[np.ndarray], labels: list[np.ndarray], num_classes: int) -> float:
    """Mean over the classes that occur, in per cent."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for found, label in zip(classes, labels, strict=True):
        known = label < num_classes
        np.add.at(counts, (label[known], found[known]), 1)
    hit = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hit
    return float(100 * (hit / union.clip(1))[counts.sum(1) > 0].mean())


def seconds(files: dict[str, Any], inputs: Inputs, repeats: int) -> dict[str, float]:
    """Median processor time of a forward pass."""
    times: dict[str, list[float]] = {name: [] for name in files}
    for turn in range(repeats + 2):
        for name, session in files.items():
            start = time.process_time()
            session.run(['logits'], inputs)
            if turn > 1:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def measure(checkpoint: Path, root: Path, windows: int, repeats: int) -> dict[str, object]:
    network, spec = load_mapper(checkpoint)
    pairs = find_scenes(f'{root}/train/planet_cloudy_*/*', f'{root}/train/S1_*/*')
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f'{name}.onnx') for name in ('float32', 'int8')}
        common: dict[str, Any] = {'resolution': 'label'}
        export_network(network, spec, paths['float32'], **common)
        facts = export_network(
            network, spec, paths['int8'], quantize='int8',
            calibration=CalibrationScenes(pairs, windows), **common,
        )  # fmt: skip
        files = {name: open_file(path) for name, path in paths.items()}
        megabytes = {name: path.stat().st_size / 1e6 for name, path in paths.items()}
    tested = scenes(root, spec)
    classes = {
        name: [session.run(['logits'], inputs)[0].argmax(1) for inputs, _ in tested]
        for name, session in files.items()
    }
    labels = [label for _, label in tested]
    scores = {name: miou(found, labels, spec.num_classes) for name, found in classes.items()}
    same = [a == b for a, b in zip(classes['float32'], classes['int8'], strict=True)]
    side = spec.window
    window = {key: x[..., :side, :side].copy() for key, x in tested[0][0].items()}
    times = seconds(files, window, repeats)
    return {
        'architecture': facts['architecture'],
        'encoder': facts['encoder'],
        'parameters': facts['parameters'],
        'calibration': facts['quantization'],
        'test_scenes': len(tested),
        'miou': scores,
        'miou_lost': scores['float32'] - scores['int8'],
        'agreement': float(np.mean(same)),
        'megabytes': megabytes,
        'window_px': side,
        'seconds': times,
        'times_as_fast': times['float32'] / times['int8'],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('root', type=Path)
    parser.add_argument('--windows', type=int, default=80)
    parser.add_argument('--repeats', type=int, default=30)
    parser.add_argument('--output', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(args.checkpoint, args.root, args.windows, args.repeats)
    for key in ('miou', 'miou_lost', 'agreement', 'times_as_fast'):
        print(key, figures[key])
    machine = describe() | {
        'onnxruntime': onnxruntime.__version__,
        'dot_products': dot_products(),
    }
    write_figures(args.output, {'machine': machine, **figures})


if __name__ == '__main__':
    main()
