"""Samples per second of a whole training: loading, scaling, step and Lightning's loop.

    python experiments/benchmarks/training.py --device cuda --batch 32 --workers 12 --precision \
        32-true bf16-mixed --compile --fsdp --output experiments/results/gpu-training.json

The data are files of M3M-CR's layout with made-up pixels; every training starts with the same
weights. The first steps, in which graphs are compiled and workers start, are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from machine import describe, write_figures
from scene_tree import write_tree

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegStudentTask


class Clock(Callback):
    """When each step was over."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if pl_module.device.type == 'cuda':
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def train(
    options: argparse.Namespace, root: Path, precision: str, compiled: bool, strategy: str
) -> dict[str, float | str]:
    """Train for some steps.

    Args:
        options: the command line's.
        root: folder of the data set.
        precision: Lightning's name of it.
        compiled: compile the step.
        strategy: Lightning's name of it.

    Returns:
        samples per second, and on a GPU the most memory that was in use.
    """
    seed_everything(0, verbose=False)
    on_gpu = options.device == 'cuda'
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    clock = Clock()
    trainer = Trainer(
        accelerator='gpu' if on_gpu else 'cpu',
        devices=1,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks the string
        strategy=strategy,
        max_steps=options.warmup + options.steps,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    task = CloudSegStudentTask(
        backbone=options.encoder, compile=compiled, window=options.crop, stride=options.crop // 2
    )
    data = M3MCRDataModule(
        root=root,
        batch_size=options.batch,
        patch_size=options.crop,
        length=options.batch * (options.warmup + options.steps),
        num_workers=options.workers,
    )
    trainer.fit(task, data)
    taken = clock.times[-1] - clock.times[options.warmup - 1]
    figures: dict[str, float | str] = {'samples_per_s': options.steps * options.batch / taken}
    if on_gpu:
        figures['peak_gib'] = torch.cuda.max_memory_allocated() / 2**30
    return figures


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--encoder', default='mit_b4')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--crop', type=int, default=160)
    parser.add_argument('--steps', type=int, default=20, help='steps that are timed')
    parser.add_argument('--warmup', type=int, default=5, help='steps before them')
    parser.add_argument('--workers', type=int, default=0)
    parser.add_argument('--scenes', type=int, default=400)
    parser.add_argument('--precision', nargs='+', default=['32-true'])
    parser.add_argument('--compile', action='store_true', help='also with compiled steps')
    parser.add_argument('--fsdp', action='store_true', help='also with sharded parameters')
    parser.add_argument('--output', type=Path)
    options = parser.parse_args()
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix='cloudseg-training-') as folder:
        root = Path(folder) / 'M3M-CR'
        write_tree(root, options.scenes)
        for precision in options.precision:
            kinds = {precision: (False, 'auto')}
            if options.compile:
                kinds[f'{precision}, compiled'] = (True, 'auto')
            if options.fsdp:
                kinds[f'{precision}, fsdp'] = (False, 'fsdp')
            for name, (compiled, strategy) in kinds.items():
                runs[name] = train(options, root, precision, compiled, strategy)
                print(name, runs[name], flush=True)
    kept = ('device', 'encoder', 'batch', 'crop', 'steps', 'workers')
    result = {
        'machine': describe(),
        **{name: getattr(options, name) for name in kept},
        'runs': runs,
    }
    print(json.dumps(result, indent=2))
    if options.output:
        write_figures(options.output, result)


if __name__ == '__main__':
    main()
