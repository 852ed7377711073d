"""Kill commands at random moments, run them again, and compare with a run that nobody killed.

    python experiments/robustness/kills.py --kills 20 --seed 0

After a kill there may be no half file; after another run there may be nothing that the first one
has left, and the files must be the same. Signals take turns: SIGKILL, SIGTERM, SIGINT; the exit
status after the latter two must be 143 and 130, and the last line of what was printed names them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio
import torch
from bench import start, write_inputs

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Trial:
    """A command whose runs are killed."""

    #: Makes its arguments, from the inputs and the folder that it may write to.
    args: Callable[[dict[str, Path], Path], list[str]]
    #: What is added to go on after a kill.
    again: Callable[[Path], list[str]] = lambda _: []


def fit_args(inputs: dict[str, Path], folder: Path) -> list[str]:
    return [
        'fit', '--model=CloudSegTeacherTask', '--model.backbone=mit_b0', '--model.weights=false',
        '--model.modalities=early', '--data=M3MCRDataModule', f'--data.root={inputs["data"]}',
        '--data.batch_size=1', '--data.patch_size=80', '--data.length=3', '--data.num_workers=0',
        '--trainer.max_epochs=2', '--trainer.accelerator=cpu', '--trainer.logger=false',
        '--trainer.enable_progress_bar=false', f'--trainer.default_root_dir={folder}',
    ]  # fmt: skip


def last_checkpoint(folder: Path) -> list[str]:
    # the best one is written first
    found = sorted(folder.rglob('last.ckpt')) or sorted(folder.rglob('best.ckpt'))
    return [f'--ckpt_path={found[0]}'] if found else []


TRIALS = {
    'map': Trial(
        lambda files, folder: [
            'map', f'--optical={files["optical"]}', f'--sar={files["sar"]}', '--batch_size=1',
            f'--checkpoint={files["ckpt"]}', f'--output={folder / "map.tif"}',
            '--products=[confidence,quicklook]',
        ],
        lambda _: ['--resume'],
    ),
    'clouds': Trial(
        lambda files, folder: [
            'clouds', str(files['optical']), str(folder / 'cloudy.tif'), '--block_size=64'
        ]
    ),
    'export': Trial(
        lambda files, folder: ['export', str(files['ckpt']), str(folder / 'teacher.pt2')]
    ),
    'convert': Trial(
        lambda files, folder: [
            'convert', str(files['ckpt']), str(folder / 'new.ckpt'), '--dataset=m3mcr'
        ]
    ),
    'index': Trial(
        lambda files, folder: [
            'index', str(files['data']), f'--index_dir={folder}', f'--json={folder / "report.json"}'
        ]
    ),
    'fit': Trial(fit_args, last_checkpoint),
}  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    """What is in a folder: a digest of each file, by its name."""
    return {
        str(path.relative_to(folder)): digest(path)
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def digest(path: Path) -> str:
    """Text that is the same for files that hold the same, and differs for a half one."""
    if path.name.startswith('.'):
        # drafts and locks: that they are there is what counts
        parts = [b'hidden']
    elif path.suffix == '.tif':
        with rasterio.open(path) as raster:
            parts = [raster.read().tobytes(), str(raster.tags()).encode()]
    elif path.suffix == '.ckpt':
        parts = [_plain(torch.load(path, weights_only=True)['state_dict'])]
    elif path.suffix == '.pt2':
        parts = [_plain(dict(torch.export.load(path).state_dict))]
    elif path.suffix in ('.yaml', '.parquet', '.csv'):
        # the time, or the names of folders, are in them
        parts = [path.suffix.encode()]
    else:
        parts = [path.read_bytes()]
    return hashlib.blake2b(b''.join(parts), digest_size=8).hexdigest()


def _plain(state: dict[str, torch.Tensor]) -> bytes:
    return b''.join(name.encode() + x.numpy().tobytes() for name, x in sorted(state.items()))


def run(args: list[str], folder: Path, log: Path, stop: tuple[signal.Signals, float] | None) -> int:
    """Run a command, and perhaps kill it; its exit status."""
    scratch = folder.with_name(f'{folder.name}-tmp')
    scratch.mkdir(exist_ok=True)
    process = start(args, log, folder, {'TMPDIR': str(scratch)})
    if stop is not None:
        while not log.exists() and process.is_alive():
            time.sleep(0.001)
        # from the moment on in which the command itself begins
        process.join(0.01 + stop[1])
        if process.exitcode is None and process.pid:
            os.kill(process.pid, stop[0])
    process.join()
    return process.exitcode or 0


def attempt(
    name: str, inputs: dict[str, Path], work: Path, expected: dict[str, str], rng: random.Random,
    duration_s: float, signum: signal.Signals,
) -> str:  # fmt: skip
    """Kill a run, run again, compare; what is wrong."""
    trial, folder, log = TRIALS[name], work / 'killed', work / 'killed.log'
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    folder.mkdir()
    args = trial.args(inputs, folder)
    status = run(args, folder, log, (signum, rng.uniform(0, duration_s)))
    printed = log.read_text()
    if 'Traceback' in printed:
        return f'{signum.name}: {printed}'
    if status not in (0, -signal.SIGKILL, 128 + signum):
        return f'{signum.name}: status {status}: {printed}'
    found = contents(folder)
    if name != 'fit':
        half = [file for file in expected if found.get(file, expected[file]) != expected[file]]
        if half:
            return f'{signum.name}: half of {half}'
        hidden = [file for file in found if file not in expected and '.parts/' not in file]
        if signum != signal.SIGKILL and hidden:
            return f'{signum.name}: left {hidden}'
    if status == 0:
        return ''
    status = run([*args, *trial.again(folder)], folder, log, None)
    if status and 'exists already' in log.read_text():
        # killed when everything was there
        status = run([*args, '--overwrite'], folder, log, None)
    if status:
        return f'again: status {status}: {log.read_text()}'
    found = contents(folder)
    if found != expected:
        differing = sorted(set(found.items()) ^ set(expected.items()))
        return f'{signum.name}: after the second run {differing}'
    return ''


def trials(
    names: Sequence[str], kills: int, seed: int, work: Path
) -> Iterator[tuple[str, int, str]]:
    """Kill commands, run them again, and compare.

    Args:
        names: the commands.
        kills: how often each of them is killed.
        seed: seed of the moments.
        work: an empty folder.

    Yields:
        command, number of the kill and what is wrong.
    """
    rng, inputs = random.Random(seed), write_inputs(work / 'inputs')
    for name in names:
        folder, took = work / 'whole', 0.0
        for _ in range(2):  # the first one imports
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            began = time.monotonic()
            status = run(TRIALS[name].args(inputs, folder), folder, work / 'whole.log', None)
            took = time.monotonic() - began
            assert status == 0, (work / 'whole.log').read_text()
        expected = contents(folder)
        for number in range(kills):
            signum = SIGNALS[number % len(SIGNALS)]
            yield name, number, attempt(name, inputs, work, expected, rng, took, signum)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--commands', nargs='*', default=list(TRIALS))
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        found = trials(options.commands, options.kills, options.seed, Path(temporary))
        for name, number, problem in found:
            wrong += bool(problem)
            if problem:
                print(f'{name}, kill {number}: {problem}', flush=True)
            if number == options.kills - 1:
                print(f'{name}: {options.kills} kills', flush=True)
    print(f'{wrong} went wrong')
    raise SystemExit(wrong > 0)


if __name__ == '__main__':
    main()
