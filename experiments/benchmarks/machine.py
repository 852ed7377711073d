"""What a benchmark ran on, and the file of its figures."""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from torchgeo_cloudseg._files import replacing


def describe() -> dict[str, object]:
    """The machine, the versions, and what else kept it busy."""
    names = ('torch', 'torchgeo', 'rasterio', 'geopandas')
    return {
        'cpus': os.cpu_count(),
        'processor': processor(),
        'vector_instructions': torch.backends.cpu.get_cpu_capability(),
        'python': platform.python_version(),
        **{name: version(name) for name in names},
        'torch_threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'load_average_1_min': os.getloadavg()[0],
    }


def processor() -> str:
    """Name of the processor's model; of its family only where the system does not tell."""
    info = Path('/proc/cpuinfo')
    names = re.findall(r'^model name\s*:\s*(.+)$', info.read_text() if info.is_file() else '', re.M)
    return names[0] if names else platform.processor() or platform.machine()


def write_figures(path: Path, figures: dict[str, object]) -> None:
    """Write figures as JSON; the file is complete or absent, its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(json.dumps(figures, indent=2) + '\n')


def measure_seeds(
    measure: Callable[[int, int, Path], Any], seeds: Sequence[int], steps: int, output: Path | None
) -> None:
    """Measure what trains a network, seed by seed, and print and write the figures.

    Args:
        measure: takes seed, training steps and an empty folder; gives figures.
        seeds: the seeds.
        steps: training steps.
        output: JSON file for the figures; None for none.
    """
    runs: dict[str, Any] = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix='cloudseg-seed-') as folder:
            runs[str(seed)] = measure(seed, steps, Path(folder))
        print(seed, json.dumps(runs[str(seed)]), flush=True)
    result = {'machine': describe(), 'steps': steps, 'seeds': runs}
    if output:
        write_figures(output, result)
