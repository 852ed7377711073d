"""What ``cloudseg demo`` does."""

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .._files import replacing
from ..datamodules import M3MCRDataModule, SceneDataModule, WHUOPTSARDataModule
from ..miniature import write_miniature_m3mcr, write_miniature_whuoptsar
from ..trainers import CloudSegStudentTask, CloudSegTask, CloudSegTeacherTask, watched
from ..trainers.report import REGION_TITLES, write_csv, write_json

#: Makes a data module of a miniature.
Loader = Callable[..., SceneDataModule]

#: What writes a miniature, and what loads it, by the name given to ``--dataset``.
MINIATURES: dict[str, tuple[Callable[..., Path], Loader]] = {
    'm3mcr': (write_miniature_m3mcr, M3MCRDataModule),
    'whuoptsar': (write_miniature_whuoptsar, WHUOPTSARDataModule),
}

#: A small network and a high learning rate: minutes on two cores, from random weights.
ARCHITECTURE = 'lite'
LEARNING_RATE = 2e-3
BATCH_SIZE = 4
PATCH_SIZE = 160

#: Networks with a single encoder: what is compared, and its name among the modalities.
SINGLE = {'early fusion, cloudy': 'early', 'SAR only': 'sar'}

#: Validations during each training.
EPOCHS = 5

#: Rows of the figure.
SCENES_SHOWN = 3


def run_demo(output: Path, dataset: str, seed: int, teacher_steps: int, student_steps: int) -> None:
    """Write miniature data, train a teacher and a student on it, and test both under clouds.

    Args:
        output: folder for the data, the checkpoints, the table and the figure.
        dataset: whose miniature to write, one of :data:`MINIATURES`.
        seed: seed of the landscape, the network and the patches.
        teacher_steps: training steps of the teacher.
        student_steps: training steps of the student.
    """
    # the progress bars stay readable: no hints about workers and devices in between
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    for hint in ('does not have many workers', 'GPU available but not used', 'treespec'):
        warnings.filterwarnings('ignore', message=f'.*{hint}.*')
    console = Console()
    seed_everything(seed, verbose=False)
    write, data_module = MINIATURES[dataset]
    load = partial(data_module, root=output / 'data', batch_size=BATCH_SIZE, seed=seed)
    datamodule = load()
    title = f'Miniature {datamodule.dataset_class.title}'
    console.rule(title)
    write(output / 'data', seed=seed)
    datamodule.setup('test')
    spec = datamodule.scene_spec

    console.rule('Teacher: cloud-free optical and SAR images')
    options: dict[str, Any] = {
        'architecture': ARCHITECTURE,
        'lr': LEARNING_RATE,
        'schedule': 'cosine',
        'in_channels': (len(spec.optical_bands), len(spec.sar_bands)),
        'num_classes': spec.num_classes,
        'labels': list(spec.class_names),
    }
    teacher_task = CloudSegTeacherTask(**options)
    teacher = train(teacher_task, load, teacher_steps, output / 'teacher')

    console.rule('Student: cloudy optical and SAR images, taught by the teacher')
    # without ImageNet weights to start from, the teacher's save the student most of the way
    # and what clouds have changed is learnt sooner than how the image looks
    small: dict[str, Any] = {'init_from_teacher': True, 'residual': True}
    student_task = CloudSegStudentTask(teacher=str(teacher), **small, **options)
    student = train(student_task, load, student_steps, output / 'student')

    plain: dict[str, Any] = {'reconstruction_weight': 0.0, 'distillation_weight': 0.0}
    single = {}
    for name, modalities in SINGLE.items():
        console.rule(f'For comparison: {name}')
        rival = CloudSegStudentTask(modalities=modalities, **plain, **options)
        steps = teacher_steps + student_steps
        single[name] = train(rival, load, steps, output / modalities)

    console.rule('Test')
    runs: dict[str, CloudSegTask] = {
        'student, cloudy': CloudSegStudentTask.load_from_checkpoint(student),
        **{name: CloudSegStudentTask.load_from_checkpoint(file) for name, file in single.items()},
        'teacher, cloudy': CloudSegTeacherTask.load_from_checkpoint(teacher, image_key='image'),
        'teacher, cloud-free': CloudSegTeacherTask.load_from_checkpoint(teacher),
    }
    scores = {}
    for name, task in runs.items():
        (found,) = _trainer().test(task, datamodule=datamodule, verbose=False)
        scores[name] = {key.removeprefix('test_'): value for key, value in found.items()}
        stem = name.replace(', ', '-').replace(' ', '-')
        write_json(output / f'{stem}.json', scores[name])
        write_csv(output / f'{stem}.csv', scores[name])
    console.print(score_table(f'{title}: test scenes, per cent', scores))
    with replacing(output / 'demo.png') as draft:
        plt.imsave(draft, draw(runs['student, cloudy'], datamodule))
    console.print(f'Figure: {output / "demo.png"}; tables, checkpoints and data: {output}.')


