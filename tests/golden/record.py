"""Records what the package does, as JSON beside this file: run before the code is rebuilt.

``cd tests && python -m golden.record`` writes anew what `golden/test_recordings.py` compares with.
The data are the miniature's files with pixels of whole numbers in place of its landscapes: the
same on every processor, and apart from how clouds and landscapes are drawn.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import pkgutil
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from golden.weights import golden_tensor
from lightning.pytorch import Trainer
from matplotlib.image import imread
from rasterio.warp import transform_bounds
from torch import Tensor

import torchgeo_cloudseg
from torchgeo_cloudseg.cli import COMMANDS, main
from torchgeo_cloudseg.datamodules import M3MCRDataModule, WHUOPTSARDataModule
from torchgeo_cloudseg.datasets import M3MCR, WHUOPTSAR, sheet_bounds
from torchgeo_cloudseg.inference import MapOptions, predict_scene
from torchgeo_cloudseg.miniature import write_miniature_m3mcr, write_miniature_whuoptsar
from torchgeo_cloudseg.samplers import (
    CenterSceneSampler,
    GridSceneSampler,
    RandomSceneSampler,
    SceneSampler,
    TileSceneSampler,
)
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask, load_mapper

FOLDER = Path(__file__).parent / 'recorded'

TASKS = {'teacher': CloudSegTeacherTask, 'student': CloudSegStudentTask}
LIGHTNING = ('fit', 'validate', 'test', 'predict')

#: Most values that are kept of an array whose last digits depend on the processor.
KEPT = 150

#: Side of the squares of about one value, in pixels.
SQUARE_PX = 6

SHEET_PX = (96, 144)


# --- data ------------------------------------------------------------------------------------


def write_data(root: Path) -> Path:
    """Write small M3M-CR (in two zones) and WHU-OPT-SAR, the same on every machine."""
    options: dict[str, Any] = {'seed': 1, 'progress': False}
    write_miniature_m3mcr(
        root / 'm3mcr', train_areas=3, test_areas=1, patches_per_area=2, zones=(32646, 32645),
        **options,
    )  # fmt: skip
    write_miniature_whuoptsar(
        root / 'whuoptsar', height_px=SHEET_PX[0], width_px=SHEET_PX[1], **options
    )
    for path in sorted(root.rglob('*.*')):
        name = path.relative_to(root).as_posix()
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if path.suffix == '.npy':
            np.save(path, rng.integers(2, size=np.load(path).shape).astype(bool))
        elif path.suffix == '.tif':
            with rasterio.open(path, 'r+') as raster:
                raster.write(_pixels(rng, name, raster).astype(raster.dtypes[0]))
    return root


def _pixels(rng: np.random.Generator, name: str, raster: Any) -> np.ndarray:
    shape = (raster.count, raster.height, raster.width)
    if 'landcover' in name:
        return rng.choice([*range(0, 100, 10), 95, 100], shape)
    if '/lbl/' in name:
        return rng.choice(range(0, 80, 10), shape)
    top = 280 if 'S1_' in name else 10_000 if 'planet' in name else 255
    squares = [shape[0], *(-(-side // SQUARE_PX) for side in shape[1:])]
    coarse = rng.integers(top, size=squares).repeat(SQUARE_PX, 1).repeat(SQUARE_PX, 2)
    pixels = (3 * coarse[:, : shape[1], : shape[2]] + rng.integers(top, size=shape)) // 4
    if 'S1_' in name:
        # eighths of a decibel: their sums are exact in any order
        pixels = pixels / -8.0
        pixels[:, :3, :5] = np.nan
    return pixels


# --- arrays ----------------------------------------------------------------------------------


def exact(values: Tensor | np.ndarray) -> dict[str, Any]:
    """An array that is the same to the last bit everywhere."""
    array = np.ascontiguousarray(values)
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return {'shape': list(array.shape), 'dtype': str(array.dtype), 'sha256': digest}


def close(values: Tensor | np.ndarray, within: float) -> dict[str, Any]:
    """An array of which some values are kept, to be met within a tolerance."""
    array = np.asarray(values)
    kept = array.reshape(-1)[:: -(-array.size // KEPT)].astype(float)
    return {
        'shape': list(array.shape),
        'dtype': str(array.dtype),
        'within': within,
        'values': [None if np.isnan(value) else float(f'{value:.6g}') for value in kept],
    }


def images(sample: Mapping[str, Any], keep: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Images and masks of a sample."""
    keys = sorted(key for key in sample if key.startswith(('image', 'mask')))
    return {key: keep(sample[key], **options) for key in keys}


