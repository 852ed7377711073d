"""Networks in checkpoints: reading them without a task, and writing them as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..datasets.scene_spec import SceneSpec, spec_from_dict, spec_to_dict
from ..models import Calibration, Network
from ..models.weights import summary
from .arguments import ARGUMENTS, HYPERPARAMETERS, network_arguments, network_class, task_arguments
from .checkpoint_io import read_plain

#: Key of a checkpoint under which lies what the network expects of a scene.
SCENE_SPEC = 'scene_spec'

#: Key of a checkpoint under which lies by what the network's confidence is true.
CALIBRATION = 'calibration'

#: Facts of a scene: those that differ from data set to data set, and then those that have a usual
#: value.
FACTS = tuple(field.name for field in fields(SceneSpec))
USUAL = FACTS.index('optical_nodata')
WANTED, OPTIONAL = FACTS[:USUAL], FACTS[USUAL:]


#: What values of another kind than expected lead to: whoever wrote a checkpoint may have put in
#: anything.
MALFORMED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of one of our tasks, without unpickling code.

    Args:
        path: a file that Lightning wrote.

    Returns:
        its content, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint of a task of this package.
    """
    content: Any = read_plain(path)
    keys = set(content) if isinstance(content, dict) else set()
    if 'network' in keys:
        raise ValueError(
            f"{path}: found a file of the authors' code. Convert it first: "
            f'`cloudseg convert {path} {Path(path).stem}.ckpt`.'
        )
    if 'state_dict' not in keys or not keys & {ARGUMENTS, HYPERPARAMETERS}:
        raise ValueError(
            f'{path}: found {sorted(map(str, keys)) or type(content).__name__}, expected '
            f"'state_dict' and '{ARGUMENTS}', as tasks of this package write them."
        )
    return dict(content)


def load_network(path: str | Path) -> Network:
    """Load the network of a teacher's or student's checkpoint.

    Args:
        path: a file that Lightning wrote.

    Returns:
        the network, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint of a task of this package.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from torchgeo_cloudseg.trainers import CloudSegTeacherTask
        >>> trainer = Trainer(accelerator='cpu', logger=False)
        >>> trainer.strategy.connect(CloudSegTeacherTask(backbone='mit_b0'))
        >>> trainer.save_checkpoint(folder / 'teacher.ckpt', weights_only=True)
        >>> load_network(folder / 'teacher.ckpt').config.encoder
        'mit_b0'
    """
    return _network(path, read_checkpoint(path))


def build_network(arguments: Mapping[str, Any], **options: Any) -> Network:
    """Build the network that arguments of a task describe.

    Args:
        arguments: arguments of a task.
        **options: what is no part of the architecture, such as initial weights.

    Returns:
        the network.
    """
    return network_class(arguments)(**network_arguments(arguments), **options)


def _network(path: str | Path, checkpoint: dict[str, Any]) -> Network:
    try:
        parts = ((name.partition('.'), x) for name, x in checkpoint['state_dict'].items())
        network = build_network(task_arguments(checkpoint))
        network.load_state_dict({name: x for (part, _, name), x in parts if part == 'model'})
        network.calibration = Calibration(**checkpoint.get(CALIBRATION, {}))
    except MALFORMED as error:
        raise ValueError(f'{path}: no network of this package ({error}).') from error
    return network.eval()


