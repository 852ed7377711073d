"""What ``cloudseg demo`` runs on: declared facts about each miniature data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datamodules import M3MCRDataModule, SceneDataModule, WHUOPTSARDataModule
from ..datasets.legend import LandCoverClass
from ..datasets.m3mcr_layout import LEGENDS
from ..datasets.whuoptsar_layout import LEGEND
from ..miniature import write_miniature_m3mcr, write_miniature_whuoptsar


@dataclass(frozen=True)
class DemoData:
    """A miniature data set and how to train on it."""

    #: Name for people.
    title: str
    #: Writes it to a folder, from a seed.
    write: Callable[..., Path]
    #: Loads it.
    datamodule: Callable[..., SceneDataModule]
    #: Its classes, in order.
    legend: Sequence[LandCoverClass]
    #: Side of training patches in pixels.
    patch_size: int = 160
    #: Positions of the red, green and blue band.
    rgb: tuple[int, int, int] = (2, 1, 0)
    #: Arguments of the tasks, where its images differ from M3M-CR's.
    task: Mapping[str, Any] = field(default_factory=dict)


#: By the name given to ``--dataset``.
DEMO_DATA: Mapping[str, DemoData] = {
    'm3mcr': DemoData(
        'Miniature M3M-CR', write_miniature_m3mcr, M3MCRDataModule, LEGENDS['level1']
    ),
    'whuoptsar': DemoData(
        'Miniature WHU-OPT-SAR under synthetic clouds',
        write_miniature_whuoptsar,
        WHUOPTSARDataModule,
        LEGEND,
        patch_size=128,
        task={'in_channels': (4, 1), 'num_classes': 7, 'label_scale': 1.0},
    ),
}
