"""One cell: trained by Lightning's command line, scored, and written down."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from fractions import Fraction
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_cloudseg._files import replacing
from torchgeo_cloudseg.cli import lightning as command
from torchgeo_cloudseg.inference.windows.network import slide_scenes
from torchgeo_cloudseg.metrics.confusion import count_confusion
from torchgeo_cloudseg.metrics.regions import clouds_on_grid
from torchgeo_cloudseg.trainers.checkpoint_io import read_plain

from .grid import CHOSEN, GRID, Cell, compose, merge
from .tables import REGIONS, summary

IGNORED = 255

#: Tests by name: keys of the optical and of the SAR image; None for one that is missing.
TESTS: dict[str, tuple[str | None, str | None]] = {
    'test': ('image', 'image_sar'),
    'test_clear': ('image_clear', 'image_sar'),
    'test_optical': ('image', None),
    'test_sar': (None, 'image_sar'),
}

#: Lightning without what is of no use here.
QUIET: dict[str, Any] = {
    'logger': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
}


class Stacked(nn.Module):
    """A network with one input, as one with two."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
        logits: Tensor = self.model(torch.cat([optical, sar], dim=1))
        return logits


class Scorer(LightningModule):
    """The one function that scores all variants: same windows, same label grid, scene by scene."""

    def __init__(self, model: nn.Module, facts: Mapping[str, Any], test: str = 'test') -> None:
        super().__init__()
        self.model = model
        self.facts, self.shown = facts, TESTS[test]
        self.tells_opacity = getattr(model, 'opacity', None) is not None
        #: Pixels by scene, [clear or cloudy][label][prediction], flat.
        self.scenes: dict[int, Tensor] = {}
        #: Of clear and of cloudy pixels: how far opacities are from the mask in all, and how many.
        self.veils = torch.zeros(2, 2, dtype=torch.float64)

    def outputs(self, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Predicted classes (B, h, w) of whole scenes, and the opacity (B, 1, h, w) if told."""
        images = [
            torch.zeros_like(batch[usual]) if key is None else batch[key]
            for key, usual in zip(self.shown, TESTS['test'], strict=True)
        ]
        logits, *opacity = slide_scenes(
            self.model,
            *images,
            (batch['mask'].shape[-2], batch['mask'].shape[-1]),
            window=self.facts['window'],
            stride=self.facts['stride'],
            label_scale=Fraction(str(self.facts['label_scale'])),
            num_classes=self.facts['num_classes'],
            opacity=self.tells_opacity,
        )
        return logits.argmax(dim=1), *opacity

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        mask = batch['mask']
        found, *opacity = self.outputs(batch)
        cloudy = clouds_on_grid(batch['mask_cloud'], (mask.shape[-2], mask.shape[-1]))
        counts = count_confusion(found, mask, cloudy, self.facts['num_classes'], IGNORED)
        for scene, matrix in zip(batch['scene'].flatten().tolist(), counts, strict=True):
            counted = self.scenes.get(scene, 0) + matrix.flatten().cpu()  # several tiles
            self.scenes[scene] = counted
        for veil in opacity:
            apart = (veil[:, 0] - cloudy.float()).abs()
            for region, sky in zip(self.veils, (~cloudy, cloudy), strict=True):
                region += torch.stack([apart[sky].sum(), sky.sum()]).cpu()

    def opacity_error(self) -> dict[str, float]:
        """Mean distance of the opacity from the cloud mask by region; empty if it is not told."""
        if not self.tells_opacity:
            return {}
        clear, cloudy = self.veils
        regions = zip(REGIONS, (cloudy, clear, clear + cloudy), strict=True)
        return {region: round(float(far / pixels), 4) for region, (far, pixels) in regions}


def run_cell(
    cell: Cell,
    folder: Path,
    root: Path | None = None,
    teacher: Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, score and describe a cell.

    Args:
        cell: the cell.
        folder: for its configuration and its checkpoint, ``chosen.ckpt``.
        root: root directory of the data.
        teacher: checkpoint of its teacher.
        changes: of its configuration.

    Returns:
        the record.
    """
    config = compose(cell, folder, root, teacher, changes)
    started, busy = time.time(), time.process_time()
    checkpoint = train(config, folder)
    seconds, cpu_seconds = time.time() - started, time.process_time() - busy
    task = load(config, checkpoint)
    scores, veils = {}, {}
    for test in ('test', *GRID['variants'][cell.variant].get('tests', ())):
        if {*TESTS[test]} - {None} <= {*scored_data(cell, root).dataset_class.layers}:
            scores[test], veils[test] = score(cell, task, config, root, test)
    steps = read_plain(checkpoint)['global_step']
    return {
        'cell': cell.name,
        'steps': steps,
        'seconds': round(seconds, 1),
        'cpu_seconds': round(cpu_seconds, 1),
        'parameters': sum(weights.numel() for weights in task.model.parameters()),
        'machine': machine(),
        'config': portable(config),
        'opacity_error': veils['test'],
        'scores': scores,
    }


def train(config: Mapping[str, Any], folder: Path) -> Path:
    """Train by a configuration, as its command line does; the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'cell.yaml'
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    command.run('fit', ['--config', str(path)])
    return folder / f'{CHOSEN}.ckpt'


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what belongs to one machine."""
    without = {
        'seed_everything': None,
        'trainer': {'callbacks': None, 'default_root_dir': None},
        'model': {'init_args': {'teacher': None}},
        'data': {'init_args': {'root': None, 'index_dir': None}},
    }
    kept: dict[str, Any] = merge(config, without)
    return kept


def load(config: Mapping[str, Any], checkpoint: Path) -> Any:
    """The task of a configuration with what it has learnt."""
    kind: Any = find_class(config['model']['class_path'])
    return kind.load_from_checkpoint(checkpoint, map_location='cpu').eval()


def find_class(path: str) -> Any:
    """The class of a dotted name."""
    module, _, name = path.rpartition('.')
    return getattr(import_module(module), name)


def scored_data(cell: Cell, root: Path | None, fold: str = 'test') -> Any:
    """Data module that tests a fold, the same for all variants."""
    plain = compose(Cell(cell.data, 'early', 0), Path(), root)['data']
    kind: Any = find_class(plain['class_path'])
    arguments = {**plain['init_args'], 'augment': False}
    data = kind(**arguments)
    make = data.make_dataset
    data.make_dataset = lambda split: make(fold if split == 'test' else split)
    return data


def judged(cell: Cell, task: Any, config: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a task, and the window, label grid and classes by which all are judged."""
    stacked = config['data']['init_args'].get('stack', False)
    facts = compose(Cell(cell.data, 'early', 0), Path())['model']['init_args']
    return Stacked(task.model) if stacked else task.model, facts


def score(
    cell: Cell,
    task: Any,
    config: Mapping[str, Any],
    root: Path | None = None,
    test: str = 'test',
    fold: str = 'test',
) -> tuple[dict[str, list[int]], dict[str, float]]:
    """Confusion matrices of a fold's scenes by name, and errors of the opacity by region."""
    data = scored_data(cell, root, fold)
    scorer = Scorer(*judged(cell, task, config), test)
    Trainer(devices=1, **QUIET).test(scorer, data, verbose=False)
    names = data.test_dataset.scene_names
    scenes = {names[scene]: counts.tolist() for scene, counts in sorted(scorer.scenes.items())}
    return scenes, scorer.opacity_error()


def score_checkpoint(cell: Cell, checkpoint: Path, root: Path | None = None) -> dict[str, float]:
    """The score by region of what ``run --keep`` kept, on the test fold of any root.

    Args:
        cell: the cell.
        checkpoint: its checkpoint.
        root: root directory of the data.
    """
    config = compose(cell, Path(), root)
    found, _ = score(cell, load(config, checkpoint), config, root)
    return summary({'cell': cell.name, 'scores': {'test': found}})


def machine() -> dict[str, Any]:
    """What a cell ran on."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    processor = names[0] if names else platform.machine()
    if torch.cuda.is_available():
        processor = torch.cuda.get_device_name()
    git = ['git', 'describe', '--always', '--dirty', '--abbrev=40']
    return {
        'processor': processor,
        'threads': torch.get_num_threads(),
        'load': round(os.getloadavg()[0], 1),
        'python': platform.python_version(),
        **{name: version(name) for name in ('torch', 'torchgeo', 'lightning')},
        'commit': subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
    }


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record: complete or absent, a line for each scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marks: dict[str, str] = {}

    def flat(value: Any) -> Any:
        if isinstance(value, list) and len(value) > 3:
            marks[f'"<{len(marks)}>"'] = json.dumps(value)
            return f'<{len(marks) - 1}>'
        if isinstance(value, Mapping):
            return {key: flat(inner) for key, inner in value.items()}
        return value

    text = json.dumps(flat(record), indent=1)
    for mark, line in marks.items():
        text = text.replace(mark, line, 1)
    with replacing(path) as draft:
        draft.write_text(text + '\n')