# --- recordings ------------------------------------------------------------------------------


def public_names(root: Path) -> dict[str, list[str]]:
    """What each room offers."""
    found = {}
    for info in pkgutil.walk_packages(torchgeo_cloudseg.__path__, 'torchgeo_cloudseg.'):
        names = getattr(importlib.import_module(info.name), '__all__', None)
        if info.ispkg and names:
            found[info.name] = sorted(names)
    return found


def arguments(root: Path) -> dict[str, dict[str, str]]:
    """Arguments and their defaults, of commands by their signature, of others by their help."""
    calls = {name: [name, '--help=all'] for name in LIGHTNING}
    for kind in (M3MCRDataModule, WHUOPTSARDataModule):
        calls[kind.__name__] = ['fit', f'--data.help={kind.__name__}']
    for task in TASKS.values():
        calls[task.__name__] = ['fit', f'--model.help={task.__name__}']
    found = {
        name: {'config': ''} | dict(_signature(command.function))
        for name, command in COMMANDS.items()
        if name not in LIGHTNING
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COLUMNS', '10000')
        for name, call in calls.items():
            text = io.StringIO()
            with redirect_stdout(text), pytest.raises(SystemExit):
                main(call)
            found[name] = {
                argument: default
                for argument, default in _stated(text.getvalue())
                # the trainer's are Lightning's
                if not (name in LIGHTNING and argument.startswith(('trainer', 'weights_only')))
            }
    return found


def _signature(place: str) -> Iterable[tuple[str, str]]:
    """Names and defaults of a command's arguments."""
    function = pkgutil.resolve_name(f'torchgeo_cloudseg.cli.{place}')
    for name, parameter in signature(function).parameters.items():
        needed = parameter.default is parameter.empty
        value = 'required' if needed else str(parameter.default).replace('None', 'null')
        yield name, value


def _stated(text: str) -> Iterable[tuple[str, str]]:
    """Names and defaults in a help text; the default of what is required is ``required``."""
    entries = [part.partition('\n\n')[0] for part in re.split(r'\n  (?=[a-z-])', text)[1:]]
    for entry in entries:
        head = re.split(r'  |\n', entry)[0]
        name = re.match(r'(?:-\w,? ?[A-Z]*,? )?(?:--)?([\w.]+)', head)
        if name is None or name[1] in ('h', 'help', 'print_config') or name[1].endswith('.help'):
            continue
        flat = ' '.join(entry.split())
        default = re.search(r'default: (.*?)(?:, known subclasses: .*)?\)$', flat)
        value = default[1] if default else 'required' if '(required' in flat else ''
        # what depends on a condition within the code
        choice = re.fullmatch(r'Conditional<ast-resolver> \{(.*?)(?:, NOT_ACCEPTED)?\}', value)
        yield name[1], (choice[1] if choice else value).replace('None', 'null')


def checkpoints(root: Path) -> dict[str, Any]:
    """What a teacher's and a student's checkpoint hold after a step of training."""
    found = {}
    for kind, path in train(root).items():
        content = torch.load(path, weights_only=True)
        found[kind] = {
            'keys': sorted(content),
            'hyper_parameters': content['module_arguments'],
            'scene_spec': content['scene_spec'],
            'state_dict': {
                name: list(value.shape) for name, value in content['state_dict'].items()
            },
        }
    return found


def train(root: Path) -> dict[str, Path]:
    """Train teacher and student for a step; their checkpoints."""
    files = {kind: root / f'{kind}.ckpt' for kind in TASKS}
    for kind, path in files.items():
        trainer = Trainer(
            max_steps=1, accelerator='cpu', logger=False, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False, limit_val_batches=0,
        )  # fmt: skip
        datamodule = M3MCRDataModule(root=root / 'm3mcr', batch_size=2, patch_size=80, length=4)
        trainer.fit(TASKS[kind](backbone='mit_b0'), datamodule)
        trainer.save_checkpoint(path)
    return files


def patches(root: Path) -> dict[str, list[list[Any]]]:
    """First patches of each sampler: scene, first row, first column, height, width."""
    m3mcr = M3MCR.zoned(root / 'm3mcr', split='train')
    sheets = WHUOPTSAR(root / 'whuoptsar', split='train')
    second = RandomSceneSampler(m3mcr, 160, length=60, seed=5)
    second.set_epoch(1)
    samplers: dict[str, SceneSampler] = {
        'random': RandomSceneSampler(m3mcr, 160, length=60, seed=5),
        'random, second epoch': second,
        'random, rank 1 of 3': RandomSceneSampler(
            m3mcr, 160, length=60, seed=5, num_replicas=3, rank=1
        ),
        'random, any pixel': RandomSceneSampler(m3mcr, (40, 64), length=60, step=1),
        'grid': GridSceneSampler(m3mcr, 160, 80),
        'center': CenterSceneSampler(m3mcr, 160),
        'whole': CenterSceneSampler(m3mcr),
        'tiles': TileSceneSampler(m3mcr, 160),
        'equal tiles, rank 1 of 2': TileSceneSampler(
            m3mcr, 100, equal=True, num_replicas=2, rank=1
        ),
        'sheets, random': RandomSceneSampler(sheets, 64, seed=5),
        'sheets, grid': GridSceneSampler(sheets, (32, 64), 32),
        'sheets, tiles': TileSceneSampler(sheets, 64),
    }
    return {name: _first_patches(sampler, root) for name, sampler in samplers.items()}


def _first_patches(sampler: SceneSampler, root: Path) -> list[list[Any]]:
    found = []
    for query, _ in zip(sampler, range(50), strict=False):
        x, y, _ = query
        scene = str(query.scene)
        west, north = _corner(root, scene)
        row, height = (north - y.stop) / y.step, (y.stop - y.start) / y.step
        col, width = (x.start - west) / x.step, (x.stop - x.start) / x.step
        numbers = np.array([row, col, height, width])
        assert np.abs(numbers - numbers.round()).max() < 1e-3, (scene, numbers)
        found.append([scene, *(int(number) for number in numbers.round())])
    return found


def _corner(root: Path, scene: str) -> tuple[float, float]:
    """Upper left corner of a scene, in its own CRS."""
    if scene.startswith('N'):
        west, _, _, north = sheet_bounds(scene)
        return west, north
    with rasterio.open(layer(root, scene, 'planet_cloudfree')) as raster:
        return raster.bounds.left, raster.bounds.top


def layer(root: Path, scene: str, kind: str, split: str = 'train') -> Path:
    """The file of a scene of M3M-CR."""
    (path,) = (root / 'm3mcr' / split).rglob(f'{kind}_{scene}.tif')
    return path


def samples(root: Path) -> dict[str, Any]:
    """Samples as stored, warped, of several zones, and batches as networks see them."""
    folder, sheet_folder = root / 'm3mcr', root / 'whuoptsar'
    single = M3MCR(folder, zone=32646)
    level2 = M3MCR(folder, zone=32646, classes='level2', label_res='optical')
    zoned = M3MCR.zoned(folder, split='train')
    sheets = WHUOPTSAR(sheet_folder, split='train')
    patch = list(RandomSceneSampler(single, 160, length=2, seed=7))
    zone_patch = list(RandomSceneSampler(zoned, 160, length=4, seed=7))
    tiles = list(TileSceneSampler(sheets, 64))
    found = {
        'native': images(single[patch[0]], exact),
        'native, by place': images(single[tuple(patch[1])], exact),
        'native, level2 on the optical grid': images(level2[patch[0]], exact),
        'native, whole': images(single[next(iter(CenterSceneSampler(single)))], exact),
        'sheet': images(sheets[tiles[0]], exact),
        **{f'zoned {i}': images(zoned[query], exact) for i, query in enumerate(zone_patch)},
    }

    # the kernel that weighs pixels is GDAL's, as are its last digits
    warped = M3MCR(folder, crs='EPSG:32645', res=4)
    near: dict[str, Any] = {'keep': close, 'within': 1e-3}
    found['warped'] = images(warped[_place(root, 'EPSG:32645', 4)], **near)
    found['zoned, warped'] = images(zoned[_place(root, 'EPSG:6933', 3)], **near)

    rounding: dict[str, Any] = {'keep': close, 'within': 1e-5}
    options: dict[str, Any] = {'batch_size': 2, 'patch_size': 80}
    modules = {
        'batch': M3MCRDataModule(root=folder, **options),
        'stacked': M3MCRDataModule(root=folder, stack=True, label_res='optical', **options),
        'sheets, no clouds': WHUOPTSARDataModule(
            root=sheet_folder, clouds=None, batch_size=2, patch_size=64
        ),
    }
    for name, module in modules.items():
        module.setup('validate')
        batch = next(iter(module.val_dataloader()))
        found[name] = images(module.on_after_batch_transfer(batch, 0), **rounding)
    return found


def _place(root: Path, crs: str, res: float) -> tuple[slice, slice]:
    """A query of 100 pixels within a scene."""
    with rasterio.open(layer(root, 'spring_2_p_1', 'planet_cloudfree')) as raster:
        left, bottom, right, top = transform_bounds(raster.crs, crs, *raster.bounds)
    x, y = round((left + right) / 2), round((bottom + top) / 2)
    return slice(x - 50 * res, x + 50 * res, res), slice(y - 50 * res, y + 50 * res, res)


def maps(root: Path) -> dict[str, Any]:
    """Products of a student with golden weights."""
    checkpoint = torch.load(train(root)['student'], weights_only=True)
    checkpoint['state_dict'] = {
        name: golden_tensor(name, value.shape) for name, value in checkpoint['state_dict'].items()
    }
    torch.save(checkpoint, root / 'golden.ckpt')
    return map_products(root, root / 'golden.ckpt')


def map_products(root: Path, checkpoint: Path) -> dict[str, Any]:
    """Everything that is written for a scene, with two ways of mapping it."""
    network, spec = load_mapper(checkpoint)
    optical, sar = (layer(root, 'fall_1_p_1', kind, 'test') for kind in ('planet_cloudy', 'S1'))
    every = ('classes', 'confidence', 'probabilities', 'reconstruction', 'quicklook')
    runs = {
        'usual': MapOptions(products=every),
        'paper, optical grid': MapOptions(
            stride=80, blend='average', resolution='optical', products=every
        ),
    }
    return {
        name: {
            product: _raster(path)
            for product, path in predict_scene(
                network, optical, sar, root / f'{name[:5]}.tif', spec=spec, options=options,
                progress=False,
            ).items()
        }
        for name, options in runs.items()
    }  # fmt: skip


def _raster(path: Path) -> dict[str, Any]:
    """A raster: its facts and its pixels."""
    if path.suffix == '.png':
        picture = imread(path)
        # what is written and drawn there changes with the font
        cells = [np.array_split(row, 8, axis=1) for row in np.array_split(picture, 6)]
        means = np.array([[cell.mean(axis=(0, 1)) for cell in row] for row in cells])
        return {'size': list(picture.shape), 'pixels': close(means, within=0.05)}
    with rasterio.open(path) as raster:
        pixels = raster.read()
        tags = {
            k: v for k, v in raster.tags().items() if k not in ('AREA_OR_POINT', 'CLOUDSEG_RUN')
        }
        colors = raster.colormap(1) if raster.dtypes[0] == 'uint8' else {}
        return {
            'crs': raster.crs.to_string(),
            'transform': list(raster.transform)[:6],
            'nodata': str(raster.nodata),
            'blocks': [list(shape) for shape in raster.block_shapes],
            'compress': raster.profile.get('compress'),
            'layout': raster.tags(ns='IMAGE_STRUCTURE').get('LAYOUT'),
            'overviews': raster.overviews(1),
            'bands': list(raster.descriptions),
            'tags': tags,
            'colors': [list(colors[value]) for value in range(8) if value in colors],
            # a reconstruction is in digital numbers, one of which is much less than its noise
            'pixels': close(pixels, within=5 if pixels.dtype == np.uint16 else 2e-3),
        }


RECORDINGS: dict[str, Callable[[Path], Any]] = {
    'public_names': public_names,
    'arguments': arguments,
    'checkpoints': checkpoints,
    'patches': patches,
    'samples': samples,
    'maps': maps,
}

if __name__ == '__main__':
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        data = write_data(Path(temporary))
        for title, record in RECORDINGS.items():
            text = json.dumps(record(data), indent=1)
            # lists of numbers on one line
            text = re.sub(r'\[\s+([^][{}]*?)\s+\]', lambda m: f'[{" ".join(m[1].split())}]', text)
            (FOLDER / f'{title}.json').write_text(text + '\n')
