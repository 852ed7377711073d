"""Your own images in training: batches, and everything that is wrong with a declaration at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers import write
from rasterio.transform import from_origin

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datamodules import SceneFolderDataModule
from torchgeo_cloudseg.datasets import Division, Modality, ScenesError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight places of 40 px, the first half under real clouds."""
    rng = np.random.default_rng(0)
    for number in range(8):
        place = from_origin(500_000 + 2000 * number, 5e6, 10, 10)
        where = {'crs': 'EPSG:32632', 'transform': place}
        labels = rng.integers(0, 2, (1, 5, 5)).repeat(8, 1).repeat(8, 2)
        optical = (1000 + 2000 * labels + rng.integers(100, size=(3, 40, 40))).astype(np.uint16)
        radar = (-20 + 10 * labels + rng.normal(size=(1, 40, 40))).astype(np.float32)
        clouds = np.zeros((1, 40, 40), np.uint8)
        clouds[:, :20] = number < 4
        for kind, pixels in (
            ('o', optical),
            ('s', radar),
            ('l', labels.astype(np.uint8)),
            ('c', clouds),
        ):
            write(tmp_path / f'{kind}/{kind}_{number}.tif', pixels, **where)
    return tmp_path


def arguments(**changes: Any) -> dict[str, Any]:
    return {
        'batch_size': 2,
        'patch_size': 32,
        'image': Modality('o', bands=['R', 'G', 'B'], range=(0, 4000), nodata=0),
        'image_sar': Modality('s', bands=['VV'], range=(-30, 0)),
        'mask': Modality('l'),
        'classes': {'dry': 0, 'wet': 1},
        'division': Division(val=0.25, test=0.25),
        'index_dir': False,
        **changes,
    }


@pytest.mark.parametrize('keys', [('image', 'image_sar'), ('image',), ('image_sar',)])
def test_batches_of_what_there_is(root: Path, keys: tuple[str, ...]) -> None:
    left_out = dict.fromkeys({'image', 'image_sar'} - set(keys))
    data = SceneFolderDataModule(root=root, **arguments(**left_out))
    data.setup('fit')
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    for key in keys:
        assert batch[key].shape[-2:] == (32, 32)
        assert 0 <= batch[key].min() < batch[key].max() <= 1
    assert ('image_clear' in batch) == ('image' in keys)
    spec = data.scene_spec
    assert spec.class_names == ('dry', 'wet')
    assert data.plot({key: value[0] for key, value in batch.items() if key in keys}) is not None


def test_real_clouds_without_twins_hide_the_ground(root: Path) -> None:
    clouds = Modality('c')
    data = SceneFolderDataModule(root=root, **arguments(mask_cloud=clouds))
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(batch['mask_hidden'], batch['mask_cloud'])
    torch.testing.assert_close(batch['image_clear'], batch['image'])
    data = SceneFolderDataModule(root=root, **arguments(mask_cloud=clouds, clouds='thick'))
    data.setup('fit')
    for batch in data.train_dataloader():
        clear = batch['mask_cloud'].float().mean(dim=(1, 2)) == 0
        clouded = data.on_after_batch_transfer(batch, 0)
        changed = (clouded['image'] != clouded['image_clear']).flatten(1).any(dim=1)
        assert (changed == clear).all()


def test_everything_wrong_is_named_before_training(root: Path) -> None:
    write(root / 'o/o_1.tif', np.zeros((3, 40, 40), np.uint16), crs='EPSG:32632',
          transform=from_origin(502_000, 5e6, 10, 10))  # fmt: skip
    (root / 's/s_2.tif').unlink()
    changes = {
        'image': Modality('o', bands=['R', 'G', 'B'], range=(0, 1), nodata=0),
        'classes': {'dry': 0, 'wet': 1, 'ice': 7},
    }
    data = SceneFolderDataModule(root=root, **arguments(**changes))
    with pytest.raises(ScenesError) as caught:
        data.setup('fit')
    texts = [str(problem) for problem in caught.value.problems]
    for found, remedy in (
        ('o_2.tif: found no `image_sar` of the same name', 'incomplete: skip'),
        ('o_1.tif: found no data in any pixel', 'Leave it out'),
        ('100% of the sampled pixels of G beyond 0 to 1', 'Set `range` of `image` to [1'),
        ("no pixel of class 'ice' (codes 7)", 'remove it; there are 0, 1'),
    ):
        assert any(found in text and remedy in text for text in texts), found


def test_a_configuration_is_held_against_its_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = {
        'root': str(root),
        'image': {'files': 'o', 'bands': ['R', 'G', 'B', 'N'], 'range': [0, 4000]},
        'mask': {'files': 'l'},
        'classes': {'wet': [1]},
    }
    path = tmp_path / 'x.yaml'
    path.write_text(yaml.safe_dump({'data': {'init_args': declared}}))
    with pytest.raises(SystemExit):
        main(['inspect', str(path)])
    shown = capsys.readouterr().out
    assert '3 band(s) (in 8 of 8 files), expected 4 (R, G, B, N)' in shown
    assert 'label code 0, ' in shown
    declared['image'] = {'files': 'o', 'bands': ['R', 'G'], 'numbers': [1, 3], 'range': [0, 4000]}
    declared['unknown_codes'] = [0]
    path.write_text(yaml.safe_dump({'data': {'init_args': declared}}))
    main(['inspect', str(path)])
    assert 'fits its files' in capsys.readouterr().out
