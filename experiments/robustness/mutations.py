"""Broken files through the commands: no traceback, no hang, and no map that differs without reason.

    python experiments/robustness/mutations.py --files 200 --seed 0
    python experiments/robustness/mutations.py --files 20 --processes

Files are mutated with a seed: bits flipped, parts cut off, doubled, blanked or replaced by noise;
text also by values of other types. A command may refuse a file by a message (exit status 1 or 2) or
use it. Where GDAL reads the same pixels and facts from a mutated image as from the whole one, the
map must be the same.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import random
import shutil
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import torch
from bench import start, write_inputs

#: Longest time that a command may take with a broken file, in seconds.
LIMIT_S = 120


class HangError(BaseException):
    """A command took too long."""


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_in_front(rng: random.Random, data: bytearray) -> None:
    """Headers stand in front, and facts at the end."""
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(400, len(data)))] = rng.randrange(256)


def flip_at_the_end(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 2, 4))):
        data[-1 - rng.randrange(min(2000, len(data)))] = rng.randrange(256)


def cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def blank(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    end = min(len(data), begin + rng.choice((4, 64, 4096)))
    data[begin:end] = bytes(rng.choice((0, 255)) for _ in range(end - begin))


def repeat(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    data[begin:begin] = data[begin : begin + rng.choice((1, 16, 512))]


def noise(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    data[begin : begin + 32] = rng.randbytes(32)


BYTES = (flip, flip, flip_in_front, flip_in_front, flip_at_the_end, cut, blank, repeat, noise)

#: What is put in the place of a value of a JSON file.
ODD: tuple[Any, ...] = (
    None, [], {}, '', 0, -1, 1e308, True, 'x' * 100_000, '\0', '../../x', ['a', ['b']], {'href': 1},
    'http://127.0.0.1:9/x.tif', '/dev/zero', float('nan'), '%20', '[red]', '\ud800', 10**400,
)  # fmt: skip


def mutate_json(rng: random.Random, data: bytearray) -> None:
    """Another value, or none, somewhere in the tree."""
    tree: Any = json.loads(data)
    if rng.random() < 0.1:
        data[:] = rng.choice(
            [b'[' * 100_000, b'{"a":' * 50_000, b'9' * 10_000, b'\xff\xfe{}', b'""']
        )
        return
    for _ in range(rng.choice((1, 1, 2))):
        node = tree
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = rng.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
                node = node[key]
                continue
            if rng.random() < 0.2:
                del node[key]
            else:
                node[key] = rng.choice(ODD)
            break
    data[:] = json.dumps(tree).encode('utf-8', 'surrogatepass')


def mutate_csv(rng: random.Random, data: bytearray) -> None:
    """Text that is no table."""
    at = rng.randrange(len(data))
    data[at:at] = rng.choice([
        b'\0', b'"', b'"' * 3, b',' * 50, b'\r', b'\n\n', b'x' * 200_000, b'\xff\xfe', b';', b'\t',
        b"'", b'#', b'\x1a', '\u2028'.encode(), b'/dev/zero,', b'[red]', b'..,',
    ])  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file, and the command that reads it."""

    #: Which of the inputs is mutated.
    key: str
    args: Callable[[dict[str, Path], Path, Path], list[str]]
    ways: tuple[Callable[[random.Random, bytearray], None], ...] = BYTES
    #: Whether a map is made of it.
    maps: bool = True


def _map(optical: Path, sar: Path, ckpt: Path, out: Path) -> list[str]:
    return [
        'map',
        f'--optical={optical}',
        f'--sar={sar}',
        f'--checkpoint={ckpt}',
        f'--output={out}',
    ]


def _listed(files: dict[str, Path], listing: Path, out: Path) -> list[str]:
    folder = out.with_suffix('')
    return ['map', f'--optical={listing}', f'--checkpoint={files["ckpt"]}', f'--output={folder}']


def _index(files: dict[str, Path], out: Path) -> list[str]:
    return ['index', str(files['data']), f'--index_dir={files["index"]}', f'--json={out}.json']


KINDS = {
    'GeoTIFF': Kind(
        'optical', lambda f, bad, out: _map(bad, f['sar'], f['ckpt'], out)
    ),
    'npy': Kind('npy', lambda f, _, out: _index(f, out), maps=False),
    'csv': Kind('csv', _listed, (*BYTES, mutate_csv, mutate_csv)),
    'STAC': Kind('stac', _listed, (flip, cut, *[mutate_json] * 8)),
    'ckpt': Kind('ckpt', lambda f, bad, out: _map(f['optical'], f['sar'], bad, out)),
    'parquet': Kind('parquet', lambda f, _, out: _index(f, out), maps=False),
}  # fmt: skip


def facts(path: Path) -> object:
    """Pixels and facts of an image as GDAL reads them; None where it does not."""
    try:
        with rasterio.open(path) as raster:
            pixels, masks = raster.read(), raster.read_masks()
            return (
                pixels.tobytes(), masks.tobytes(), raster.shape, raster.dtypes, raster.crs,
                tuple(raster.transform), raster.nodatavals, raster.colorinterp, raster.scales,
                raster.offsets, raster.gcps, raster.rpcs,
            )  # fmt: skip
    except Exception:  # whatever a damaged file leads to: the reference does not read it
        return None