def load_mapper(path: str | Path) -> tuple[Network, SceneSpec]:
    """Load a network and what it expects of a scene.

    Args:
        path: a file that Lightning wrote, or a folder of ``save_pretrained``.

    Returns:
        the network, on the CPU, in evaluation mode, and its facts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint of a task of this package, or does not state the facts.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.models import CloudSegNet
        >>> network = CloudSegNet('mit_b0')
        >>> network.scene_spec = M3MCR.published_spec(num_classes=6)
        >>> network.save_pretrained(folder)
        >>> network, spec = load_mapper(folder)
        >>> len(spec.class_names)
        6
    """
    if Path(path).is_dir():
        saved = Network.from_pretrained(path)
        if saved.scene_spec is None:
            raise ValueError(
                f'{path}: does not state what the network expects of a scene. Set its `scene_spec` '
                'before `save_pretrained`.'
            )
        return saved, saved.scene_spec
    checkpoint = read_checkpoint(path)
    if SCENE_SPEC not in checkpoint:
        raise ValueError(
            f'{path}: does not state what the network expects of a scene. Write a checkpoint that '
            f'does: `cloudseg convert {path} NEW.ckpt`, with --dataset NAME for a data set of this '
            f'package, else with {", ".join(f"--facts.{name}" for name in WANTED)} '
            f'(and, where they differ from the usual, {", ".join(OPTIONAL)}).'
        )
    try:
        spec = spec_from_dict(checkpoint[SCENE_SPEC])
    except MALFORMED as error:
        raise ValueError(f'{path}: states facts that make no sense ({summary(error)}).') from error
    return _network(path, checkpoint), spec


def scene_facts(
    hparams: Mapping[str, Any], stated: SceneSpec | None = None, **facts: Any
) -> SceneSpec:
    """What a network expects of a scene, from the facts of its data and its hyperparameters.

    Args:
        hparams: hyperparameters of its task, which know names, window and label grid better.
        stated: what the data set states.
        **facts: fields of a :class:`~torchgeo_cloudseg.datasets.SceneSpec` that are otherwise, or
            all of them where the data set states nothing.

    Returns:
        the facts.

    Raises:
        ValueError: if some are missing, unknown, or contradict the network.
    """
    own = {'window': hparams['window']}
    if hparams['label_scale'] is not None:
        own['label_scale'] = str(hparams['label_scale'])
    if hparams.get('labels'):
        own['class_names'] = hparams['labels']
    usual = {'label_scale': str(SceneSpec.label_scale)}
    values = {**usual, **({} if stated is None else spec_to_dict(stated)), **own, **facts}
    missing = [name for name in WANTED if name not in values]
    unknown = [name for name in facts if name not in (*WANTED, *OPTIONAL)]
    if missing or unknown:
        raise ValueError(f'facts: missing {missing}, unknown {unknown}. Give all of {WANTED}.')
    spec = spec_from_dict(values)
    found = (len(spec.optical_bands), len(spec.sar_bands)), spec.num_classes
    optical, sar = hparams['in_channels']
    # bands of an image that the network does not look at may be any
    seen = {'optical': (optical, found[0][1]), 'sar': (found[0][0], sar)}
    expected = (
        seen.get(hparams.get('modalities', 'both'), (optical, sar)),
        max(2, hparams['num_classes']),
    )
    if found != expected:
        raise ValueError(
            f'The data state (optical, SAR) bands and classes {found}, the network has {expected}. '
            'Set in_channels and num_classes to those of the data, or state other facts.'
        )
    return spec


def load_teacher(path: str | Path, student: Network, initial: bool = False) -> Network:
    """Load a frozen teacher and make sure that the student can learn from it.

    Args:
        path: checkpoint of a :class:`~torchgeo_cloudseg.trainers.CloudSegTeacherTask`.
        student: the network to be taught.
        initial: whether it is to start from the teacher's weights.

    Returns:
        the teacher, on the CPU, in evaluation mode, without gradients.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no teacher, or one of another architecture.
    """
    teacher = load_network(path)
    if teacher.config.reconstruct or teacher.config.spatial_gate:
        raise ValueError(
            f'{path}: found a student (spatial gates or a reconstruction branch), expected a '
            'teacher. Train one with CloudSegTeacherTask.'
        )
    names = ['encoder', 'in_channels', 'num_classes'] + ['modalities'] * initial
    pairs = [(n, getattr(teacher.config, n), getattr(student.config, n)) for n in names]
    pairs.append(('architecture', teacher.name, student.name))
    if differing := [f'{n}: teacher {t}, student {s}' for n, t, s in pairs if t != s]:
        raise ValueError(
            f'{path}: the teacher does not fit the student: {"; ".join(differing)}. Give both the '
            'same `architecture`, `backbone`, `in_channels` and `num_classes`, and to start from '
            'its weights the same `modalities`.'
        )
    return teacher.requires_grad_(False)
