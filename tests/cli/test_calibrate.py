"""``cloudseg calibrate`` on miniature data: from a checkpoint to scores and maps."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from helpers import read, save_untrained
from matplotlib.image import imread

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.samplers import CenterSceneSampler
from torchgeo_cloudseg.trainers import CloudSegStudentTask, load_mapper


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained light student, much too sure of what it says."""
    torch.manual_seed(0)
    task = CloudSegStudentTask(architecture='lite', reconstruction_weight=0)
    task.scene_spec = M3MCR.published_spec(6)
    task.model.head.weight.data.mul_(100)
    return save_untrained(task, tmp_path_factory.mktemp('checkpoint') / 'lite.ckpt')


@pytest.mark.slow
def test_from_checkpoint_to_scores_and_maps(
    checkpoint: Path,
    miniature: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')
    data = [
        '--model=CloudSegStudentTask', '--data=M3MCRDataModule', f'--data.root={miniature}',
        '--trainer.accelerator=cpu', '--trainer.enable-progress-bar=false',
    ]  # fmt: skip
    output = tmp_path / 'calibrated.ckpt'
    calibrate = ['calibrate', *data, f'--ckpt-path={checkpoint}', f'--output={output}']
    main([*calibrate, '--coverage=0.85', '--opacity-edges=[0.12]'])
    printed = capsys.readouterr().out
    # all labeled pixels of the validation scenes, and no others
    dataset = M3MCR(miniature, 'val')
    labels = [dataset[query]['mask'] for query in CenterSceneSampler(dataset)]
    row = re.search(r'all +│ +(\d+) │ +│ +([\d.]+) │ +([\d.]+) ', printed)
    assert row is not None
    assert float(row[3]) < 0.8 * float(row[2])
    assert int(row[1]) == sum(int((mask != 255).sum()) for mask in labels)
    assert '85 % sets' in printed
    assert 'opacity 0.12 to 1' in printed
    assert {path.name for path in tmp_path.iterdir()} == {'calibrated.ckpt'}

    content = torch.load(output, weights_only=True)
    assert set(content) == {*torch.load(checkpoint, weights_only=True), 'calibration'}
    network, spec = load_mapper(output)
    known = network.calibration
    assert (known.coverage, known.edges) == (0.85, (0.12,))
    assert min(known.temperatures) > 1.5
    assert load_mapper(checkpoint)[0].calibration.thresholds == ()

    with pytest.raises(SystemExit):
        main(calibrate)
    assert 'exists already' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*calibrate[:-1], f'--output={checkpoint}', '--overwrite'])
    assert 'its own input' in capsys.readouterr().err

    scores = {}
    for name, path in {'before': checkpoint, 'after': output}.items():
        main(['test', *data, f'--ckpt-path={path}', f'--trainer.default-root-dir={name}'])
        (table,) = Path(name).rglob('test.json')
        scores[name] = json.loads(table.read_text())
    before, after = scores['before'], scores['after']
    assert after['all_mIoU'] == before['all_mIoU']
    assert after['all_ECE'] != before['all_ECE']
    assert 'all_coverage' not in before
    assert 0.5 < after['all_coverage'] <= 1 <= after['cloudy_set_size'] <= 6
    assert imread(table.with_name('test_reliability.png')).std() > 0.05
    with table.with_name('test_calibration.csv').open(newline='') as lines:
        rows = {row['pixels of']: row for row in csv.DictReader(lines)}
    assert float(rows['all pixels']['ECE']) == pytest.approx(after['all_ECE'], rel=1e-5)
    bins = [int(row['pixels']) for name, row in rows.items() if name.startswith('opacity')]
    assert sum(bins) == int(rows['all pixels']['pixels'])

    optical, sar = (
        next((miniature / 'test').glob(f'{kind}_*/*/*.tif')) for kind in ('planet_cloudy', 'S1')
    )
    main([
        'map', '--optical', str(optical), '--sar', str(sar), '--checkpoint', str(output),
        '--output', 'map.tif', '--products', 'confidence', 'sets',
    ])  # fmt: skip
    sets = read(Path('map_sets.tif'))
    assert sets.shape[0] == spec.num_classes + 1
    assert sets[-1].min() >= 1