def train(task: CloudSegTask, load: Loader, steps: int, folder: Path) -> Path:
    """Train a task and keep its last checkpoint, when the learning rate has come to 0.

    Args:
        task: teacher or student.
        load: makes a data module of the miniature data.
        steps: training steps.
        folder: folder for the checkpoints.

    Returns:
        the checkpoint.
    """
    epochs = min(EPOCHS, steps)
    length = steps // epochs * BATCH_SIZE
    last = ModelCheckpoint(folder, filename='last', enable_version_counter=False)
    trainer = _trainer(last, max_epochs=epochs, num_sanity_val_steps=0)
    trainer.fit(task, datamodule=load(patch_size=PATCH_SIZE, length=length, augment=True))
    return Path(last.best_model_path)


def _trainer(*callbacks: Callback, **options: Any) -> Trainer:
    """A trainer without what is of no use to who is watching."""
    told = watched()
    told['callbacks'] += callbacks
    return Trainer(devices=1, logger=False, enable_model_summary=False, **told, **options)


def score_table(title: str, scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Mean IoU by region and overall accuracy, one row per network.

    Args:
        title: title of the table.
        scores: metrics by region, by name of the network.

    Returns:
        the table, in per cent.
    """
    table = Table('network and image', title=title)
    columns = [*(f'{region}_mIoU' for region in REGION_TITLES), 'all_OA']
    for column in columns:
        region, _, score = column.partition('_')
        table.add_column(f'{score}\n{REGION_TITLES[region]}', justify='right')
    for name, values in scores.items():
        table.add_row(name, *(f'{100 * values[column]:.1f}' for column in columns))
    return table


@torch.no_grad()
def draw(task: CloudSegTask, datamodule: SceneDataModule) -> NDArray[np.uint8]:
    """Draw the test scenes of which clouds cover about half, and what a student makes of them.

    Args:
        task: the student.
        datamodule: the miniature data, set up for testing, one scene a batch.

    Returns:
        the picture (H, W, 4), one row per scene.
    """
    task.eval()
    scenes = [datamodule.on_after_batch_transfer(b, 0) for b in datamodule.test_dataloader()]
    scenes.sort(key=lambda scene: abs(float(scene['mask_cloud'].float().mean()) - 0.5))
    rows = []
    for scene in scenes[:SCENES_SHOWN]:
        height, width = scene['mask'].shape[-2:]
        logits, restored = task.slide_all(scene, (height, width), reconstruct=True)
        found = {'prediction': logits.argmax(dim=1), 'reconstruction': restored}
        sample = {key: value[0] for key, value in {**scene, **found}.items()}
        canvas: Any = FigureCanvasAgg(datamodule.plot(sample))
        canvas.draw()
        rows.append(np.asarray(canvas.buffer_rgba()))
    plt.close('all')
    return np.concatenate(rows)
