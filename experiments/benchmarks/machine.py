"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch


def describe() -> dict[str, object]:
    """The machine, the versions, and what else kept it busy."""
    names = ('torch', 'torchgeo', 'rasterio', 'geopandas')
    return {
        'cpus': os.cpu_count(),
        'processor': platform.processor() or platform.machine(),
        'python': platform.python_version(),
        **{name: version(name) for name in names},
        'torch_threads': torch.get_num_threads(),
        'load_average_1_min': os.getloadavg()[0],
    }