def result(path: Path) -> object:
    """The map, or the report, for comparison."""
    if path.suffix == '.json':
        return json.loads(path.read_text())
    with rasterio.open(path) as raster:
        return raster.read().tobytes(), raster.crs, tuple(raster.transform)


def typed(args: list[str]) -> tuple[int | None, str]:
    """Run a command in this process: exit status (None for a traceback) and what it printed."""
    from torchgeo_cloudseg.cli import main

    printed = io.StringIO()
    faulthandler.dump_traceback_later(4 * LIMIT_S, exit=True)
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(LIMIT_S)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            main(args)
        status: int | None = 0
    except SystemExit as left:
        status = int(left.code or 0)
    except HangError:
        status = None
        printed.write(f'hangs: {"".join(traceback.format_exc())}')
    except BaseException:
        status = None
        printed.write(traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
    return status, printed.getvalue()


def typed_apart(args: list[str], work: Path) -> tuple[int | None, str]:
    """The same in a process of its own."""
    log = work / 'log.txt'
    log.write_text('')
    process = start(args, log, work)
    process.join(2 * LIMIT_S)
    if process.exitcode is None:
        process.kill()
        return None, f'hangs: {log.read_text()}'
    text = log.read_text(errors='replace')
    crashed = process.exitcode < 0 or 'Traceback' in text
    return None if crashed else process.exitcode, text


def trial(
    kind: Kind, files: dict[str, Path], work: Path, seed: str, apart: bool
) -> tuple[str, str]:
    """Mutate a file, run the command: outcome, and what is wrong."""
    rng = random.Random(seed)
    whole = files[kind.key]
    data = bytearray(whole.read_bytes())
    rng.choice(kind.ways)(rng, data)
    in_place = not kind.maps
    bad = whole if in_place else whole.with_name(f'mutated{whole.suffix}')
    original = whole.read_bytes()
    out = work / 'out' / 'map.tif'
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    try:
        bad.write_bytes(data)
        args = kind.args(files, bad, out)
        status, text = typed_apart(args, work) if apart else typed(args)
        if status is None:
            return 'fault', text[-3000:]
        same = kind.key == 'optical' and facts(bad) == facts(whole)
    finally:
        whole.write_bytes(original)
    if status not in (0, 1, 2):
        return 'fault', f'status {status}: {text}'
    if status and len(text) > 20_000:
        return 'fault', f'a message of {len(text)} characters: {text[:300]}'
    made = (
        out.with_name(f'{out.name}.json') if in_place else next(out.parent.rglob('*map.tif'), out)
    )
    if (status == 0 and (same or kind.key == 'parquet')) and result(made) != files['expected']:
        return 'fault', 'another map or report than that of the whole file'
    if status and kind.key == 'parquet':
        return 'fault', f'a damaged index is made anew, not refused: {text[-2000:]}'
    if status and same:
        return 'refused though whole', text[:300]
    return ('used' if status == 0 else 'refused'), ''


def trials(
    names: Sequence[str], numbers: Sequence[int], seed: int, work: Path, apart: bool = False
) -> Iterator[tuple[str, int, str, str]]:
    """Mutate files, and run the commands that read them.

    Args:
        names: kinds of files.
        numbers: which mutations of each kind.
        seed: seed of all of them.
        work: an empty folder.
        apart: run each command in a process of its own.

    Yields:
        kind, number, outcome and what is wrong.
    """
    files: dict[str, Any] = write_inputs(work / 'inputs', rows=200)
    files['index'] = work / 'index'
    for name in names:
        kind, out = KINDS[name], work / 'out' / 'map.tif'
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        files.setdefault('parquet', work)
        status, text = typed(kind.args(files, files[kind.key], out))
        assert status == 0, text
        files['parquet'] = next(files['index'].glob('*.parquet'), work)
        made = next(path for path in out.parent.rglob('*map.tif*') if path.suffix != '.xml')
        files['expected'] = result(made)
        for number in numbers:
            yield name, number, *trial(kind, files, work, f'{seed} {name} {number}', apart)


def _hang(*_: object) -> None:
    raise HangError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--files', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--kinds', nargs='*', default=list(KINDS))
    parser.add_argument('--only', type=int, help='one file, by its number')
    parser.add_argument('--processes', action='store_true', help='each in a process of its own')
    options = parser.parse_args()
    torch.set_num_threads(1)
    numbers = range(options.files) if options.only is None else [options.only]
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in options.kinds}
    with tempfile.TemporaryDirectory() as temporary:
        given = options.kinds, numbers, options.seed, Path(temporary), options.processes
        for name, number, outcome, text in trials(*given):
            outcomes[name][outcome] += 1
            if text:
                print(f'{name} {number}: {outcome}: {text}', flush=True)
            if number == numbers[-1]:
                print(f'{name}: {dict(outcomes[name])}', flush=True)
    wrong = sum(count['fault'] for count in outcomes.values())
    print(f'{wrong} went wrong')
    raise SystemExit(wrong > 0)


if __name__ == '__main__':
    main()
