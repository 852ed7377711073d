"""What ``cloudseg demo`` runs on: for each miniature, how it is written and loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..datamodules import M3MCRDataModule, SceneDataModule, WHUOPTSARDataModule
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
    #: Side of training patches in pixels.
    patch_size: int = 160


#: By the name given to ``--dataset``.
DEMO_DATA: Mapping[str, DemoData] = {
    'm3mcr': DemoData('Miniature M3M-CR', write_miniature_m3mcr, M3MCRDataModule),
    'whuoptsar': DemoData(
        'Miniature WHU-OPT-SAR under synthetic clouds',
        write_miniature_whuoptsar,
        WHUOPTSARDataModule,
        patch_size=128,
    ),
}
