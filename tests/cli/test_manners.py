"""How commands are typed, helped with, completed and ended; what is settled before torch."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from torchgeo_cloudseg.cli import COMMANDS, LIGHTNING, completion, environment, main
from torchgeo_cloudseg.cli.configs import FOLDER, config_names, find_config
from torchgeo_cloudseg.cli.parsing import arguments, call, help_parser, with_underscores

Product = Literal['confidence', 'quicklook', 'probabilities']


@pytest.fixture
def typed() -> Callable[[str], dict[str, Any]]:
    """Parses a command line; what a function got."""
    got: dict[str, Any] = {}

    def command(
        source: Path,
        *,
        optical: list[str] | str,
        products: list[Product] | Product | None = None,
        resolution: Literal['label', 'optical'] | float = 'label',
        cover: float | tuple[float, float] | Literal['natural'] | None = None,
        optical_bands: list[int] | None = None,
        value_range: tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]] = (0, 1),
        facts: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Do nothing."""
        got.update(locals())

    def parse(line: str) -> dict[str, Any]:
        got.clear()
        call(command, 'cloudseg test', line.split())
        return {name: value for name, value in got.items() if name != 'got'}

    return parse


@pytest.mark.parametrize(
    ('line', 'name', 'value'),
    [
        ('--products confidence quicklook', 'products', ['confidence', 'quicklook']),
        ('--products [confidence,quicklook]', 'products', ['confidence', 'quicklook']),
        ('--products confidence', 'products', 'confidence'),
        ('--products=confidence', 'products', 'confidence'),
        ('--optical-bands 3', 'optical_bands', [3]),
        ('--optical_bands 3 2 1', 'optical_bands', [3, 2, 1]),
        ('--optical-bands=[3,2]', 'optical_bands', [3, 2]),
        ('--value-range -25.5 0', 'value_range', (-25.5, 0.0)),
        ('--value-range [[0,1],[2,3]]', 'value_range', ((0.0, 1.0), (2.0, 3.0))),
        ('--cover natural', 'cover', 'natural'),
        ('--cover 0.2 0.6', 'cover', (0.2, 0.6)),
        ('--cover 0.2', 'cover', 0.2),
        ('--resolution 20', 'resolution', 20.0),
        ('--facts.class-names [a,b]', 'facts', {'class_names': ['a', 'b']}),
        ('--dry-run', 'dry_run', True),
        ('--dry_run false', 'dry_run', False),
    ],
)
def test_values_as_people_type_them(
    typed: Callable[[str], dict[str, Any]], line: str, name: str, value: Any
) -> None:
    # what follows a list or a flag by its place is not taken for one of its values
    for whole in (f'in.tif --optical a.tif {line}', f'--optical=a.tif {line} --dry-run in.tif'):
        got = typed(whole)
        assert got[name] == value or name == 'dry_run'
        assert got['source'] == Path('in.tif')
    assert typed(f'in.tif --optical a.tif {line}')[name] == value


