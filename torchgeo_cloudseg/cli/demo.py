"""``cloudseg demo``: the whole line on miniature data, in minutes on a CPU."""

import logging
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from jsonargparse import auto_cli
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from ..datamodules import M3MCRDataModule
from ..datasets.m3mcr_layout import LEGENDS
from ..datasets.miniature import write_miniature_m3mcr
from ..datasets.plotting import draw_labels, legend_patches
from ..trainers import CloudSegStudentTask, CloudSegTask, CloudSegTeacherTask
from ..trainers.base import label_size
from ..trainers.report import REGION_TITLES, write_csv, write_json

#: A small encoder and a high learning rate: minutes on two cores, from random weights.
BACKBONE = 'mit_b0'
LEARNING_RATE = 1e-3
BATCH_SIZE = 4
PATCH_SIZE = 160

#: Validations during each training.
EPOCHS = 5

#: Rows of the figure.
SCENES_SHOWN = 4

LEGEND = LEGENDS['level1']
Scores = dict[str, float]


def run(name: str, args: list[str]) -> None:
    """Run the subcommand.

    Args:
        name: 'demo'.
        args: its arguments.
    """
    auto_cli(demo, args=args, prog=f'cloudseg {name}')


def demo(
    output: Path = Path('cloudseg-demo'),
    seed: int = 0,
    teacher_steps: int = 160,
    student_steps: int = 160,
) -> None:
    """Write miniature data, train a teacher and a student on it, and test both under clouds.

    The printed scores are those of this run.

    Args:
        output: folder for the data, the checkpoints, the table and the figure.
        seed: seed of the landscape, the network and the patches.
        teacher_steps: training steps of the teacher.
        student_steps: training steps of the student.
    """
    console = Console()
    _quiet()
    seed_everything(seed)
    root = output / 'data'
    console.rule('Miniature M3M-CR')
    write_miniature_m3mcr(root, seed=seed)

    console.rule(f'Teacher: cloud-free optical and SAR images, {BACKBONE}')
    options: dict[str, Any] = {'backbone': BACKBONE, 'lr': LEARNING_RATE, 'schedule': 'cosine'}
    labels = [land_cover.name for land_cover in LEGEND]
    teacher = CloudSegTeacherTask(labels=labels, **options)
    teacher_file = train(teacher, root, teacher_steps, seed, output / 'teacher')

    console.rule('Student: cloudy optical and SAR images, taught by the teacher')
    # without ImageNet weights to start from, the teacher's save the student most of the way
    student = CloudSegStudentTask(
        teacher=str(teacher_file), labels=labels, init_from_teacher=True, **options
    )
    student_file = train(student, root, student_steps, seed, output / 'student')

    console.rule('Test')
    load_teacher, load_student = CloudSegTeacherTask, CloudSegStudentTask
    runs: dict[str, CloudSegTask] = {
        'student, cloudy image': load_student.load_from_checkpoint(student_file),
        'teacher, cloudy image': load_teacher.load_from_checkpoint(teacher_file, image_key='image'),
        'teacher, cloud-free image': load_teacher.load_from_checkpoint(teacher_file),
    }
    datamodule = M3MCRDataModule(root=root, batch_size=BATCH_SIZE)
    scores = {name: test(task, datamodule) for name, task in runs.items()}
    for name, values in scores.items():
        stem = name.replace(', ', '-').replace(' ', '-')
        write_json(output / f'{stem}.json', values)
        write_csv(output / f'{stem}.csv', values)
    console.print(summary(scores))
    figure = draw(runs['student, cloudy image'], datamodule)
    save_figure(figure, output / 'demo.png')
    console.print(f'Figure: {output / "demo.png"}; tables, checkpoints and data: {output}.')


