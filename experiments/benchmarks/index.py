"""The index of scenes: made, read from its cache, extended; against TorchGeo's own scan.

    python experiments/benchmarks/index.py --output experiments/results/index.json

The tree has the layout of M3M-CR; its files are hard links to one patch in each of four UTM zones.
TorchGeo's scan is timed on parts of growing size, because it takes long: its cost for each file
is the same for all of them, and so is multiplied by the number of files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import describe, write_figures
from scene_tree import write_tree
from torchgeo.datasets import RasterDataset
from tqdm import tqdm

from torchgeo_cloudseg.datasets import M3MCR

#: Files of a scene that TorchGeo can scan; the cloud mask is no raster.
RASTERS_PER_SCENE, FILES_PER_SCENE = 4, 5


def seconds(work: Callable[[], object], repeat: int = 1) -> list[float]:
    """How long some work takes."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(round(time.perf_counter() - start, 3))
    return times


def torchgeo_scan(files: list[Path]) -> None:
    """Index files as TorchGeo does."""
    dataset = RasterDataset([str(file) for file in files])
    if len(dataset) != len(files):
        raise AssertionError(f'{len(dataset)} of {len(files)} files indexed')


def measure(root: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All timings on one tree."""
    index = root.with_name(f'{root.name}-index')

    def ours(scenes: int) -> None:
        if len(M3MCR.zoned(root, val_share=0, index_dir=index)) != scenes:
            raise AssertionError(f'not {scenes} scenes')

    shutil.rmtree(index, ignore_errors=True)
    sizes = args.torchgeo_files
    files = sorted(root.glob('train/planet_cloudfree_*/*/*.tif'))[: max(sizes)]
    torchgeo = {}
    for size in tqdm(sizes, "TorchGeo's scan"):
        torchgeo[size] = seconds(lambda size=size: torchgeo_scan(files[:size]))[0]
    result: dict[str, Any] = {'build': seconds(lambda: ours(args.scenes))[0]}
    cached = seconds(lambda: ours(args.scenes), args.repeat)
    write_tree(root, args.scenes + args.add, first=args.scenes)
    added = seconds(lambda: ours(args.scenes + args.add))[0]
    again = seconds(lambda: ours(args.scenes + args.add), args.repeat)
    largest = max(sizes)
    per_file = torchgeo[largest] / largest
    whole = per_file * args.scenes * RASTERS_PER_SCENE
    return {
        'scenes': args.scenes,
        'files': args.scenes * FILES_PER_SCENE,
        'seconds': {
            **result,
            'from_cache': min(cached),
            'from_cache_all_rounds': cached,
            f'with_{args.add}_more_scenes': added,
            f'cost_of_{args.add}_more_scenes': round(added - min(again), 3),
            'torchgeo_by_files': torchgeo,
            'torchgeo_all_rasters_extrapolated': round(whole, 1),
        },
        'build_files_per_second': round(args.scenes * FILES_PER_SCENE / result['build']),
        'torchgeo_files_per_second': {size: round(size / t) for size, t in torchgeo.items()},
        'cache_to_torchgeo': round(whole / min(cached), 1),
        'build_to_torchgeo': round(whole / result['build'], 2),
    }


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--scenes', type=int, default=50_000)
    parser.add_argument('--add', type=int, default=100)
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--torchgeo-files', type=int, nargs='+', default=[1_000, 2_000, 4_000])
    parser.add_argument('--output', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe()
    with tempfile.TemporaryDirectory(prefix='cloudseg-index-') as folder:
        root = Path(folder) / f'm3mcr-{args.scenes}'
        write_tree(root, args.scenes)
        result = {'machine': machine, **measure(root, args)}
    print(json.dumps(result, indent=2))
    if args.output:
        write_figures(args.output, result)


if __name__ == '__main__':
    main()
