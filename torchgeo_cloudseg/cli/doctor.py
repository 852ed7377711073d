"""``cloudseg doctor``: what is installed, what is missing, and what will be slow."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from . import environment

#: Where data loader workers put batches.
SHARED_MEMORY = Path('/dev/shm')

#: Two batches for each of four workers: 32 patches of 160 px, ten bands of four bytes.
SHARED_BYTES = 2 * 4 * 32 * 160**2 * 10 * 4

#: Memory of a training step of a teacher and a student with mit_b4, batch 2, and of the rest.
MEMORY_BYTES = 8 * 2**30

#: Formats that maps are written in.
DRIVERS = ('GTiff', 'COG', 'VRT')

#: Side of the matrices by which threads are tried.
MATRIX = 1024


class Finding(NamedTuple):
    """Something that was looked at.

    Attributes:
        state: whether it is as it should be, will cost time, or does not work.
        what: what was found.
        remedy: what to do about it.
    """

    state: Literal['ok', 'slow', 'wrong']
    what: str
    remedy: str = ''


def doctor() -> None:
    """Check the installation, and say what will be slow: threads, memory, shared memory, GPUs.

    Examples:
        Before a long training, or with a question about speed::

            cloudseg doctor

    Raises:
        SystemExit: with 1 if something will not work.
    """
    failed = False
    for check in (_packages, _gdal, _threads, _memory, _devices, _writable):
        for finding in check():
            failed |= finding.state == 'wrong'
            sys.stdout.write(f'{finding.state:<6} {finding.what}\n')
            if finding.remedy:
                sys.stdout.write(f'       -> {finding.remedy}\n')
            sys.stdout.flush()
    if failed:
        raise SystemExit(1)


def versions() -> dict[str, str]:
    """Versions of what results depend on, without importing torch."""
    from ..rasters import gdal_version

    names = {'torch': 'torch', 'TorchGeo': 'torchgeo', 'Lightning': 'lightning'}
    found = {shown: _version(name) or 'missing' for shown, name in names.items()}
    return {'Python': platform.python_version(), **found, 'GDAL': gdal_version()}


def _packages() -> Iterator[Finding]:
    yield Finding('ok', ', '.join(f'{name} {found}' for name, found in versions().items()))
    for text in requires('torchgeo-cloudseg') or ():
        needed = Requirement(text)
        extra = needed.marker is not None and 'extra' in str(needed.marker)
        found = _version(needed.name)
        if extra:
            continue
        if found is None or not needed.specifier.contains(found, prereleases=True):
            yield Finding(
                'wrong',
                f'{needed.name}: found {found or "none"}, expected {needed.specifier or "any"}',
                f"pip install '{needed.name}{needed.specifier}'",
            )


def _gdal() -> Iterator[Finding]:
    from ..rasters import missing_drivers

    missing = missing_drivers(DRIVERS)
    if missing:
        yield Finding(
            'wrong', f'GDAL has no driver {", ".join(missing)}', 'install rasterio from PyPI'
        )


def _threads() -> Iterator[Finding]:
    import torch

    quota, cpus, threads = environment.cpu_quota(), environment.cpus(), torch.get_num_threads()
    allowed = cpus if quota is None else min(cpus, quota)
    limit = '' if quota is None else f', of which the control group allows {quota:g}'
    waiting = {name: os.environ[name] for name in environment.WAITING if name in os.environ}
    shown = ', '.join(f'{name}={value}' for name, value in waiting.items())
    yield Finding('ok', f'{cpus} processors{limit}; threads of torch: {threads}, {shown}')
    if threads > max(1, allowed):
        yield Finding(
            'slow', f'{threads} threads share {allowed:g} processors', 'set OMP_NUM_THREADS'
        )
    if waiting.get('OMP_WAIT_POLICY', 'passive').lower() != 'passive':
        yield Finding(
            'slow',
            'threads spin while they wait: beside other work, they take its time and their own',
            'unset OMP_WAIT_POLICY, or set it to passive',
        )
    busy = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0.0
    if busy > allowed / 2:
        yield Finding(
            'slow', f'other processes keep {busy:.1f} of {allowed:g} processors busy',
            'wait for them, or expect to share',
        )  # fmt: skip
    together, alone = _speed(threads), _speed(1)
    torch.set_num_threads(threads)
    rate = f'matrix product: {together:.0f} GFLOP/s by all threads, {alone:.0f} by one'
    fight = threads > 1 and together < alone
    remedy = 'threads are in the way of each other: set OMP_NUM_THREADS=1' if fight else ''
    yield Finding('slow' if fight else 'ok', rate, remedy)


def _speed(threads: int) -> float:
    """Best of some matrix products, in GFLOP/s."""
    import torch

    torch.set_num_threads(threads)
    a = torch.ones(MATRIX, MATRIX)
    times = [_seconds(lambda: a @ a) for _ in range(5)]
    return 2e-9 * MATRIX**3 / min(times)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _memory() -> Iterator[Finding]:
    if hasattr(os, 'sysconf') and 'SC_AVPHYS_PAGES' in os.sysconf_names:
        total = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
        if total < MEMORY_BYTES:
            yield Finding(
                'slow', f'{total / 2**30:.1f} GiB of memory',
                'train with a small encoder (backbone: mit_b0) or batches of one',
            )  # fmt: skip
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    shown = f'{SHARED_MEMORY}: {free / 2**20:.0f} MiB free for batches of data loader workers'
    if free < SHARED_BYTES:
        needed = f'{SHARED_BYTES / 2**20:.0f} MiB'
        remedy = f'give it {needed} or more (docker run --shm-size=1g), or set num_workers=0'
        yield Finding('wrong', shown, remedy)
    else:
        yield Finding('ok', shown)


def _devices() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(i)
            yield Finding('ok', f'GPU {i}: {facts.name}, {facts.total_memory / 2**30:.0f} GiB')
    elif torch.backends.mps.is_available():
        yield Finding('ok', 'GPU: Apple (mps)')
    else:
        yield Finding(
            'slow', 'no GPU: training as published (mit_b4, batch 32) takes days',
            'on processors, try things out with backbone mit_b0; maps are fine',
        )  # fmt: skip


def _writable() -> Iterator[Finding]:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free < 2**30:
        yield Finding(
            'slow', f'{folder}: {free / 2**20:.0f} MiB free for temporary files',
            'set TMPDIR to a folder with more',
        )  # fmt: skip
    for package, purpose in (('onnx', 'cloudseg export to .onnx'),):
        if _version(package) is None:
            yield Finding(
                'ok', f'{package} is not installed; {purpose} needs it',
                "pip install 'torchgeo-cloudseg[export]'",
            )  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