def test_texts_stay_texts(typed: Callable[[str], dict[str, Any]]) -> None:
    assert typed('in.tif --optical a.tif 5 true')['optical'] == ['a.tif', '5', 'true']
    assert typed('--cover 0.4 in.tif --optical *.tif')['source'] == Path('in.tif')


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('--products confidence quicklok', 'quicklok'),
        ('--products quicklok', "--products: found 'quicklok', expected {confidence,quicklook,"),
        ('--resolution wide', "--resolution: found 'wide', expected {label,optical} | NUMBER."),
        ('--optical-bands a', ', expected N ...'),
        ('--cover 1 2 3', '3'),
        ('--dry-run=maybe', "--dry-run: found 'maybe', expected true or false."),
        ('--prodcts quicklook', '--prodcts: there is no such option. Did you mean --products?'),
        ('--products', '--products: found no value'),
    ],
)
def test_typing_errors_are_told_in_words(
    typed: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    line: str,
    said: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        typed(f'in.tif --optical a.tif {line}')
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert not any(word in printed for word in ('Union', 'Literal', "<class '"))


def test_what_is_missing_is_named(
    typed: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for line, missing in (('in.tif', 'optical'), ('--optical a.tif', 'source')):
        with pytest.raises(SystemExit):
            typed(line)
        assert f'missing: {missing}' in capsys.readouterr().err


OWN = [name for name, command in COMMANDS.items() if command.function != LIGHTNING]


@pytest.mark.parametrize('name', COMMANDS)
def test_help_fits_a_terminal(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit) as stopped:
        main([name, '--help'])
    assert stopped.value.code == 0
    page = capsys.readouterr().out
    # a command may be longer, so that it can be copied
    lines = [line for line in page.partition('examples:')[0].splitlines() if '--' not in line]
    assert max(map(len, lines)) <= 80
    assert f'cloudseg {name}' in page.partition('examples:')[2]
    assert not any(word in page for word in ('Union', 'Literal', "<class '", 'null'))


def test_help_and_typing_errors_come_before_torch() -> None:
    """Torch and what builds upon it take seconds to import."""
    program = (
        'import sys\n'
        'from torchgeo_cloudseg.cli import COMMANDS, main\n'
        'for name in COMMANDS:\n'
        '    for line in ([name, "--help"], [name, "--unheard-of"]):\n'
        '        try:\n'
        '            main(line) if name in OWN or line[-1] == "--help" else None\n'
        '        except SystemExit:\n'
        '            pass\n'
        'slow = {"torch", "torchgeo", "lightning", "geopandas", "matplotlib"} & set(sys.modules)\n'
        'sys.exit(str(slow) if slow else 0)\n'
    ).replace('OWN', repr(OWN))
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', OWN)
def test_examples_can_be_typed(name: str) -> None:
    """Every option in the examples of a help page is one of the command."""
    function = _function(name)
    shown = help_parser(function, name).epilog or ''
    options = [word.partition('=')[0] for word in shown.split() if word.startswith('--')]
    known = {*arguments(function), 'config'}
    assert [o for o in options if o[2:].replace('-', '_').partition('.')[0] not in known] == []


def _function(name: str) -> Callable[..., object]:
    from pkgutil import resolve_name

    function: Callable[..., object] = resolve_name(
        f'torchgeo_cloudseg.cli.{COMMANDS[name].function}'
    )
    return function


def test_hyphens_stand_for_underscores() -> None:
    given = [
        '--ckpt-path',
        'my-net.ckpt',
        '--data.init-args.root=/a-b',
        '-h',
        '--trainer.max-epochs=1',
    ]
    assert with_underscores(given) == [
        '--ckpt_path', 'my-net.ckpt', '--data.init_args.root=/a-b', '-h', '--trainer.max_epochs=1',
    ]  # fmt: skip


def test_configurations_come_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = config_names()
    assert {'m3mcr/teacher.yaml', 'm3mcr/student.yaml', 'whuoptsar/student.yaml'} <= set(names)
    main(['configs'])
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)

    monkeypatch.chdir(tmp_path)
    assert find_config('m3mcr/teacher.yaml') == str(FOLDER / 'm3mcr/teacher.yaml')
    main(['configs', 'm3mcr', '--to', '.'])
    assert yaml.safe_load(Path('m3mcr/teacher.yaml').read_text())['trainer']
    # the user's own comes first, and is not lost
    assert find_config('m3mcr/teacher.yaml') == 'm3mcr/teacher.yaml'
    with pytest.raises(SystemExit) as stopped:
        main(['configs', 'm3mcr/teacher.yaml', '--to', '.'])
    assert stopped.value.code == 1
    assert '--overwrite' in capsys.readouterr().err


def test_shells_complete_what_can_be_typed() -> None:
    tree = completion.tree()
    (commands,) = (a for a in tree._actions if isinstance(a, argparse._SubParsersAction))
    assert list(commands.choices) == list(COMMANDS)
    for name in OWN:
        options = {option for a in commands.choices[name]._actions for option in a.option_strings}
        taken = arguments(_function(name))
        named = {entry.option for entry in taken.values() if entry.option in options}
        placed = {a.dest for a in commands.choices[name]._actions if not a.option_strings}
        assert len(named) + len(placed) == len(taken)


@pytest.mark.parametrize(
    ('typed', 'completed'),
    [
        ('cloudseg conf', 'configs'),
        ('cloudseg clouds --pre', '--preset'),
        ('cloudseg clouds --preset over', 'overcast'),
        ('cloudseg fit --config m3mcr/t', 'm3mcr/teacher.yaml'),
    ],
)
def test_bash_completes(typed: str, completed: str, tmp_path: Path) -> None:
    script = tmp_path / 'cloudseg.bash'
    import shtab

    script.write_text(shtab.complete(completion.tree(), 'bash'))
    words = typed.split()
    question = (
        f'source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; '
        f'_shtab_cloudseg cloudseg {words[-1]} {words[-2]}; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(['bash', '-c', question], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [completed], done.stderr


def test_version_tells_what_results_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(['--version'])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ('torch ', 'TorchGeo ', 'GDAL '))
    assert 'missing' not in printed


def test_threads_wait_without_work_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, 'cpus', lambda: 8)
    monkeypatch.setattr(environment, 'cpu_quota', lambda: 2.5)
    environ: dict[str, str] = {}
    environment.settle(environ)
    assert environ == {'OMP_WAIT_POLICY': 'passive', 'OMP_NUM_THREADS': '2'}
    users = {'GOMP_SPINCOUNT': '100', 'OMP_NUM_THREADS': '5'}
    environment.settle(users)
    assert users == {'GOMP_SPINCOUNT': '100', 'OMP_NUM_THREADS': '5'}


@pytest.mark.parametrize(
    ('files', 'membership', 'quota'),
    [
        ({'job/cpu.max': '150000 100000', 'cpu.max': 'max 100000'}, '0::/job', 1.5),
        # the least of a group and those above it
        ({'a/b/cpu.max': '400000 100000', 'a/cpu.max': '50000 100000'}, '0::/a/b', 0.5),
        # a container sees its own group as the root
        ({'cpu.max': '200000 100000'}, '0::/docker/1234', 2.0),
        ({'cpu.max': 'max 100000'}, '0::/', None),
        (
            {'cpu/job/cpu.cfs_quota_us': '300000', 'cpu/job/cpu.cfs_period_us': '100000'},
            '3:cpu,cpuacct:/job',
            3.0,
        ),
        ({'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000'}, '3:cpu:/', None),
        ({}, '0::/', None),
    ],
)
def test_quota_of_control_groups(
    files: dict[str, str], membership: str, quota: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / 'self').write_text(f'9:memory:/x\n{membership}\n')
    assert environment.cpu_quota(tmp_path, tmp_path / 'self') == quota
    assert environment.cpu_quota(tmp_path, tmp_path / 'none') is None


@pytest.mark.slow
def test_doctor(tmp_path: Path) -> None:
    environ = {**os.environ, 'OMP_WAIT_POLICY': 'active'}
    script = Path(sys.executable).with_name('cloudseg')
    done = subprocess.run(
        [script, 'doctor'], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith('ok     Python 3.')
    assert any(line.startswith('slow   threads spin') for line in lines)
    assert any('GFLOP/s' in line for line in lines)
