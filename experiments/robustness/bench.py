"""Small inputs of all kinds, and commands in processes of their own that can be killed."""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import rasterio
import torch
from lightning.pytorch import Trainer
from rasterio.transform import Affine

from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.trainers import CloudSegTeacherTask

LEFT, TOP = 760_299.0, 1_898_412.0

#: Longest run, in seconds; one that takes longer hangs.
LIMIT_S = 300.0

#: Imported once for all processes that are started.
PRELOADED = ['torchgeo_cloudseg.cli.map', 'torchgeo_cloudseg.cli.lightning', 'torch._dynamo']


def write_inputs(folder: Path, rows: int = 900, seed: int = 0) -> dict[str, Path]:
    """Write a scene, an index of a list and of a STAC item for it, a checkpoint and a data set.

    Args:
        folder: where to write.
        rows: rows of the scene.
        seed: seed of pixels and weights.

    Returns:
        the files by kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    optical, sar = folder / 'optical.tif', folder / 'sar.tif'
    pixels = rng.integers(1, 9000, (4, rows, 200), dtype=np.uint16)
    _write(optical, pixels, 3, nodata=0, compress='deflate')
    _write(sar, rng.uniform(-30, 0, (2, rows * 3 // 10, 60)).astype(np.float32), 10)
    (folder / 'scenes.csv').write_text('optical,sar\noptical.tif,sar.tif\n')
    item = {
        'type': 'Feature', 'stac_version': '1.0.0', 'id': 'scene', 'geometry': None, 'links': [],
        'properties': {'datetime': '2020-10-01T00:00:00Z'},
        'assets': {'optical': {'href': 'optical.tif'}, 'sar': {'href': 'sar.tif'}},
    }  # fmt: skip
    (folder / 'item.json').write_text(json.dumps(item))
    torch.manual_seed(seed)
    task = CloudSegTeacherTask(backbone='mit_b0', modalities='early', window=160)
    task.scene_spec = M3MCR.published_spec(num_classes=6)
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(task)
    trainer.save_checkpoint(folder / 'teacher.ckpt', weights_only=True)
    data = write_miniature_m3mcr(
        folder / 'data', seed=1, train_areas=2, test_areas=1, patches_per_area=2, progress=False
    )
    return {
        'optical': optical, 'sar': sar, 'csv': folder / 'scenes.csv', 'stac': folder / 'item.json',
        'ckpt': folder / 'teacher.ckpt', 'data': data,
        'npy': next((data / 'train').rglob('cloudmask*.npy')),
    }  # fmt: skip


def _write(path: Path, pixels: np.ndarray, size_m: float, **profile: object) -> None:
    count, height, width = pixels.shape
    with rasterio.open(
        path, 'w', driver='GTiff', count=count, height=height, width=width, dtype=pixels.dtype,
        crs='EPSG:32646', transform=Affine(size_m, 0, LEFT, 0, -size_m, TOP), **profile,
    ) as raster:  # fmt: skip
        raster.write(pixels)


def start(
    args: Sequence[str], log: Path, folder: Path, environ: Mapping[str, str] | None = None
) -> BaseProcess:
    """Run a command as typed, in a process that has imported everything already.

    Args:
        args: the command line, without ``cloudseg``.
        log: file for what it prints.
        folder: the folder in which it runs.
        environ: environment variables.

    Returns:
        the process.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(
        target=_typed, args=(list(args), str(log), str(folder), dict(environ or {}))
    )
    process.start()
    return process


def _typed(args: list[str], log: str, folder: str, environ: dict[str, str]) -> None:
    # shells give commands these; a run under nohup ignores Ctrl-C, and would hand that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environ)
    os.chdir(folder)
    torch.set_num_threads(1)
    from torchgeo_cloudseg.cli import main

    # what comes before is no part of the command: who waits for this file may begin to kill
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    # where it hangs, if it does
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    sys.argv = ['cloudseg', *args]
    main(args)
