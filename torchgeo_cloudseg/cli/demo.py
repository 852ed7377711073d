"""``cloudseg demo``: the whole line on miniature data, in minutes on a CPU."""

import logging
import warnings
from pathlib import Path
from typing import Any, Literal

import matplotlib
from jsonargparse import auto_cli
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from ..datamodules import SceneDataModule
from ..trainers import CloudSegStudentTask, CloudSegTask, CloudSegTeacherTask
from ..trainers.report import write_csv, write_json
from .demo_data import DEMO_DATA, DemoData
from .demo_report import draw, save_figure, summary

#: A small encoder and a high learning rate: minutes on two cores, from random weights.
BACKBONE = 'mit_b0'
LEARNING_RATE = 1e-3
BATCH_SIZE = 4

#: Validations during each training.
EPOCHS = 5

#: Rows of the figure.
SCENES_SHOWN = 3

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
    dataset: Literal['m3mcr', 'whuoptsar'] = 'm3mcr',
    seed: int = 0,
    teacher_steps: int = 140,
    student_steps: int = 130,
) -> None:
    """Write miniature data, train a teacher and a student on it, and test both under clouds.

    The printed scores are those of this run.

    Args:
        output: folder for the data, the checkpoints, the table and the figure.
        dataset: whose miniature to write.
        seed: seed of the landscape, the network and the patches.
        teacher_steps: training steps of the teacher.
        student_steps: training steps of the student.
    """
    console = Console()
    _quiet()
    seed_everything(seed, verbose=False)
    data, root = DEMO_DATA[dataset], output / 'data'
    console.rule(data.title)
    data.write(root, seed=seed)

    console.rule(f'Teacher: cloud-free optical and SAR images, {BACKBONE}')
    datamodule = data.datamodule(root=root, batch_size=BATCH_SIZE)
    datamodule.setup('test')
    spec = datamodule.scene_spec
    options: dict[str, Any] = {
        'backbone': BACKBONE,
        'lr': LEARNING_RATE,
        'schedule': 'cosine',
        'in_channels': (len(spec.optical_bands), len(spec.sar_bands)),
        'num_classes': spec.num_classes,
        'label_scale': float(spec.label_scale),
        'labels': list(spec.class_names),
    }
    teacher_file = train(
        CloudSegTeacherTask(**options), data, root, teacher_steps, seed, output / 'teacher'
    )

    console.rule('Student: cloudy optical and SAR images, taught by the teacher')
    # without ImageNet weights to start from, the teacher's save the student most of the way
    student = CloudSegStudentTask(teacher=str(teacher_file), init_from_teacher=True, **options)
    student_file = train(student, data, root, student_steps, seed, output / 'student')

    console.rule('Test')
    load_teacher, load_student = CloudSegTeacherTask, CloudSegStudentTask
    runs: dict[str, CloudSegTask] = {
        'student, cloudy': load_student.load_from_checkpoint(student_file),
        'teacher, cloudy': load_teacher.load_from_checkpoint(teacher_file, image_key='image'),
        'teacher, cloud-free': load_teacher.load_from_checkpoint(teacher_file),
    }
    scores = {name: test(task, datamodule) for name, task in runs.items()}
    for name, values in scores.items():
        stem = name.replace(', ', '-')
        write_json(output / f'{stem}.json', values)
        write_csv(output / f'{stem}.csv', values)
    console.print(summary(f'{data.title}: test scenes, per cent', scores))
    figure = draw(runs['student, cloudy'], scenes_to_show(datamodule), spec)
    save_figure(figure, output / 'demo.png')
    console.print(f'Figure: {output / "demo.png"}; tables, checkpoints and data: {output}.')


def train(
    task: CloudSegTask, data: DemoData, root: Path, steps: int, seed: int, folder: Path
) -> Path:
    """Train a task and keep its last checkpoint, when the learning rate has come to 0.

    Args:
        task: teacher or student.
        data: the miniature data.
        root: their folder.
        steps: training steps.
        seed: seed of the patches.
        folder: folder for the checkpoints.

    Returns:
        the checkpoint.
    """
    epochs = min(EPOCHS, steps)
    datamodule = data.datamodule(
        root=root,
        batch_size=BATCH_SIZE,
        patch_size=data.patch_size,
        length=steps // epochs * BATCH_SIZE,
        augment=True,
        seed=seed,
    )
    last = ModelCheckpoint(folder, filename='last', enable_version_counter=False)
    trainer = Trainer(
        max_epochs=epochs,
        devices=1,
        logger=False,
        callbacks=[last],
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task, datamodule=datamodule)
    return Path(last.best_model_path)


def test(task: CloudSegTask, datamodule: SceneDataModule) -> Scores:
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


def scenes_to_show(datamodule: SceneDataModule) -> list[dict[str, Any]]:
    """Test scenes of which clouds cover about half.

    Args:
        datamodule: the miniature data, set up for testing.

    Returns:
        batches of one scene, images in 0..1.
    """
    scenes = []
    for stored in datamodule.test_dataloader():
        batch = datamodule.on_after_batch_transfer(stored, 0)
        for index in range(len(batch['mask'])):
            scenes.append({key: value[index : index + 1] for key, value in batch.items()})
    scenes.sort(key=lambda scene: abs(float(scene['mask_cloud'].float().mean()) - 0.5))
    return scenes[:SCENES_SHOWN]


def _quiet() -> None:
    """Keep the progress bars readable: no hints about workers and devices in between."""
    matplotlib.use('Agg')
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    for hint in ('does not have many workers', 'GPU available but not used', 'treespec'):
        warnings.filterwarnings('ignore', message=f'.*{hint}.*')
