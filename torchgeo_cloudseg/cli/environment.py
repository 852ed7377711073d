"""What must be settled before torch is imported: how threads wait, and how many there are."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import MutableMapping
from pathlib import Path

#: Any of these says how threads wait for each other.
WAITING = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')

#: Told to progress bars, ours and those of others.
QUIET = 'TQDM_DISABLE'

CGROUPS = Path('/sys/fs/cgroup')


def settle(environ: MutableMapping[str, str] | None = None) -> None:
    """Let threads wait without work, and start no more than may run, unless the user says so.

    OpenMP's threads spin where they wait for each other. Beside other processes, or with a quota of
    processor time, they take it from the thread that they wait for.

    Args:
        environ: environment variables (defaults to those of the process).
    """
    environ = os.environ if environ is None else environ
    if not any(name in environ for name in WAITING):
        environ['OMP_WAIT_POLICY'] = 'passive'
    quota = cpu_quota()
    if quota is not None and quota < cpus():
        environ.setdefault('OMP_NUM_THREADS', str(max(1, math.floor(quota))))


def cpus() -> int:
    """Processors that this process may run on."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path = CGROUPS, membership: Path = Path('/proc/self/cgroup')) -> float | None:
    """Processors' worth of time that the control groups of this process allow.

    Args:
        root: where control groups are mounted.
        membership: file that names those of the process.

    Returns:
        the least of all quotas, or None where there is none (or no control groups).
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, _, rest = line.partition(':')
        controllers, _, path = rest.partition(':')
        if controllers and 'cpu' not in controllers.split(','):
            continue
        top = root / 'cpu' if controllers else root
        # a container may see its own group as the root
        folder = Path(path.lstrip('/'))
        quotas += [_quota(top / part) for part in (folder, *folder.parents)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(group: Path) -> float | None:
    """Quota of a group, of version 2 or 1."""
    try:
        if (group / 'cpu.max').is_file():
            given, period = (group / 'cpu.max').read_text().split()
        else:
            given = (group / 'cpu.cfs_quota_us').read_text()
            period = (group / 'cpu.cfs_period_us').read_text()
        return float(given) / float(period) if float(given) > 0 else None
    except (OSError, ValueError):
        # no such file, or `max`
        return None


def speak(quiet: bool, verbose: bool) -> None:
    """Say less or more than usual.

    Args:
        quiet: neither progress nor remarks.
        verbose: what the package does, step by step.
    """
    if quiet:
        os.environ[QUIET] = '1'
        warnings.simplefilter('ignore')
        for name in ('torchgeo_cloudseg', 'lightning.pytorch'):
            logging.getLogger(name).setLevel(logging.ERROR)
    elif verbose:
        logging.basicConfig(format='%(name)s: %(message)s')
        logging.getLogger('torchgeo_cloudseg').setLevel(logging.DEBUG)
