"""What a task needs of a batch, what it refuses, and what it trains."""

from __future__ import annotations

import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.datasets import SceneSpec
from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.models.weights import adapt_first_weight
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask, load_mapper
from torchgeo_cloudseg.trainers.checkpoint import scene_facts

SMALL: dict[str, Any] = {'backbone': 'mit_b0', 'label_scale': 1.0, 'window': 32, 'stride': 32}
#: With one encoder of three, where that does not matter.
LIGHT: dict[str, Any] = {**SMALL, 'modalities': 'early'}
QUIET: dict[str, Any] = {
    'accelerator': 'cpu',
    'logger': False,
    'enable_checkpointing': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
    'num_sanity_val_steps': 0,
    'max_epochs': 1,
}


def samples(count: int = 2, classes: int = 6) -> list[dict[str, Tensor]]:
    """Random samples under the sample contract, labels on the images' grid."""
    g = torch.Generator().manual_seed(0)
    channels = {'image': 4, 'image_clear': 4, 'image_sar': 2}
    return [
        {key: torch.rand(c, 32, 32, generator=g) for key, c in channels.items()}
        | {'mask_cloud': torch.randint(2, (32, 32), generator=g)}
        | {'mask': torch.randint(classes, (32, 32), generator=g)}
        for _ in range(count)
    ]


def without(*keys: str) -> list[dict[str, Tensor]]:
    return [{k: v for k, v in sample.items() if k not in keys} for sample in samples()]


def fit(task: LightningModule, data: list[Any], **options: Any) -> Trainer:
    trainer = Trainer(**QUIET | options)
    loader = DataLoader(data, batch_size=2)
    trainer.fit(task, loader, loader)
    return trainer


@pytest.mark.slow
def test_a_network_without_sar_asks_for_none(teacher_file: Path) -> None:
    task = CloudSegStudentTask(**SMALL, modalities='optical')
    trainer = fit(task, without('image_sar'))
    (scores,) = trainer.test(task, DataLoader(without('image_sar'), 2), verbose=False)
    assert scores['test_mIoU'] >= 0
    spec = SceneSpec(('a',) * 6, ((0, 0, 0),) * 6, sar_bands=(1,), sar_range=((-25,), (0,)))
    assert scene_facts(task.hparams, spec).sar_bands == (1,)
    with pytest.raises(ValueError, match='the network has'):
        scene_facts({**task.hparams, 'modalities': 'both'}, spec)
    # its teacher may look at both
    with pytest.raises(KeyError, match='image_sar'):
        fit(
            CloudSegStudentTask(str(teacher_file), **SMALL, modalities='optical'),
            without('image_sar'),
        )


@pytest.mark.slow
@pytest.mark.parametrize('modalities', ['image', 'image_sar'])
def test_datamodule_and_plots_without_the_other(
    modalities: str, miniature: Path, tmp_path: Path
) -> None:
    kind = modalities.removeprefix('image_').replace('image', 'optical')
    data = M3MCRDataModule(
        root=miniature, batch_size=2, patch_size=40, length=2, modalities=(modalities, 'mask')
    )
    task = CloudSegStudentTask(
        **SMALL | {'label_scale': 0.3}, modalities=kind, reconstruction_weight=0
    )  # type: ignore[arg-type]  # the argument of a test is a plain string
    trainer = Trainer(**QUIET | {'logger': True, 'default_root_dir': tmp_path})
    trainer.fit(task, data)
    assert task.figures > 0
    assert task.scene_spec is not None


def test_batch_without_clouds_counts_as_clear() -> None:
    trainer = fit(CloudSegStudentTask(**LIGHT), without('mask_cloud'))
    assert 'val_clear_OA' in trainer.callback_metrics
    assert 'val_cloudy_OA' not in trainer.callback_metrics


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    data = [sample | {'mask': sample['mask'].to(dtype)} for sample in samples()]
    trainer = fit(CloudSegTeacherTask(**LIGHT), data)
    expected = fit(CloudSegTeacherTask(**LIGHT), samples())
    names = set(trainer.callback_metrics)
    assert names == set(expected.callback_metrics)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('mask', torch.tensor(6), r"batch 0, 'mask': found labels \[6\], expected 0..5, or 255"),
        ('mask', torch.tensor(-1), r'found labels \[-1\]'),
        ('mask', torch.tensor(0.5), 'expected whole numbers'),
        ('image', torch.tensor(3.0), r"batch 0, 'image': found values from .* to 3, expected 0..1"),
        ('image_sar', torch.tensor(-20.0), "'image_sar': found values from -20"),
        ('image_clear', torch.tensor(float('nan')), r'NaN or infinite, in samples \[1\]'),
        ('image', torch.tensor(float('inf')), 'NaN or infinite'),
        ('mask_cloud', torch.tensor(255), "'mask_cloud': found values from 0 to 255"),
    ],
)
def test_what_would_end_in_nan_is_refused(key: str, value: Tensor, message: str) -> None:
    data = samples()
    changed = data[1][key].to(torch.promote_types(data[1][key].dtype, value.dtype)).clone()
    changed[..., 3, 4] = value
    data[1][key] = changed
    if key == 'mask':
        data[0][key] = data[0][key].to(changed.dtype)
    with pytest.raises(ValueError, match=message):
        fit(CloudSegStudentTask(**LIGHT), data)


