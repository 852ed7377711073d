"""What the package did before its rooms were rebuilt holds: names, arguments, files, numbers.

`golden/record.py` made the recordings in `golden/recorded`. Things may be added to them: arguments,
hyperparameters, facts, products. Nothing recorded may vanish or change.
"""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import record
from golden.weights import golden_tensor
from lightning.pytorch import Trainer

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import load_mapper

#: Was a part of the data sets, and no room, when the recordings were made.
MOVED = {'torchgeo_cloudseg.datasets.miniature': 'torchgeo_cloudseg.miniature'}

#: Kept until 2026-12, and with them Lightning set a checkpoint's arguments over a user's.
DROPPED = ('_class_path', 'weights')

#: Spelled so in checkpoints until 2026-11.
RENAMED = {'class_colours': 'class_colors'}


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((record.FOLDER / f'{name}.json').read_text())
    return content


def plain(value: Any) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))


def differences(now: Any, then: Any, where: str = '') -> list[str]:
    """Where something recorded is missing or another; what is new is none."""
    if isinstance(then, dict) and 'values' in then:
        return [] if alike(now, then) else [f'{where}: {now} instead of {then}']
    if isinstance(then, dict) and isinstance(now, dict):
        missing = [f'{where}/{key}: missing' for key in then if key not in now]
        parts = (differences(now[key], then[key], f'{where}/{key}') for key in then if key in now)
        return missing + [found for part in parts for found in part]
    return [] if now == then else [f'{where}: {now!r} instead of {then!r}']


def alike(now: dict[str, Any], then: dict[str, Any]) -> bool:
    """Whether arrays differ by no more than processors do."""
    if (now['shape'], now['dtype']) != (then['shape'], then['dtype']):
        return False
    ours, theirs = (np.array(side['values'], float) for side in (now, then))
    close = np.isclose(ours, theirs, rtol=1e-5, atol=then['within'], equal_nan=True)
    # of two classes, or two neighbors, that are as good as each other another may win
    return bool(close.mean() > (0.97 if 'int' in then['dtype'] else 0.999999))


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record.write_data(tmp_path_factory.mktemp('recordings'))


@pytest.fixture(scope='module')
def trained(data: Path) -> dict[str, Path]:
    return record.train(data)


@pytest.fixture(scope='module', params=list(record.TASKS))
def old_checkpoint(request: pytest.FixtureRequest, trained: dict[str, Path], data: Path) -> Path:
    """A checkpoint as the recorded code wrote it, with golden weights."""
    then = recorded('checkpoints')[request.param]
    content = torch.load(trained[request.param], weights_only=True)
    assert set(then['keys']) <= set(content)
    content = {key: content[key] for key in then['keys']}
    content['hyper_parameters'] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in then['hyper_parameters'].items()
    }
    content['scene_spec'] = then['scene_spec']
    content['state_dict'] = {n: golden_tensor(n, shape) for n, shape in then['state_dict'].items()}
    path = data / f'old-{request.param}.ckpt'
    torch.save(content, path)
    return path


@pytest.mark.parametrize('room', recorded('public_names'))
def test_public_names_stay_importable(room: str) -> None:
    module = importlib.import_module(MOVED.get(room, room))
    with warnings.catch_warnings():
        # moved ones say so
        warnings.simplefilter('ignore', DeprecationWarning)
        missing = [name for name in recorded('public_names')[room] if not hasattr(module, name)]
    assert not missing


def test_arguments_stay(data: Path) -> None:
    now = record.arguments(data)
    for command, arguments in recorded('arguments').items():
        assert set(arguments) <= set(now[command]), command
        for name, default in arguments.items():
            # of several, which depend on a condition within the code, one is enough
            choices = (default, *default.split(', '))
            assert now[command][name] in choices, f'{command} --{name}'


@pytest.mark.slow
@pytest.mark.parametrize('kind', record.TASKS)
def test_checkpoints_hold_what_they_held(kind: str, trained: dict[str, Path]) -> None:
    then = recorded('checkpoints')[kind]
    content = torch.load(trained[kind], weights_only=True)
    # what those of before 2026-12 kept among the hyperparameters, apart from private keys
    arguments = {k: v for k, v in then['hyper_parameters'].items() if k not in DROPPED}
    # asked for by nobody, it is that of the data, below
    arguments['label_scale'] = None
    spec = {RENAMED.get(name, name): value for name, value in then['scene_spec'].items()}
    assert set(then['keys']) <= set(content)
    assert differences(plain(content['module_arguments']), arguments) == []
    assert content['hyper_parameters'] == {}
    assert differences(plain(content['scene_spec']), spec) == []
    # in this order, by which optimizers know them
    shapes = {name: list(value.shape) for name, value in content['state_dict'].items()}
    assert list(shapes.items()) == list(then['state_dict'].items())


def test_samplers_draw_the_same_patches(data: Path) -> None:
    assert differences(plain(record.patches(data)), recorded('patches')) == []


def test_samples_are_the_same(data: Path) -> None:
    assert differences(record.samples(data), recorded('samples')) == []


@pytest.mark.slow
def test_old_checkpoints_resume(old_checkpoint: Path, data: Path) -> None:
    module, _, name = torch.load(old_checkpoint, weights_only=True)['hyper_parameters'][
        '_class_path'
    ].rpartition('.')
    task_class = getattr(importlib.import_module(module), name)
    task = task_class.load_from_checkpoint(old_checkpoint)
    key, value = next(iter(task.state_dict().items()))
    torch.testing.assert_close(value, golden_tensor(key, value.shape), rtol=0, atol=0)
    trainer = Trainer(
        max_steps=3, accelerator='cpu', logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, limit_val_batches=0,
    )  # fmt: skip
    fresh = task_class(backbone='mit_b0')
    datamodule = M3MCRDataModule(root=data / 'm3mcr', batch_size=2, patch_size=80, length=4)
    trainer.fit(fresh, datamodule, ckpt_path=old_checkpoint, weights_only=True)
    # the first was before
    assert trainer.global_step == 3
    change = fresh.state_dict()[key] - golden_tensor(key, value.shape)
    assert 0 < change.abs().max() < 1e-3


@pytest.mark.slow
def test_old_checkpoints_are_understood_by_the_command_line(
    old_checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # arguments of the task, such as its encoder, come from the checkpoint
    task = record.TASKS[old_checkpoint.stem.removeprefix('old-')].__name__
    main(
        [
            'validate', f'--model={task}', f'--ckpt_path={old_checkpoint}',
            '--data=M3MCRDataModule', f'--data.root={data / "m3mcr"}',
            '--data.patch_size=80', '--data.batch_size=2',
            '--trainer.logger=false', '--trainer.accelerator=cpu',
        ]
    )  # fmt: skip


@pytest.mark.slow
def test_old_checkpoints_state_their_facts(old_checkpoint: Path) -> None:
    network, spec = load_mapper(old_checkpoint)
    assert network.config.encoder == 'mit_b0'
    assert spec.class_names[-1] == 'water'
    assert spec.class_colors[-1] == (0, 100, 200)


@pytest.mark.slow
@pytest.mark.parametrize('old_checkpoint', ['student'], indirect=True)
def test_old_checkpoints_map_the_same(old_checkpoint: Path, data: Path) -> None:
    assert differences(record.map_products(data, old_checkpoint), recorded('maps')) == []
