"""The runner of the comparison: cells, configurations, records, intervals."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.image import imread

from experiments.evidence import brightness, details, document, figures, rates, runner, tables
from experiments.evidence import cell as cell_module
from experiments.evidence.grid import GRID, RESULTS, Cell, cells, compose, merge, parse
from experiments.evidence.pictures import draw_scenes
from torchgeo_cloudseg.cli import lightning as command
from torchgeo_cloudseg.datasets import OMBRIA
from torchgeo_cloudseg.miniature import (
    write_miniature_m3mcr,
    write_miniature_ombria,
    write_miniature_whuoptsar,
)
from torchgeo_cloudseg.samplers import CenterSceneSampler
from torchgeo_cloudseg.transforms import MendWrapped

KEYS = ('image', 'mask_cloud')
write_floods = partial(write_miniature_ombria, places_per_event=2)
write_sheets = partial(write_miniature_whuoptsar, test_sheets=('NH49E001017',), progress=False)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'results'
    for module in ('grid', 'tables', 'details'):
        monkeypatch.setattr(f'experiments.evidence.{module}.RESULTS', folder)
    return folder


def record(cell: Cell, scenes: dict[str, list[int]]) -> dict:
    machine = dict.fromkeys(('processor', 'threads', 'torch', 'torchgeo', 'commit'), 'x')
    facts = {'steps': 10, 'seconds': 60, 'cpu_seconds': 30, 'parameters': 1e6, 'machine': machine}
    return {'cell': cell.name, **facts, 'scores': {'test': scenes}}


def write_scores(results: Path, better: float) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        hits = rng.integers(40, 60, 50)
        for variant, more in {'sar': 0, 'student': better}.items():
            found = {
                # clear: all dry and found; cloudy: dry, no false alarms, missed and found floods
                f's{i}': [100, 0, 0, 0, 100, 0, int(100 - hit - more), int(hit + more)]
                for i, hit in enumerate(hits)
            }
            cell = Cell('ombria', variant, seed)
            path = results / f'{cell.name}.json'
            cell_module.write_record(path, record(cell, found))
            assert json.loads(path.read_text())['scores']['test'] == found


def test_cells_come_seed_by_seed_and_by_pattern() -> None:
    seeds = [cell.seed for cell in cells([]) if cell.data == 'ombria']
    assert seeds == sorted(seeds)
    assert set(seeds) == set(range(5))
    assert {cell.name for cell in cells(['ombria/s*/1'])} >= {'ombria/sar/1', 'ombria/student/1'}
    assert cells(['ombria/student/17']) == [Cell('ombria', 'student', 17)]
    with pytest.raises(ValueError, match='nobody/student/0'):
        parse('nobody/student/0')


def test_configurations_are_composed(tmp_path: Path) -> None:
    made = compose(parse('ombria/student/2'), tmp_path, tmp_path, tmp_path / 'teacher.ckpt')
    arguments = made['model']['init_args']
    assert arguments['teacher'] == str(tmp_path / 'teacher.ckpt')
    assert arguments['in_channels'] == [6, 2]
    assert made['seed_everything'] == made['data']['init_args']['seed'] == 2
    assert 'clouds' not in made['data']['init_args']
    drawn = compose(parse('ombria/student-clouds/2'), tmp_path)
    assert drawn['data']['init_args']['clouds']['bands'] == [0, 1, 2]
    longer = compose(parse('ombria-long/teacher/0'), tmp_path)
    assert longer['trainer']['max_epochs'] == 4
    assert longer['data']['init_args']['clear_only']
    single = compose(parse('ombria/sar/0'), tmp_path)
    assert 'clouds' not in single['data']['init_args']
    assert 'spatial_gate' not in compose(parse('ombria/teacher/0'), tmp_path)['model']['init_args']
    assert merge({'a': {'b': 1, 'c': 2}}, {'a': {'b': None, 'd': 3}}) == {'a': {'c': 2, 'd': 3}}
    assert runner.overlay(['model.lr=0.1', 'model.b=x']) == {'model': {'lr': 0.1, 'b': 'x'}}


def test_ablations_are_held_against_what_they_leave_something_out_of(results: Path) -> None:
    for variant, hits in {'student': 90, 'student-clouds': 60, 'student-clouds-equal': 50}.items():
        scenes = {f's{i}': [100, 0, 0, 0, 100, 0, 100 - hits, hits] for i in range(4)}
        cell = Cell('ombria', variant, 0)
        cell_module.write_record(results / f'{cell.name}.json', record(cell, scenes))
    said = tables.verdicts('ombria')
    assert [line.partition(' is better by ')[2][:4] for line in said] == ['30.0', '10.0']
    assert 'the student, clouds in training is' in said[1]


def test_every_record_is_of_the_configuration_that_its_name_has_today(tmp_path: Path) -> None:
    files = sorted(RESULTS.glob('*/*/*.json'))
    assert len(files) > 100
    for file in files:
        found = json.loads(file.read_text())
        cell = parse(found['cell'])
        assert cell.result == file
        made = compose(cell, tmp_path, tmp_path, tmp_path if cell.teacher else None)
        assert found['config'] == cell_module.portable(made), cell.name


@pytest.mark.parametrize(('better', 'said'), [(0, 'not told apart'), (10, 'better by 10.0')])
def test_tables_and_figures_come_of_records_alone(
    results: Path, tmp_path: Path, better: int, said: str
) -> None:
    write_scores(results, better)
    assert tables.summary(tables.records('ombria')['sar'][0])['cloudy'] == pytest.approx(
        tables.counts_of(tables.records('ombria')['sar'][0])[:, 0, 1, 1].sum() / 5000, abs=1e-4
    )
    text = document.report()
    assert f'the student is {said}' in text
    found = tables.records('ombria')
    clouded, *_ = tables.difference(found, 'student', 'sar', 'IoU_flood', ['dry', 'flood'])
    # in every draw both see the same scenes and seeds
    assert clouded == pytest.approx((better / 100,) * 3)
    assert len(figures.draw(tmp_path)) == 2


def test_missing_inputs_are_held_against_specialists(results: Path) -> None:
    scenes = {f's{i}': [100, 0, 0, 0, 100, 0, 50, 50] for i in range(4)}
    worse = {name: [*counts[:6], 60, 40] for name, counts in scenes.items()}
    for variant, scores in {
        'lite': {'test_sar': worse, 'test_optical': worse},
        'lite-sar': {},
    }.items():
        cell = Cell('ombria', variant, 0)
        made = record(cell, scenes) | {'opacity_error': {'cloudy': 0.1, 'clear': 0.02, 'all': 0.04}}
        made['scores'] |= scores
        cell_module.write_record(results / f'{cell.name}.json', made)
    text = document.report()
    title = 'light network, without teacher, clouds in training'
    assert f'| {title} | SAR | 1 | 40.0 | -10.0 (-10.0 to -10.0) |' in text
    assert '| optical |' not in text  # nobody to hold it against
    assert f'| {title} | 1 | 10.0 | 2.0 | 4.0 |' in text


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_scores_are_told_by_the_brightness_of_clouds(results: Path, tmp_path: Path) -> None:
    root = write_miniature_ombria(tmp_path / 'floods', size_px=64, places_per_event=3)
    measured = brightness.measure(root=root)['scenes']
    dataset = OMBRIA(root, 'test')
    for query in CenterSceneSampler(dataset):
        sample = MendWrapped()({key: x[None] for key, x in dataset[query].items() if key in KEYS})
        seen = sample['image'][0, 0][sample['mask_cloud'][0] == 1] / 255
        assert (query.scene in measured) == bool(len(seen))
        if len(seen):
            assert measured[query.scene] == pytest.approx(float(seen.median()), abs=1e-3)
    clouds = {'scenes': {'s0': 0.1, 's1': 0.2, 's2': 0.3, 's3': 0.5}}
    (results / 'ombria' / 'clouds.json').write_text(json.dumps(clouds))
    found = {f's{i}': [9, 9, 9, 9, 10, 0, 100 - n, n] for i, n in enumerate((10, 20, 40, 90))}
    for data in ('ombria', 'ombria-long'):
        cell = Cell(data, 'sar', 0)
        cell_module.write_record(results / f'{cell.name}.json', record(cell, found))
        *_, row = details.brightness_table(data).splitlines()
        assert row == '| SAR only | 1 | 15.0 | 40.0 | 90.0 |'
    assert 'over 0.4 (1 scenes)' in document.report()
    assert details.brightness_table('m3mcr') == ''


def test_recorded_cells_are_skipped(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(results, 1)
    assert runner.run([Cell('ombria', 'sar', 0), Cell('ombria', 'student', 1)]) == 0
    assert capsys.readouterr().out == ''


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('data', 'variants', 'write', 'scenes'),
    [
        ('ombria', ('teacher', 'student', 'torchgeo', 'lite'), write_floods, '7 8 9 10'),
        (
            'paper-m3mcr',
            ('teacher', 'student-published'),
            partial(write_miniature_m3mcr, train_areas=2, test_areas=1, progress=False),
            'fall_1_p_1 fall_1_p_2 fall_1_p_3 fall_1_p_4',
        ),
        ('paper-whuoptsar', ('reconstruction-only',), write_sheets, 'NH49E001017'),
    ],
)
def test_every_data_set_runs_dry(
    data: str,
    variants: tuple[str, ...],
    write: Any,
    scenes: str,
    tmp_path: Path,
    results: Path,
) -> None:
    root = write(tmp_path / 'data')
    changes = merge(runner.DRY, {'data': {'init_args': {'length': 2, 'index_dir': str(tmp_path)}}})
    teacher: Path | None = None
    for variant in variants:
        cell, folder = Cell(data, variant, 0), tmp_path / variant
        taught = teacher if GRID['variants'][variant].get('teacher') else None
        made = cell_module.run_cell(cell, folder, root, taught, changes)
        teacher = teacher or folder / 'chosen.ckpt'
        assert made['steps'] == 1
        assert 'seed_everything' in yaml.safe_load((folder / 'cell.yaml').read_text())
        assert set(made['scores']['test']) == set(scenes.split())
        assert ('test_clear' in made['scores']) == (variant == 'teacher' and data != 'ombria')
        assert ('test_sar' in made['scores']) == (variant == 'lite')
        sums = {sum(counts) for counts in made['scores']['test'].values()}
        assert min(sums) > 0.9 * max(sums) > 0
    cell_module.write_record(cell.result, made)
    pictures = draw_scenes(cell, folder / 'chosen.ckpt', tmp_path / 'pictures', root)
    again = cell_module.score_checkpoint(cell, folder / 'chosen.ckpt', root)
    assert again == tables.summary(made)
    assert len({imread(picture).tobytes() for picture in pictures}) == min(3, len(scenes.split()))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('cell', cells(['*/*/0']), ids=lambda cell: cell.name)
def test_every_configuration_is_understood(cell: Cell, tmp_path: Path) -> None:
    teacher = tmp_path / 'teacher.ckpt' if cell.teacher else None
    path = tmp_path / 'cell.yaml'
    path.write_text(yaml.safe_dump(compose(cell, tmp_path, tmp_path, teacher)))
    with pytest.raises(SystemExit) as stop:
        command.run('fit', ['--config', str(path), '--print_config'])
    assert stop.value.code == 0


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_learning_rates_are_told_by_the_validation_fold(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    cell = Cell('ombria', 'early-clouds', 0)
    cell_module.write_record(results / f'{cell.name}.json', record(cell, {}) | {'steps': 3})
    root = write_floods(tmp_path / 'data')
    monkeypatch.setattr(rates, 'TRIED', (1e-3, 3e-3))
    monkeypatch.setattr(rates, 'VARIANTS', ('sar',))
    scored: list[set[str]] = []
    usual = rates.score

    def score(*args: Any, **kwargs: Any) -> Any:
        found = usual(*args, **kwargs)
        scored.append(set(found[0]))
        return found

    monkeypatch.setattr(rates, 'score', score)
    assert rates.search(root=root)['steps'] == 1
    data = cell_module.scored_data(cell, root)
    folds = {fold: set(data.make_dataset(fold).scene_names) for fold in ('val', 'test')}
    # those of the test have no say in it
    assert scored == [folds['val']] * 2
    assert not folds['val'] & folds['test']
    title, row = details.rates_table().splitlines()[::2]
    assert title == '| variant | 0.001 | 0.003 |'
    assert row.startswith('| SAR only |')
    # what is recorded is not tried again
    capsys.readouterr()
    rates.search(root=root)
    assert 'started' not in capsys.readouterr().out
