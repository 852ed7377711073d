"""Loading: samples per second against the authors' way and the plain TorchGeo way.

    python experiments/benchmarks/data.py speed
    python experiments/benchmarks/data.py many
    python experiments/benchmarks/data.py scaling

Every command prints what it measured, and ``--output FILE`` keeps it as JSON. All ways read
random patches of 160 px with five modalities, of the same scenes, from a warm cache; ways take
turns, and the best of the rounds counts, since other work on the machine can only slow one down.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from machine import describe, write_figures
from scene_tree import write_tree
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo import samplers
from torchgeo.datasets import GeoDataset, RasterDataset, stack_samples
from tqdm import tqdm

from torchgeo_cloudseg.datamodules import SceneDataLoader
from torchgeo_cloudseg.datasets import M3MCR, ZonedDataset
from torchgeo_cloudseg.datasets.m3mcr.layout import LAYERS, LEGENDS
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.samplers import RandomSceneSampler

PATCH, SCENE = 160, 300
BATCH = 32
KEYS = tuple(LAYERS)

Batches = Iterable[dict[str, Any]]


class AuthorsWay(Dataset[dict[str, Tensor]]):
    """The released loader as its description says: open five files, read all of them, crop.

    Scaling to 0..1, which it does as well, is left out: ours is done on the device.
    """

    def __init__(self, dataset: M3MCR, queries: Sequence[tuple[int, int, int]]) -> None:
        self.paths = [
            {key: file.path for key, file in scene.files.items()} for scene in dataset.scenes
        ]
        self.queries = queries
        self.classes = np.full(256, 255)
        for number, land_cover in enumerate(LEGENDS['level1']):
            self.classes[list(land_cover.codes)] = number
        self.nearest = np.floor((np.arange(SCENE) + 0.5) * 0.3).astype(int)

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.queries)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Read a patch."""
        scene, row, col = self.queries[index]
        whole: dict[str, np.ndarray] = {}
        for key, path in self.paths[scene].items():
            if path.endswith('.npy'):
                whole[key] = np.load(path, allow_pickle=False)
            else:
                with rasterio.open(path) as raster:
                    whole[key] = raster.read()
        radar = whole['image_sar'][:, self.nearest][:, :, self.nearest]
        if np.isnan(radar).any():
            radar = np.where(np.isnan(radar), np.nanmean(radar), radar)
        whole['image_sar'] = radar
        rows, cols = slice(row, row + PATCH), slice(col, col + PATCH)
        sample = {
            key: torch.from_numpy(whole[key][:, rows, cols].astype(np.float32))
            for key in ('image', 'image_clear', 'image_sar')
        }
        sample['mask_cloud'] = torch.from_numpy(whole['mask_cloud'][rows, cols].astype(np.int64))
        label = whole['mask'][0, row * 3 // 10 : (row + PATCH) * 3 // 10]
        label = label[:, col * 3 // 10 : (col + PATCH) * 3 // 10]
        sample['mask'] = torch.from_numpy(self.classes[label])
        return sample


def plain_torchgeo(root: Path) -> GeoDataset:
    """Five RasterDatasets joined with ``&``; the cloud mask as a GeoTIFF, which it must be."""
    parts = []
    for layer in LAYERS.values():
        is_image = not layer.categorical
        name = layer.key if is_image else 'mask'
        facts = {'filename_glob': f'{layer.folder}_*.tif', 'is_image': is_image}
        kind: type[RasterDataset] = type(name, (RasterDataset,), facts)
        parts.append(kind(root))
    # five in a row fail in TorchGeo 0.8: the index has the same column twice
    return ((parts[1] & parts[0]) & (parts[2] & parts[3])) & parts[4]


def masks_as_geotiff(root: Path) -> None:
    """Write each cloud mask as a GeoTIFF on the grid of its image."""
    for file in root.rglob('cloudmask_*.npy'):
        image = Path(str(file.with_suffix('.tif')).replace('cloudmask', 'planet_cloudy'))
        with rasterio.open(image) as raster:
            profile = raster.profile | {'count': 1, 'dtype': 'uint8', 'nodata': None}
        with rasterio.open(file.with_suffix('.tif'), 'w', **profile) as target:
            target.write(np.load(file).astype(np.uint8)[None])


def consume(batches: Batches) -> int:
    """Load everything, and count the samples."""
    return sum(len(batch['image']) for batch in batches)


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Samples per second of each way."""
    with tempfile.TemporaryDirectory(prefix='cloudseg-data-') as folder:
        root = write_miniature_m3mcr(
            folder, train_areas=args.scenes, test_areas=0, patches_per_area=1
        )
        dataset = M3MCR(root, val_share=0)
        sampler = RandomSceneSampler(dataset, PATCH, args.samples)
        authors = AuthorsWay(dataset, sampler.patches().to_numpy()[:, :3].tolist())
        for query, expected in zip(sampler, authors, strict=True):
            sample = dataset[query]
            if not all(torch.equal(sample[key], expected[key]) for key in KEYS):
                raise AssertionError(f'{query.scene}: the ways differ')
        masks_as_geotiff(root / 'train')
        plain = plain_torchgeo(root / 'train')
        # called RandomGeoSampler before TorchGeo 0.10
        patches = getattr(samplers, 'RandomPatchSampler', None) or samplers.RandomGeoSampler

        def ours(workers: int = 0) -> SceneDataLoader:
            options = {'num_workers': workers, 'persistent_workers': workers > 0}
            return SceneDataLoader(dataset, batch_size=BATCH, sampler=sampler, **options)

        two = ours(2)
        few = max(BATCH, args.samples // 8)
        ways: dict[str, Callable[[], Batches]] = {
            'ours': ours,
            'ours_two_workers': lambda: two,
            'ours_torch_loader': lambda: DataLoader(
                dataset, BATCH, sampler=sampler, collate_fn=stack_samples
            ),
            'authors': lambda: DataLoader(authors, BATCH),
            'plain_torchgeo': lambda: DataLoader(
                plain,
                BATCH,
                sampler=patches(plain, size=PATCH, length=few),
                collate_fn=stack_samples,
            ),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in tqdm(range(args.repeat + 1), 'Rounds'):
            for name, make in ways.items():
                sampler.set_epoch(0)
                start = time.perf_counter()
                count = consume(make())
                if turn:  # the first round warms the caches and starts the workers
                    rates[name].append(count / (time.perf_counter() - start))
    best = {name: max(values) for name, values in rates.items()}
    return {
        'scenes': args.scenes,
        'samples_per_round': args.samples,
        'rounds': args.repeat,
        'samples_per_second': {name: round(value, 1) for name, value in best.items()},
        'all_rounds': {name: [round(v, 1) for v in values] for name, values in rates.items()},
        'ours_to_authors': round(best['ours'] / best['authors'], 2),
        'ours_to_plain_torchgeo': round(best['ours'] / best['plain_torchgeo'], 2),
        'two_workers_to_one_process': round(best['ours_two_workers'] / best['ours'], 2),
        # round by round, so that what slows the machine slows both
        'two_workers_to_one_process_median': round(
            statistics.median(
                two / one for one, two in zip(rates['ours'], rates['ours_two_workers'], strict=True)
            ),
            2,
        ),
    }


def many(args: argparse.Namespace) -> dict[str, Any]:
    """Samples per second where every file has to be opened anew: more than stay open."""
    with tempfile.TemporaryDirectory(prefix='cloudseg-many-') as folder:
        root = Path(folder) / 'm3mcr-many'
        write_tree(root, args.many)
        dataset = M3MCR.zoned(root, val_share=0)
        whole: Any = dataset.zone_datasets[0]  # zones have one table of scenes
        rates: dict[str, list[float]] = {'ours': [], 'authors': []}
        for turn in tqdm(range(args.repeat), 'Rounds'):
            # each scene is drawn once at most
            sampler = RandomSceneSampler(dataset, PATCH, args.samples, seed=turn)
            patches = sampler.patches()
            numbers = {scene.name: i for i, scene in enumerate(whole.scenes)}
            scenes = sampler.scenes['name'].iloc[patches['scene']].map(numbers)
            corners = zip(scenes, patches['row'], patches['col'], strict=True)
            authors = AuthorsWay(whole, list(corners))
            ways: dict[str, Batches] = {
                'authors': DataLoader(authors, BATCH),
                'ours': SceneDataLoader(dataset, BATCH, sampler),
            }
            for name, batches in ways.items():
                start = time.perf_counter()
                count = consume(batches)
                rates[name].append(count / (time.perf_counter() - start))
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    return {
        'scenes': args.many,
        'samples_per_round': args.samples,
        'all_rounds': {name: [round(v, 1) for v in values] for name, values in rates.items()},
        'ours_to_authors_median': round(statistics.median(ratios), 2),
    }


def scaling(args: argparse.Namespace) -> dict[str, Any]:
    """Cost of a sample by the number of indexed scenes, which lie in four UTM zones."""
    with tempfile.TemporaryDirectory(prefix='cloudseg-scaling-') as folder:
        datasets = {}
        for scenes in tqdm(args.sizes, 'Indexing'):
            root = (args.tree or Path(folder)) / f'm3mcr-{scenes}'
            if not root.exists():
                write_tree(root, scenes)
            datasets[scenes] = M3MCR.zoned(root, val_share=0)
        return _costs(datasets, args)


def _costs(datasets: dict[int, ZonedDataset], args: argparse.Namespace) -> dict[str, Any]:
    """Cost of a sample of each data set, in turns."""
    costs: dict[int, list[float]] = {size: [] for size in datasets}
    for turn in tqdm(range(args.repeat + 1), 'Rounds'):
        for size, dataset in datasets.items():
            queries = list(RandomSceneSampler(dataset, PATCH, args.samples, seed=turn))
            start = time.perf_counter()
            for query in queries:
                dataset[query]
            if turn:
                costs[size].append((time.perf_counter() - start) / len(queries) * 1000)
    best = {size: round(min(values), 3) for size, values in costs.items()}
    spread = [statistics.pstdev(values) / statistics.mean(values) for values in costs.values()]
    return {
        'samples_per_round': args.samples,
        'rounds': args.repeat,
        'milliseconds_per_sample': best,
        'all_rounds': {size: [round(v, 3) for v in values] for size, values in costs.items()},
        'largest_to_smallest': round(best[max(best)] / best[min(best)], 3),
        'noise': round(max(spread), 3),
    }


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('what', choices=['speed', 'many', 'scaling'])
    parser.add_argument('--scenes', type=int, default=100)
    parser.add_argument('--many', type=int, default=10_000, help='scenes (many)')
    parser.add_argument('--samples', type=int, default=640)
    parser.add_argument('--sizes', type=int, nargs='+', default=[100, 1_000, 10_000, 50_000])
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--tree', type=Path, help='folder for trees (scaling), which are then kept')
    parser.add_argument('--output', type=Path, help='JSON file; other measurements in it stay')
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        'machine': describe(),
        **{'speed': speed, 'many': many, 'scaling': scaling}[args.what](args),
    }
    print(json.dumps(result, indent=2))
    if args.output:
        known = json.loads(args.output.read_text()) if args.output.exists() else {}
        write_figures(args.output, known | {args.what: result})


if __name__ == '__main__':
    main()
