"""Mapping scenes: speed and quality against the authors' loop, memory, and resumption.

    python experiments/benchmarks/scene.py speed
    python experiments/benchmarks/scene.py quality --checkpoint cloudseg-demo/student/best.ckpt
    python experiments/benchmarks/scene.py memory

Every command prints what it measured, and ``--output FILE`` keeps it as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from machine import write_figures
from rasterio.transform import Affine
from rasterio.windows import Window
from torch import Tensor, nn

from torchgeo_cloudseg._choices import DEFAULT_BLEND
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.datasets.m3mcr.layout import LEGENDS
from torchgeo_cloudseg.inference import SceneSpec, predict_scene, sliding_window
from torchgeo_cloudseg.metrics import RegionMetrics
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.trainers.checkpoint import load_network
from torchgeo_cloudseg.transforms import Rescale

LEGEND = LEGENDS['level1']
SPEC = SceneSpec(
    tuple(land_cover.name for land_cover in LEGEND),
    tuple(land_cover.color for land_cover in LEGEND),
)
WINDOW, STRIDE, LABEL_WINDOW, LABEL_STRIDE = 160, 80, 48, 24

#: Plans that are compared: the test protocol of the paper, and the default for scenes.
FULL = {'stride': STRIDE, 'blend': 'average'}
DEFAULT = {'stride': 3 * WINDOW // 4, 'blend': DEFAULT_BLEND}

#: Rows and columns of the scenes whose memory is compared.
SHORT, LONG, WIDTH = 2_000, 20_000, 2_000


@torch.no_grad()
def authors_loop(
    model: CloudSegNet, optical: Tensor, sar: Tensor, reconstruct: bool = True
) -> Tensor:
    """The released test loop as its description says: one image, one window at a time.

    Args:
        model: the network.
        optical: image (1, C, H, W).
        sar: image (1, S, H, W).
        reconstruct: run the full forward pass, reconstruction included, as the released loop does.

    Returns:
        logits (1, K, H * 0.3, W * 0.3).
    """
    height, width = optical.shape[-2:]
    rows, cols = ceil(height / STRIDE) - 1, ceil(width / STRIDE) - 1
    logits = torch.zeros(1, model.config.num_classes, height * 3 // 10, width * 3 // 10)
    count = torch.zeros(logits.shape[-2:])
    for i in range(rows):
        for j in range(cols):
            y, x = min(i * STRIDE, height - WINDOW), min(j * STRIDE, width - WINDOW)
            place = (..., slice(y, y + WINDOW), slice(x, x + WINDOW))
            window = model(optical[place], sar[place], reconstruct=reconstruct).logits
            window = F.interpolate(window, size=(LABEL_WINDOW, LABEL_WINDOW), mode='bilinear')
            dy, dx = i * LABEL_STRIDE - y * 3 // 10, j * LABEL_STRIDE - x * 3 // 10
            top, left = i * LABEL_STRIDE, j * LABEL_STRIDE
            part = window[..., dy:, dx:]
            place = (..., slice(top, top + part.shape[-2]), slice(left, left + part.shape[-1]))
            logits[place] += part
            count[place[1:]] += 1
    return logits / count


def ours(model: CloudSegNet, batch_size: int, plan: dict[str, Any]) -> Callable[..., Tensor]:
    """The package's sliding window."""

    def network(optical: Tensor, sar: Tensor) -> Tensor:
        height, width = optical.shape[-2:]
        size = (height * 3 // 10, width * 3 // 10)
        logits: Tensor = model(optical, sar, size, reconstruct=False).logits
        return logits

    def run(optical: Tensor, sar: Tensor) -> Tensor:
        return sliding_window(network, optical, sar, WINDOW, batch_size=batch_size, **plan)

    return run


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds for one image, the ways in turn so that other load hits all alike.

    CPU seconds count the work of this process alone, whatever else the machine does.
    """
    torch.manual_seed(0)
    model = CloudSegNet(args.encoder).eval()
    optical, sar = torch.rand(1, 4, args.size, args.size), torch.rand(1, 2, args.size, args.size)
    ways: dict[str, Callable[..., Tensor]] = {
        "authors' loop": lambda *images: authors_loop(model, *images),
        "authors' loop without reconstruction": lambda *images: authors_loop(model, *images, False),
        'same plan': ours(model, args.batch_size, FULL),
        'default plan': ours(model, args.batch_size, DEFAULT),
    }
    clocks = {'wall': time.perf_counter, 'CPU': time.process_time}
    best = {name: dict.fromkeys(clocks, float('inf')) for name in ways}
    outputs = {}
    for _ in range(args.repeat):
        for name, way in ways.items():
            start = {clock: read() for clock, read in clocks.items()}
            outputs[name] = way(optical, sar)
            for clock, read in clocks.items():
                best[name][clock] = min(best[name][clock], round(read() - start[clock], 2))
    loop = best["authors' loop"]
    difference = (outputs['same plan'] - outputs["authors' loop"]).abs().max().item()
    return {
        'encoder': args.encoder,
        'size_px': args.size,
        'threads': torch.get_num_threads(),
        'seconds': best,
        'speedup': {
            name: {clock: round(loop[clock] / value[clock], 2) for clock in clocks}
            for name, value in best.items()
        },
        'largest difference of logits at the same plan': difference,
    }


def quality(args: argparse.Namespace) -> dict[str, Any]:
    """MIoU of both plans on miniature test areas of 1200 px, mosaicked from their patches."""
    model = load_network(args.checkpoint)
    rescale = Rescale(M3MCR.ranges)
    with tempfile.TemporaryDirectory() as folder:
        write_miniature_m3mcr(
            folder, seed=args.seed, train_areas=0, test_areas=args.areas, patches_per_area=16
        )
        dataset = M3MCR(folder, split='test')
        mosaics = [_mosaic(dataset, area, 4) for area in range(args.areas)]
    scores = {}
    for name, plan in (('full overlap', FULL), ('default plan', DEFAULT)):
        metrics = RegionMetrics(num_classes=len(LEGEND))
        run, start = ours(model, args.batch_size, plan), time.perf_counter()
        for sample in mosaics:
            batch = rescale({key: value[None] for key, value in sample.items()})
            logits = run(batch['image'], batch['image_sar'])
            metrics.update(logits, batch['mask'], batch['mask_cloud'])
        values = {key: float(value) for key, value in metrics.compute().items()}
        scores[name] = {
            **{key: round(100 * values[key], 2) for key in values if key.endswith('mIoU')},
            'seconds': round(time.perf_counter() - start, 1),
        }
    gap = scores['default plan']['all_mIoU'] - scores['full overlap']['all_mIoU']
    return {**scores, 'difference of mIoU': round(gap, 2)}


def _mosaic(dataset: M3MCR, area: int, across: int) -> dict[str, Tensor]:
    """Patches of an area side by side, as one sample."""
    count = across * across
    places = list(dataset.index.geometry)[area * count : (area + 1) * count]
    left = min(place.bounds[0] for place in places)
    bottom = min(place.bounds[1] for place in places)
    side = across * 900
    sample = dataset[left : left + side, bottom : bottom + side]
    keys = ('image', 'image_sar', 'mask', 'mask_cloud')
    return {key: sample[key] for key in keys}


class Pooling(nn.Module):
    """Next to no work: what is left is reading, blending and writing."""

    def __init__(self, delay_s: float = 0.0) -> None:
        """Initialize a new Pooling instance."""
        super().__init__()
        self.delay_s = delay_s

    def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
        """Logits of six classes from the mean of blocks."""
        time.sleep(self.delay_s)
        blocks = torch.cat([optical, sar], dim=1).unfold(2, 10, 10).unfold(3, 10, 10)
        return blocks.mean((-1, -2)).repeat_interleave(3, -1).repeat_interleave(3, -2)


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory and throughput by height, and a run that is killed and resumed."""
    result: dict[str, Any] = {'encoder': args.encoder}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in (SHORT, LONG):
            write_scene(folder / str(rows), rows, WIDTH)
            peak, seconds = _apart(_map_once, str(folder / str(rows)), args.encoder)
            result[f'{rows} rows'] = {
                'peak_MiB': round(peak / 2**10),
                'seconds': round(seconds, 1),
                'pixels_per_second': round(rows * WIDTH / seconds),
            }
        peaks = [result[f'{rows} rows']['peak_MiB'] for rows in (SHORT, LONG)]
        result['peak of the long scene / of the short one'] = round(peaks[1] / peaks[0], 3)
        result['killed half-way, resumed, same pixels'] = _kill_and_resume(folder / str(LONG))
    return result


def write_scene(folder: Path, rows: int, cols: int) -> None:
    """Write a scene with random pixels, row by row: optical at 3 m, SAR at 10 m."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    layers = (('optical', 4, 'uint16', 3, 1, 10), ('sar', 2, 'float32', 10, 0.3, 3))
    for name, bands, dtype, meters, scale, step in layers:
        height, width = round(rows * scale), round(cols * scale)
        with rasterio.open(
            folder / f'{name}.tif', 'w', driver='GTiff', count=bands, height=height, width=width,
            dtype=dtype, crs='EPSG:32646', transform=Affine(meters, 0, 3e5, 0, -meters, 2e6),
            tiled=True, blockxsize=256, blockysize=256,
        ) as raster:  # fmt: skip
            for top in range(0, height, 100 * step):
                shape = (bands, min(100 * step, height - top), width)
                values = rng.uniform(1, 9000, shape) if bands == 4 else rng.uniform(-30, 0, shape)
                window = Window(0, top, width, shape[1])
                raster.write(values.astype(dtype), window=window)


def _map(folder: str, output: str, model: nn.Module, **kwargs: Any) -> None:
    paths = [f'{folder}/{name}.tif' for name in ('optical', 'sar')]
    predict_scene(model, *paths, f'{folder}/{output}.tif', spec=SPEC, **kwargs)


def _map_once(folder: str, encoder: str) -> tuple[int, float]:
    """Peak memory in KiB and seconds of a whole run."""
    model = CloudSegNet(encoder)
    start = time.perf_counter()
    _map(folder, 'map', model, progress=True)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter() - start


def _apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(function, args)


def _map_slowly(folder: str) -> None:
    _map(folder, 'killed', Pooling(delay_s=0.02), progress=False)


def _kill_and_resume(folder: Path) -> dict[str, Any]:
    """SIGKILL a run half-way, resume it, and compare with an uninterrupted one."""
    _map(str(folder), 'whole', Pooling())
    process = multiprocessing.get_context('spawn').Process(target=_map_slowly, args=(str(folder),))
    process.start()
    parts = folder / 'killed.tif.parts'
    bands = len(range(0, LONG - WINDOW, DEFAULT['stride'])) + 1
    while len(list(parts.glob('band-*.npz'))) < bands // 2:
        time.sleep(0.05)
    process.kill()
    process.join()
    done = len(list(parts.glob('band-*.npz')))
    _map(str(folder), 'killed', Pooling(), resume=True)
    with rasterio.open(folder / 'whole.tif') as first, rasterio.open(folder / 'killed.tif') as last:
        same = bool((first.read() == last.read()).all())
    killed = process.exitcode == -signal.SIGKILL
    return {'killed': killed, 'bands done': done, 'of': bands, 'same pixels': same}


def main() -> None:
    """Run a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('speed', 'quality', 'memory'))
    parser.add_argument('--encoder', default='mit_b0')
    parser.add_argument('--size', type=int, default=1000, help='side of the image (speed)')
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--checkpoint', help='of a student (quality)')
    parser.add_argument('--areas', type=int, default=3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--output', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == 'quality' and not args.checkpoint:
        parser.error('quality needs --checkpoint: run `cloudseg demo` and take student/best.ckpt')
    result = {'speed': speed, 'quality': quality, 'memory': memory}[args.what](args)
    print(json.dumps(result, indent=2))
    if args.output:
        write_figures(args.output, result)


if __name__ == '__main__':
    main()
