"""How far the opacity that a light network tells is from the true one: mean absolute error.

    python experiments/benchmarks/opacity.py --seeds 0 1 2 --output experiments/results/opacity.json

Miniature M3M-CR under drawn clouds, whose opacity is known, in training and in whole test scenes of
other areas; a light student without a teacher, from random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from machine import measure_seeds
from torch import Tensor, nn

from torchgeo_cloudseg.datamodules import SceneDataModule
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.trainers import CloudSegStudentTask

#: From where on a pixel counts as cloudy.
CLOUDY = 0.1


class OpacityError(LightningModule):
    """Sums of the absolute error, over clear and over cloudy pixels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        #: Of clear and of cloudy pixels: sum of errors, and pixels.
        self.sums = torch.zeros(2, 2, dtype=torch.float64)

    def test_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        truth = batch['image_alpha']
        apart = (self.model(batch['image'], batch['image_sar']).opacity - truth).abs()
        for total, sky in zip(self.sums, (truth < CLOUDY, truth >= CLOUDY), strict=True):
            total += torch.stack([apart[sky].sum(), sky.sum()]).cpu()

    def found(self) -> dict[str, float]:
        """Mean absolute error by sky, and the share of cloudy pixels."""
        (clear, cloudy), pixels = (self.sums[:, 0] / self.sums[:, 1]).tolist(), self.sums[:, 1]
        total = float(self.sums[:, 0].sum() / pixels.sum())
        return {
            'all': total, 'clear': clear, 'cloudy': cloudy,
            'cloud_cover': float(pixels[1] / pixels.sum()),
        }  # fmt: skip


def measure(seed: int, steps: int, root: Path) -> dict[str, float]:
    """Train under drawn clouds, and compare opacities in test scenes.

    Args:
        seed: seed of the landscape, the network, the patches and the clouds.
        steps: training steps.
        root: where to put the data.

    Returns:
        the errors.
    """
    seed_everything(seed, verbose=False)
    write_miniature_m3mcr(root, seed=seed, train_areas=8, test_areas=3, progress=False)
    data = SceneDataModule(
        M3MCR, root=root, batch_size=8, patch_size=96, length=8 * steps, augment=True, seed=seed,
        clouds={'preset': 'm3mcr', 'layers': ['alpha']},
    )  # fmt: skip
    task = CloudSegStudentTask(
        architecture='lite', lr=1e-3, schedule='cosine', distillation_weight=0,
        reconstruction_weight=0, num_classes=6,
    )  # fmt: skip
    quiet: dict[str, Any] = {'logger': False, 'enable_model_summary': False, 'devices': 1}
    trainer = Trainer(max_epochs=1, limit_val_batches=0, enable_checkpointing=False, **quiet)
    trainer.fit(task, data)
    scorer = OpacityError(task.model)
    Trainer(**quiet).test(scorer, data, verbose=False)
    return scorer.found()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--steps', type=int, default=600)
    parser.add_argument('--output', type=Path)
    options = parser.parse_args(arguments)
    measure_seeds(measure, options.seeds, options.steps, options.output)


if __name__ == '__main__':
    main()
