"""Arguments of a task, those in a checkpoint, and those of who goes on from it."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import save_untrained
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask, load_network
from torchgeo_cloudseg.trainers.arguments import task_arguments

B0: dict[str, Any] = {'backbone': 'mit_b0'}
#: With one encoder of three, where that does not matter.
EARLY: dict[str, Any] = {**B0, 'modalities': 'early'}


class Subclass(CloudSegStudentTask):
    """A user's task, which takes whatever else there is."""

    def __init__(self, share: float = 0.5, **kwargs: Any) -> None:
        self.unknown = {name for name in kwargs if name.startswith('_')}
        super().__init__(**kwargs)


class Marker:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def arguments(path: Path) -> dict[str, Any]:
    return task_arguments(torch.load(path, weights_only=True))


def evaluate(task: Any, root: Path, ckpt_path: Path | str) -> None:
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, limit_val_batches=1
    )
    data = M3MCRDataModule(root=root, batch_size=1, patch_size=40)
    trainer.validate(task, data, ckpt_path=ckpt_path, verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('given', 'kept'),
    [
        ({'num_classes': np.int64(3)}, 3),
        ({'lr': np.float32(0.3)}, 0.3),
        ({'class_weights': np.ones(6, 'f4')}, [1.0] * 6),
        ({'class_weights': torch.ones(6)}, [1.0] * 6),
        ({'in_channels': (np.uint8(4), torch.tensor(1))}, (4, 1)),
        ({'teacher': Path('a') / 'b.ckpt'}, 'a/b.ckpt'),
        ({'labels': np.array(['a', 'b', 'c', 'd', 'e', 'f'])}, ['a', 'b', 'c', 'd', 'e', 'f']),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_arguments_become_plain(given: dict[str, Any], kept: Any, tmp_path: Path) -> None:
    path = save_untrained(CloudSegStudentTask(**EARLY, **given), tmp_path / 'a.ckpt')
    ((name, _),) = given.items()
    assert arguments(path)[name] == kept
    assert type(arguments(path)[name]) is type(kept)
    assert CloudSegStudentTask.load_from_checkpoint(path).hparams[name] == kept
    load_network(path)


def test_what_cannot_be_kept_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r'labels\[1\]: found a object'):
        CloudSegTeacherTask(**EARLY, labels=['a', object()], num_classes=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'window': 64}, 'stride=80 and window=64: expected 0 < stride <= window'),
        ({'window': 96, 'label_scale': 0.3}, 'Take a multiple of 10, such as 100'),
    ],
)
def test_windows_of_the_test_are_looked_at_when_training_begins(
    fit: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.warns(UserWarning, match=message):
        fit(CloudSegTeacherTask(**EARLY, **options), data={'patch_size': 40, 'length': 4})


def test_checkpoints_have_no_private_keys_and_load_subclasses(tmp_path: Path) -> None:
    path = save_untrained(Subclass(**EARLY, share=0.25, window=64), tmp_path / 'a.ckpt')
    content = torch.load(path, weights_only=True)
    assert not [name for name in content['hyper_parameters'] if name.startswith('_')]
    loaded = Subclass.load_from_checkpoint(path, stride=32)
    assert not loaded.unknown
    assert [loaded.hparams[name] for name in ('share', 'window', 'stride')] == [0.25, 64, 32]


@pytest.mark.slow
def test_network_comes_from_the_checkpoint(miniature: Path, tmp_path: Path) -> None:
    options = {'num_classes': 6, 'modalities': 'early', 'reconstruction_weight': 0.0}
    path = save_untrained(CloudSegStudentTask(**B0, **options, window=64), tmp_path / 'a.ckpt')
    task = CloudSegStudentTask(window=96)
    evaluate(task, miniature, path)
    assert task.model.config == load_network(path).config
    assert task.hparams['window'] == 96


@pytest.mark.slow
@pytest.mark.parametrize(
    'other', [{'backbone': 'mit_b1'}, {'in_channels': (4, 1)}, {'spatial_gate': False}, 'teacher']
)
def test_network_is_not_contradicted(other: Any, miniature: Path, tmp_path: Path) -> None:
    path = save_untrained(CloudSegStudentTask(**B0), tmp_path / 'a.ckpt')
    teacher = CloudSegTeacherTask(**B0, image_key='image')
    task = teacher if other == 'teacher' else CloudSegStudentTask(**B0 | other)
    named = 'spatial_gate' if other == 'teacher' else next(iter(other))
    with pytest.raises(ValueError, match=f'another network than the checkpoint holds.*{named}'):
        evaluate(task, miniature, path)


@pytest.mark.slow
@pytest.mark.parametrize('schedule', ['step', 'cosine', 'constant'])
def test_learning_rate_of_the_resumed_run_is_its_own(
    fit: Any, tmp_path: Path, schedule: Any
) -> None:
    def task(lr: float) -> CloudSegTeacherTask:
        return CloudSegTeacherTask(**EARLY, lr=lr, schedule=schedule)

    class Rates(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]['lr'])

    rates: list[float] = []
    every = ModelCheckpoint(tmp_path, save_top_k=-1, every_n_train_steps=1)
    small = {'data': {'patch_size': 40, 'length': 4}, 'limit_val_batches': 0, 'max_epochs': 3}
    fit(task(1e-3), callbacks=(Rates(), every), limit_train_batches=1, **small)
    whole = rates.copy()
    rates.clear()
    second = tmp_path / 'epoch=1-step=2.ckpt'
    fit(task(1e-5), callbacks=(Rates(),), limit_train_batches=1, ckpt_path=second, **small)
    assert rates == pytest.approx([whole[2] / 100])


@pytest.mark.parametrize('place', ['file', 'URL'])
def test_code_in_a_checkpoint_is_never_run(place: str, miniature: Path, tmp_path: Path) -> None:
    path, mark = tmp_path / 'hostile.ckpt', tmp_path / 'mark'
    torch.save({'state_dict': {}, 'hyper_parameters': {}, 'x': Marker(mark)}, path)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}/hostile.ckpt'
    try:
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            evaluate(CloudSegTeacherTask(**EARLY), miniature, path if place == 'file' else url)
    finally:
        server.shutdown()
    assert not mark.exists()


@pytest.mark.parametrize('argument', ['fusion', 'architecture'])
def test_a_checkpoint_imports_nothing(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / 'imported'
    (tmp_path / 'hostile.py').write_text(f'open({str(marker)!r}, "w").close()\nBlock = object\n')
    monkeypatch.syspath_prepend(tmp_path)
    path = save_untrained(CloudSegTeacherTask(weights=None, **EARLY), tmp_path / 'teacher.ckpt')
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['module_arguments'][argument] = 'hostile.Block'
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=f"{argument}: the checkpoint names 'hostile.Block'"):
        load_network(path)
    assert not marker.exists()