@pytest.mark.slow
@pytest.mark.parametrize(('which', 'refused'), [('first', False), ('all', True), ('none', False)])
def test_later_batches_are_checked_on_request(which: Any, refused: bool) -> None:
    data = samples(4)
    data[3]['image_sar'] = data[3]['image_sar'] + 5
    task = CloudSegTeacherTask(**LIGHT, check_batches=which)
    if refused:
        with pytest.raises(ValueError, match=r"training batch 1, 'image_sar'"):
            fit(task, data)
    else:
        fit(task, data)


def test_labels_that_do_not_cover_the_patch_are_said() -> None:
    with pytest.warns(UserWarning, match=r'32 x 32 labels .* label_scale=0.3 gives 10 x 10'):
        fit(CloudSegTeacherTask(**LIGHT | {'label_scale': 0.3}), samples())


@pytest.mark.slow
def test_the_label_grid_is_that_of_the_data(miniature: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {k: v for k, v in LIGHT.items() if k != 'label_scale'}

    class Finer(M3MCRDataModule):
        @property
        def scene_spec(self) -> SceneSpec:
            return replace(super().scene_spec, label_scale=Fraction(1, 2))

    def trained(**given: float) -> tuple[CloudSegTeacherTask, Fraction]:
        path = tmp_path / 'a.ckpt'
        trainer = Trainer(**QUIET | {'default_root_dir': tmp_path})
        data = Finer(root=miniature, batch_size=2, patch_size=40, length=2)
        trainer.fit(CloudSegTeacherTask(**small, **given), data)
        trainer.save_checkpoint(path)
        return CloudSegTeacherTask.load_from_checkpoint(path), load_mapper(path)[1].label_scale

    batch = {'image_clear': torch.rand(1, 4, 64, 64), 'image_sar': torch.rand(1, 2, 64, 64)}
    for given, scale in (({}, Fraction(1, 2)), ({'label_scale': 0.25}, Fraction(1, 4))):
        task, mapped = trained(**given)
        assert mapped == scale
        probabilities = task.predict_step(batch, 0)['probabilities']
        assert probabilities.shape[-1] == 64 * scale


@pytest.mark.slow
@pytest.mark.parametrize('num_classes', [1, 2])
def test_two_classes(num_classes: int, tmp_path: Path) -> None:
    data = samples(classes=2)
    data[0]['mask'][:9] = 255
    task = CloudSegTeacherTask(**LIGHT, num_classes=num_classes, loss='bce')
    spec = SceneSpec(('dry', 'wet'), ((9, 9, 9), (0, 0, 99)), label_scale=1)
    task.scene_spec = scene_facts(task.hparams, spec)
    trainer = fit(task, data)
    (scores,) = trainer.test(task, DataLoader(data, 2), verbose=False)
    assert {'test_all_IoU_dry', 'test_all_IoU_wet'} <= {*scores}
    assert 0 < scores['test_all_OA'] < 1
    trainer.save_checkpoint(tmp_path / 'two.ckpt')
    network, facts = load_mapper(tmp_path / 'two.ckpt')
    assert network.head.out_channels == num_classes
    optical, sar = torch.rand(1, 4, 32, 32), torch.rand(1, 2, 32, 32)
    logits = network(optical, sar).logits
    assert logits.shape[1] == facts.num_classes == 2
    mask = torch.randint(2, (1, 32, 32))
    expected = binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], mask.float())
    torch.testing.assert_close(task.eval().criterion(logits, mask), expected)


