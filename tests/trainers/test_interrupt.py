"""Ctrl-C while Lightning trains."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import hear_ctrl_c
from lightning.pytorch import Callback, LightningModule, Trainer

from torchgeo_cloudseg.trainers import CloudSegTeacherTask, InterruptAfterStep


class CtrlC(Callback):
    """Presses Ctrl-C when the weights have changed and Lightning does not know of it yet."""

    def __init__(self, step: int, times: int = 1, signum: int = signal.SIGINT) -> None:
        self.step = step
        self.times = times
        self.signum = signum

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def press(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if trainer.global_step + 1 == self.step:
                for _ in range(self.times):
                    os.kill(os.getpid(), self.signum)

        trainer.optimizers[0].register_step_post_hook(press)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    previous = signal.getsignal(signal.SIGINT)
    hear_ctrl_c()
    yield
    signal.signal(signal.SIGINT, previous)


def task() -> CloudSegTeacherTask:
    torch.manual_seed(7)
    return CloudSegTeacherTask(backbone='mit_b0', modalities='early', lr=1e-3, image_key='image')


class CtrlCInValidation(Callback):
    """Presses Ctrl-C when an epoch has been trained and is being validated."""

    def __init__(self, batch: int = 0) -> None:
        self.batch = batch

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGINT)


class CtrlCAfterValidation(Callback):
    """Presses Ctrl-C when all has been seen and no score is known."""

    def on_validation_epoch_end(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)


class CtrlCBetween(Callback):
    """Presses Ctrl-C between the steps and validations of the first epoch, where no hook is."""

    def __init__(self, loop: str, method: str) -> None:
        self.loop, self.method = loop, method

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fit = trainer.fit_loop
        loop: Any = {'steps': fit.epoch_loop, 'epochs': fit}[self.loop]
        usual = getattr(loop, self.method)

        def pressed(*args: Any) -> None:
            if trainer.global_step == trainer.num_training_batches:
                setattr(loop, self.method, usual)
                os.kill(os.getpid(), signal.SIGINT)
            usual(*args)

        setattr(loop, self.method, pressed)


class Scores(Callback):
    """Validations by epoch: batches that were seen, and the score."""

    def __init__(self) -> None:
        self.batches = 0
        self.found: list[tuple[int, int, float]] = []

    def on_validation_start(self, *_: Any) -> None:
        self.batches = 0

    def on_validation_batch_end(self, *_: Any) -> None:
        self.batches += 1

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        score = round(float(trainer.callback_metrics['val_mIoU']), 6)
        self.found.append((trainer.current_epoch, self.batches, score))


# an epoch has four steps
@pytest.mark.slow
@pytest.mark.parametrize(
    ('step', 'press'),
    [(2, CtrlC(2)), (4, CtrlC(4)), (4, CtrlCInValidation())],
    ids=['within an epoch', "in an epoch's last step", 'in validation'],
)
def test_step_is_finished_first_and_losses_go_on(
    fit: Any, tmp_path: Path, step: int, press: Callback
) -> None:
    _, whole = fit(task(), max_epochs=2)
    shutil.rmtree(tmp_path / 'checkpoints')
    with pytest.raises(SystemExit):
        fit(task(), max_epochs=2, callbacks=(InterruptAfterStep(), press))
    last = torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
    assert last['global_step'] == step
    assert {int(s['step']) for s in last['optimizer_states'][0]['state'].values()} == {step}
    _, rest = fit(task(), max_epochs=2, ckpt_path=tmp_path / 'checkpoints/last.ckpt')
    assert rest == pytest.approx(whole[step:], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    'press',
    [
        CtrlC(8),
        CtrlC(8, signum=signal.SIGTERM),
        CtrlCInValidation(0),
        CtrlCInValidation(1),
        CtrlCAfterValidation(),
        CtrlCBetween('steps', 'on_advance_end'),
        CtrlCBetween('epochs', 'on_advance_end'),
        CtrlCBetween('epochs', 'on_advance_start'),
    ],
    ids=[
        'last step',
        'last step, SIGTERM',
        'first validation batch',
        'second one',
        'its end',
        'before validation',
        'after it',
        'between epochs',
    ],
)
@pytest.mark.parametrize(
    ('options', 'validations'),
    [({}, 2), ({'check_val_every_n_epoch': 2}, 1), ({'val_check_interval': 4}, 4)],
    ids=['epoch', 'two epochs', 'half an epoch'],
)
def test_validation_of_an_interrupted_epoch_is_whole(
    fit: Any, tmp_path: Path, press: Callback, options: dict[str, Any], validations: int
) -> None:
    whole, stopped, rest = Scores(), Scores(), Scores()
    options = {'max_epochs': 2, 'data': {'batch_size': 1}, **options}
    fit(task(), callbacks=(whole,), **options)
    assert [batches for _, batches, _ in whole.found] == [2] * validations
    shutil.rmtree(tmp_path / 'checkpoints')
    with pytest.raises(SystemExit):
        fit(task(), callbacks=(InterruptAfterStep(), press, stopped), **options)
    fit(task(), callbacks=(rest,), ckpt_path=tmp_path / 'checkpoints/last.ckpt', **options)
    assert stopped.found + rest.found == whole.found


@pytest.mark.slow
def test_processes_that_load_do_not_stop_first(
    fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A terminal's Ctrl-C goes to them, too, and one of them says so."""

    class Everybody(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 1:
                workers = multiprocessing.active_children()
                assert workers
                for process in (os.getpid(), *(worker.pid for worker in workers)):
                    os.kill(process, signal.SIGINT)

    data = {'num_workers': 1}
    with pytest.raises(SystemExit):
        fit(task(), max_epochs=2, data=data, callbacks=(InterruptAfterStep(), Everybody()))
    last = torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
    assert last['global_step'] == 2
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_second_one_does_not_wait(fit: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        fit(task(), callbacks=(InterruptAfterStep(), CtrlC(2, times=2)))
    last = torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
    assert last['global_step'] == 1


@pytest.mark.slow
def test_handlers_of_others_are_left_alone(fit: Any) -> None:
    pressed = []
    previous = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        _, losses = fit(task(), callbacks=(InterruptAfterStep(), CtrlC(2)))
    finally:
        signal.signal(signal.SIGINT, previous)
    assert pressed
    assert len(losses) == 4


@pytest.mark.slow
def test_added_up_gradients_are_used_first(fit: Any, tmp_path: Path) -> None:
    class Early(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.fit_loop.batch_idx == 0:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit):
        fit(task(), accumulate_grad_batches=2, callbacks=(InterruptAfterStep(), Early()))
    last = torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
    assert last['global_step'] == 1


@pytest.mark.slow
def test_nothing_is_left_behind(fit: Any, tmp_path: Path) -> None:
    fit(task(), callbacks=(InterruptAfterStep(),))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    class Fault(Callback):
        def on_before_backward(self, *_: Any) -> None:
            raise RuntimeError('out of memory')

    with pytest.raises(RuntimeError, match='out of memory'):
        fit(task(), callbacks=(InterruptAfterStep(), Fault()))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
