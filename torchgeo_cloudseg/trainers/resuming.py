"""Tasks that are saved, and that go on from what was saved."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities import rank_zero_info

from ..datasets.scene_spec import spec_from_dict, spec_to_dict
from ..models import Calibration
from .arguments import (
    changes,
    contradictions,
    defaults,
    keep_arguments,
    refuse_contradictions,
    task_arguments,
)
from .checkpoint import CALIBRATION, SCENE_SPEC
from .checkpoint_io import SafeCheckpointIO, best_first, refuse_second_run, require_writable
from .evaluation import SceneEvaluationTask
from .schedules import ScheduledLR, by_steps, schedule_of


class ResumableTask(SceneEvaluationTask):
    """Abstract base of tasks whose checkpoints are whole, plain, and true of what they hold.

    What belongs to the network comes from a checkpoint; what belongs to the run does not.
    """

    def setup(self, stage: str) -> None:
        """Have checkpoints written complete or not at all, and read without running code.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.

        Raises:
            OSError: If a training could not write its checkpoints.
        """
        if (trainer := self._trainer) is None:
            return
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = SafeCheckpointIO()
        if stage == 'fit':
            best_first(trainer.callbacks)  # type: ignore[attr-defined]  # set by a connector
        if stage == 'fit' and trainer.is_global_zero:
            for callback in trainer.checkpoint_callbacks:
                if folder := getattr(callback, 'dirpath', None):
                    require_writable(folder)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the arguments, and what the network expects of a scene.

        Args:
            checkpoint: what is saved.
        """
        keep_arguments(checkpoint, self.hparams)
        if self.scene_spec is not None:
            checkpoint[SCENE_SPEC] = spec_to_dict(self.scene_spec)
        if self.model.calibration != Calibration():
            checkpoint[CALIBRATION] = asdict(self.model.calibration)
        if (trainer := self._trainer) is not None and trainer.validating:
            stopped = trainer.state.status == TrainerStatus.INTERRUPTED
            _validate_anew(checkpoint['loops'], stopped)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the network's architecture, and what it expects of a scene.

        What belongs to the run (learning rate, schedule, teacher, window, ...) is this task's.

        Args:
            checkpoint: what was saved.

        Raises:
            ValueError: If the task was made for another network.
        """
        if SCENE_SPEC in checkpoint:
            self.scene_spec = spec_from_dict(checkpoint[SCENE_SPEC])
        stored = task_arguments(checkpoint)
        if not stored:
            return
        self._take_architecture(stored)
        self.model.calibration = Calibration(**checkpoint.get(CALIBRATION, {}))
        if changed := changes(self.hparams, stored):
            rank_zero_info(f'Other arguments than in the checkpoint: {changed}.')
        # the rates of this run, at the step of the other
        steps = by_steps(self.hparams['schedule'], self.hparams['warmup_epochs'])
        for state in checkpoint.get('lr_schedulers', ()):
            if 'lr_lambdas' in state:
                at = checkpoint['global_step'] if steps else checkpoint['epoch']
                state['last_epoch'] = at if steps else min(at, state['last_epoch'])

    def _take_architecture(self, stored: Mapping[str, Any]) -> None:
        """Make the network that a checkpoint holds, where none was asked for."""
        differing = contradictions(self.hparams, stored)
        usual = defaults(type(self))
        mine, theirs = self.hparams.keys(), stored.keys()
        free = all(n in mine & theirs and self.hparams[n] == usual[n] for n in differing)
        trainer = self._trainer
        sharded = trainer is not None and trainer.strategy.restore_checkpoint_after_setup
        if sharded or not free:
            refuse_contradictions(self.hparams, stored, 'checkpoint')
        if differing:
            self.weights = None
            self.hparams.update({name: stored[name] for name in differing})
            self.configure_models()
            self.configure_losses()
            self.configure_metrics()

    def on_train_start(self) -> None:
        """Begin with this run's learning rates: a checkpoint brings those of the run before.

        Raises:
            MisconfigurationException: If the schedule needs an end that the training has not.
            FileExistsError: If an earlier training's checkpoint has the name of one of this run's.
        """
        # a quick try writes none
        trying: Any = getattr(self.trainer, 'fast_dev_run', False)
        if self.trainer.is_global_zero and not trying:
            for callback in self.trainer.checkpoint_callbacks:
                refuse_second_run(callback)
        # of other weights, another confidence is true
        self.model.calibration = Calibration()
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ScheduledLR):
                arguments = self.hparams['schedule'], self.hparams['warmup_epochs']
                config.scheduler.begin(schedule_of(self.trainer, *arguments))


def _validate_anew(loops: dict[str, Any], stopped: bool) -> None:
    """Have a validation in which a checkpoint is saved begin anew when training is resumed.

    Lightning goes on with the scenes that are left, or with the next epoch: the best checkpoint
    would be chosen by other scores than those of a run without interruption.

    Args:
        loops: counters of Lightning's loops, which are changed.
        stopped: whether the validation was stopped, maybe after its last scene; otherwise it is
            over when a callback saves after that.
    """
    scenes = loops['fit_loop']['epoch_loop.val_loop.batch_progress']
    done = scenes['is_last_batch'] and scenes['total']['completed'] == scenes['total']['ready']
    if done and not stopped:
        return
    for counts in (scenes['total'], scenes['current']):
        counts.update(ready=1, started=1, processed=0, completed=0)
    scenes['is_last_batch'] = False
