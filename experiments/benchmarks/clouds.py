"""Time and peak memory of synthetic clouds, against SatelliteCloudGenerator 0.4 where installed.

    python experiments/benchmarks/clouds.py

The peer is optional; install it into a folder of its own and pass the folder:

    pip install --no-deps --target /tmp/peer satellite-cloud-generator==0.4 imageio
    python experiments/benchmarks/clouds.py --peer /tmp/peer

Images are 4 x 256 x 256 float32; every call makes new clouds, shadows and a mask. Candidates take
turns, so that other work on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from machine import write_figures

from torchgeo_cloudseg.transforms import SyntheticClouds

BANDS, SIZE = 4, 256
OURS, FAST_PEER, PEER = 'SyntheticClouds', 'peer without blur', 'peer as it comes'

#: Calls in a row. The first ones after another candidate are slower, as caches hold its data; in
#: training, they follow one another.
REPEATS = {OURS: 20, FAST_PEER: 20, PEER: 1}


def candidates(batch: int, peer: Path | None) -> dict[str, Callable[[], object]]:
    """Functions without arguments, by name."""
    image = torch.rand(batch, BANDS, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.4
    clouds = SyntheticClouds('broken', layers=('alpha', 'shadow'))
    chosen: dict[str, Callable[[], object]] = {OURS: lambda: clouds({'image': image})}
    if peer is not None:
        sys.path.append(str(peer))
    warnings.simplefilter('ignore')
    try:
        from satellite_cloud_generator import add_cloud_and_shadow
    except ModuleNotFoundError as error:
        print(f'peer not measured: {error}; see the head of this file', file=sys.stderr)
        return chosen
    chosen[FAST_PEER] = lambda: add_cloud_and_shadow(image, blur_scaling=0.0, return_cloud=True)
    chosen[PEER] = lambda: add_cloud_and_shadow(image, return_cloud=True)
    return chosen


def seconds(batch: int, threads: int, peer: Path | None, rounds: int) -> dict[str, list[float]]:
    """Wall-clock seconds per image."""
    torch.set_num_threads(threads)
    times: dict[str, list[float]] = {}
    functions = candidates(batch, peer)
    for number in range(rounds + 1):
        for name, function in functions.items():
            if name == PEER and number > max(2, rounds // 6):
                continue
            for _ in range(REPEATS[name]):
                start = time.perf_counter()
                function()
                if number:  # the first round warms up
                    times.setdefault(name, []).append((time.perf_counter() - start) / batch)
    return times


def _grow(name: str, batch: int, peer: Path | None, queue: multiprocessing.Queue[float]) -> None:
    torch.set_num_threads(1)
    small, large = candidates(1, peer)[name], candidates(batch, peer)[name]
    small()
    # the peak so far is that of importing the packages: start anew
    Path('/proc/self/clear_refs').write_text('5')
    before = peak_mib()
    large()
    queue.put(peak_mib() - before)


def peak_mib() -> float:
    """Peak memory of this process (Linux), in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('VmHWM:')).split()[1]) / 1024


def memory(name: str, batch: int, peer: Path | None) -> float:
    """Growth of the peak memory of a fresh process, in MiB."""
    context = multiprocessing.get_context('spawn')
    queue: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=_grow, args=(name, batch, peer, queue))
    process.start()
    growth = queue.get()
    process.join()
    return growth


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--peer', type=Path, help='folder with satellite-cloud-generator 0.4')
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--output', type=Path, help='JSON file for the figures')
    arguments = parser.parse_args()
    rows = []
    print(f'{"batch":>5} {"threads":>7}  {"":18} {"median ms":>9} {"best ms":>8} {"slower":>7}')
    for batch in arguments.batch:
        for threads in arguments.threads:
            times = seconds(batch, threads, arguments.peer, arguments.rounds)
            ours = statistics.median(times[OURS])
            for name, values in times.items():
                median, best = statistics.median(values), min(values)
                rows.append(
                    {
                        'batch': batch,
                        'threads': threads,
                        'name': name,
                        'median_ms': 1e3 * median,
                        'best_ms': 1e3 * best,
                        'times_slower': median / ours,
                    }
                )
                print(
                    f'{batch:5} {threads:7}  {name:18} {1e3 * median:9.2f} {1e3 * best:8.2f} '
                    f'{median / ours:7.1f}'
                )
    largest = max(arguments.batch)
    growth = {name: memory(name, largest, arguments.peer) for name in candidates(1, arguments.peer)}
    for name, mebibytes in growth.items():
        print(f'peak memory for a batch of {largest}: {name:18} {mebibytes:7.1f} MiB')
    if arguments.output:
        write_figures(arguments.output, {'times': rows, 'memory_mib': growth})


if __name__ == '__main__':
    main()