def test_tables_name_the_classes_of_the_data(miniature: Path, tmp_path: Path) -> None:
    task = CloudSegTeacherTask(**LIGHT | {'label_scale': 0.3})
    data = M3MCRDataModule(root=miniature, batch_size=2, patch_size=40, length=2)
    trainer = Trainer(**QUIET | {'default_root_dir': tmp_path})
    trainer.fit(task, data)
    assert any(name.startswith('val_all_IoU_forest') for name in trainer.callback_metrics)
    assert task.hparams['labels'] is None
    mine = CloudSegTeacherTask(**LIGHT | {'label_scale': 0.3}, labels=[*'abcdef'])
    trainer = Trainer(**QUIET | {'default_root_dir': tmp_path})
    trainer.validate(mine, data, verbose=False)
    assert not [name for name in trainer.callback_metrics if 'forest' in name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'trained'),
    [
        ({'freeze_backbone': True}, {'decoder', 'head', 'reconstruction'}),
        (
            {'freeze_decoder': True},
            {
                'optical_encoder',
                'sar_encoder',
                'cross_encoder',
                'fusions',
                'head',
                'reconstruction',
            },
        ),
        ({'freeze_backbone': True, 'freeze_decoder': True}, {'head', 'reconstruction'}),
        ({'freeze_backbone': True, 'modalities': 'early'}, {'decoder', 'head', 'reconstruction'}),
    ],
)
def test_frozen_parts_stay(options: dict[str, Any], trained: set[str]) -> None:
    task = CloudSegStudentTask(**SMALL, **options)
    before = {name: p.clone() for name, p in task.model.named_parameters()}
    fit(task, samples(), max_epochs=2)
    changed = {n for n, p in task.model.named_parameters() if not torch.equal(p, before[n])}
    assert {name.split('.')[0] for name in changed} == trained
    if options.get('freeze_decoder'):
        assert not [name for name in changed if name.startswith(('decoder', 'reconstruction.dec'))]


@pytest.mark.slow
def test_backbone_finetuning() -> None:
    class Look(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            parts.append(values(pl_module.backbone))

    def values(backbone: nn.Module) -> list[Tensor]:
        """All but batch norms, which the callback trains from the start."""
        modules = (m for m in backbone.modules() if not isinstance(m, nn.BatchNorm2d))
        return [p.detach().clone() for m in modules for p in m.parameters(recurse=False)]

    parts: list[list[Tensor]] = []
    task = CloudSegStudentTask(**SMALL, lr=1e-3)
    first = values(task.backbone)
    callbacks = [BackboneFinetuning(unfreeze_backbone_at_epoch=1), Look()]
    trainer = fit(task, samples(), max_epochs=3, callbacks=callbacks)
    assert all(torch.equal(a, b) for a, b in zip(first, parts[0], strict=True))
    assert sum(not torch.equal(a, b) for a, b in zip(first, parts[2], strict=True)) > 100
    assert len(trainer.optimizers[0].param_groups) == 2
    # the backbone's rate is the callback's, not the schedule's
    assert trainer.optimizers[0].param_groups[1]['lr'] < 1e-3


def test_layers_have_rates_of_their_own() -> None:
    task = CloudSegStudentTask(**SMALL, lr=1e-3, layer_decay=0.5)
    trainer = fit(task, samples())
    groups = trainer.optimizers[0].param_groups
    assert [g['lr'] for g in groups] == pytest.approx([1e-3 * 0.5**k for k in (0, 4, 3, 2, 1)])
    assert sum(len(g['params']) for g in groups) == len([*task.model.parameters()])
    stem = next(task.model.optical_encoder.stages[0].parameters())
    assert any(stem is p for p in groups[1]['params'])


def test_initial_values_are_the_authors() -> None:
    torch.manual_seed(0)
    first, last = CloudSegNet('mit_b0').reconstruction.head  # type: ignore[union-attr]  # there is one
    for convolution in (first, last):
        bound = (convolution.in_channels * 9) ** -0.5
        assert float(convolution.weight.abs().max()) == pytest.approx(bound, rel=0.02)
        assert 0 < float(convolution.bias.abs().max()) <= bound


def test_one_band_is_the_sum_of_three() -> None:
    weight = torch.rand(8, 3, 7, 7)
    gray = torch.rand(2, 1, 9, 9)
    adapted = adapt_first_weight(weight, 1)
    torch.testing.assert_close(
        torch.conv2d(gray, adapted), torch.conv2d(gray.expand(-1, 3, -1, -1), weight)
    )


@pytest.mark.slow
def test_scores_reach_a_logger_without_pictures(miniature: Path, tmp_path: Path) -> None:
    class Broken(M3MCRDataModule):
        def plot(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError('no band to show')

    data = {'root': miniature, 'batch_size': 2, 'patch_size': 40, 'length': 2}
    task = CloudSegTeacherTask(**LIGHT | {'label_scale': 0.3})
    plain = CSVLogger(tmp_path)
    fit_with = Trainer(**QUIET | {'logger': plain, 'log_every_n_steps': 1})
    fit_with.fit(task, M3MCRDataModule(**data))
    with (Path(plain.log_dir) / 'metrics.csv').open(newline='') as lines:
        assert 'val_mIoU' in next(csv.reader(lines))
    both = [CSVLogger(tmp_path), TensorBoardLogger(tmp_path)]
    with pytest.warns(UserWarning, match='No more figures.*no band to show'):
        Trainer(**QUIET | {'logger': both}).fit(task, Broken(**data))
