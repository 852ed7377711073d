"""Pictures of single scenes, for the eye: they show the data, so mind their license."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from lightning.pytorch import Trainer
from torch import Tensor

from .cell import QUIET, Scorer, judged, load, scored_data
from .grid import GRID, Cell, compose
from .tables import counts_of, iou, labels_of


class Painter(Scorer):
    """Draws some scenes as the data set draws them, with what a network makes of them."""

    files: dict[str, Path]

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # a trainer has it once it tests data
        names = [data.test_dataset.scene_names[scene] for scene in batch['scene'].flatten()]
        if set(names).isdisjoint(self.files):
            return
        found, *_ = self.outputs(batch)
        for i, name in enumerate(names):
            if name in self.files:
                sample = {key: value[i].cpu() for key, value in batch.items()}
                figure = data.plot({**sample, 'prediction': found[i].cpu()}, suptitle=name)
                figure.savefig(self.files[name], dpi=90)
                plt.close(figure)


def draw_scenes(cell: Cell, checkpoint: Path, output: Path, root: Path | None = None) -> list[Path]:
    """Draw the best, the median and the worst scene of a cell, by the score of its record.

    Args:
        cell: the cell.
        checkpoint: what ``run --keep`` kept of it.
        output: folder for the pictures.
        root: root directory of the data.

    Returns:
        the files.
    """
    config = compose(cell, Path(), root)
    painter = Painter(*judged(cell, load(config, checkpoint), config))
    painter.files = {
        scene: output / f'{cell.name.replace("/", "-")}-{rank}.png'
        for rank, scene in ranked(cell).items()
    }
    output.mkdir(parents=True, exist_ok=True)
    Trainer(devices=1, **QUIET).test(painter, scored_data(cell, root), verbose=False)
    return list(painter.files.values())


def ranked(cell: Cell) -> dict[str, str]:
    """Names of the best, the median and the worst scene of a record."""
    record = json.loads(cell.result.read_text())
    names = np.array(sorted(record['scores']['test']))
    scores = iou(counts_of(record)[:, 2], GRID['data'][cell.data]['score'], labels_of(cell.data))
    there = np.isfinite(scores)  # where there is nothing to find, there is no score
    order = names[there][np.argsort(scores[there])]
    return {'best': order[-1], 'median': order[len(order) // 2], 'worst': order[0]}