def train(task: CloudSegTask, root: Path, steps: int, seed: int, folder: Path) -> Path:
    """Train a task and keep the checkpoint with the best validation mIoU.

    Args:
        task: teacher or student.
        root: folder of the miniature data.
        steps: training steps.
        seed: seed of the patches.
        folder: folder for the checkpoints.

    Returns:
        the checkpoint.
    """
    epochs = min(EPOCHS, steps)
    datamodule = M3MCRDataModule(
        root=root,
        batch_size=BATCH_SIZE,
        patch_size=PATCH_SIZE,
        length=steps // epochs * BATCH_SIZE,
        augment=True,
        seed=seed,
    )
    best = ModelCheckpoint(
        folder, filename='best', monitor='val_mIoU', mode='max', enable_version_counter=False
    )
    trainer = Trainer(
        max_epochs=epochs,
        devices=1,
        logger=False,
        callbacks=[best],
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task, datamodule=datamodule)
    return Path(best.best_model_path)


def test(task: CloudSegTask, datamodule: LightningDataModule) -> Scores:
    """Test a task on whole scenes.

    Args:
        task: teacher or student.
        datamodule: the miniature data.

    Returns:
        metrics by region, such as ``cloudy_mIoU``.
    """
    trainer = Trainer(devices=1, logger=False, enable_model_summary=False)
    (scores,) = trainer.test(task, datamodule=datamodule, verbose=False)
    return {name.removeprefix('test_'): value for name, value in scores.items()}


def summary(scores: dict[str, Scores]) -> Table:
    """Mean IoU and overall accuracy by region, one row per network.

    Args:
        scores: metrics by region, by name of the network.

    Returns:
        the table, in per cent.
    """
    table = Table(title='Miniature test scenes, per cent')
    table.add_column('network')
    columns = [(score, region) for score in ('mIoU', 'OA') for region in REGION_TITLES]
    for score, region in columns:
        table.add_column(f'{score}\n{REGION_TITLES[region]}', justify='right')
    for name, values in scores.items():
        cells = [f'{100 * values[f"{region}_{score}"]:.1f}' for score, region in columns]
        table.add_row(name, *cells)
    return table


@torch.no_grad()
def draw(task: CloudSegTask, datamodule: M3MCRDataModule) -> Figure:
    """Draw test scenes: cloudy, cloud-free, reconstruction, prediction, truth.

    Args:
        task: the student.
        datamodule: the miniature data, set up for testing.

    Returns:
        the figure.
    """
    task.eval()
    batch = datamodule.on_after_batch_transfer(next(iter(datamodule.test_dataloader())), 0)
    mask = batch['mask']
    predictions = task.slide(batch, label_size(mask)).argmax(dim=1)
    restored = task(*task.inputs(batch)).reconstruction
    count = min(SCENES_SHOWN, len(mask))
    titles = ('cloudy', 'cloud-free', 'reconstruction', 'prediction', 'truth')
    figure, grid = plt.subplots(
        count, len(titles), figsize=(11, 2.3 * count), squeeze=False, layout='constrained'
    )
    for row in range(count):
        images = (batch['image'][row], batch['image_clear'][row], restored[row])
        white = float(np.percentile(images[1][[2, 1, 0]], 99))
        for axes, image in zip(grid[row], images, strict=False):
            axes.imshow((image[[2, 1, 0]] / white).clamp(0, 1).movedim(0, -1).numpy())
            axes.set_axis_off()
        draw_labels(grid[row, 3], predictions[row], LEGEND)
        draw_labels(grid[row, 4], mask[row], LEGEND)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    figure.legend(handles=legend_patches(LEGEND), loc='outside lower center', ncols=7)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure; the file is complete or absent, never half written.

    Args:
        figure: the figure.
        path: PNG file.
    """
    temporary = path.with_name(f'.{path.name}')
    figure.savefig(temporary, format='png', dpi=90)
    plt.close(figure)
    temporary.replace(path)


def _quiet() -> None:
    """Keep the progress bars readable: no hints about workers and devices in between."""
    matplotlib.use('Agg')
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    warnings.filterwarnings('ignore', message='.*does not have many workers.*')
    warnings.filterwarnings('ignore', message='.*GPU available but not used.*')
