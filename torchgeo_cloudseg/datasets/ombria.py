"""OMBRIA dataset."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from .._choices import Range
from ..index import Layer, SceneFiles, by_key
from ..rasters import SceneError, band_stack
from ..rasters.text import read_json
from .legend import LandCoverClass
from .scene_dataset import Sample, SceneDataset

BANDS = tuple(f'{band}_{date}' for date in ('after', 'before') for band in ('B11', 'B8', 'B3'))
PNG: dict[str, Any] = {'dtypes': ('uint8',), 'suffix': '.png'}


class OMBRIA(SceneDataset):
    """OMBRIA: floods before and after, by Sentinel-1 and Sentinel-2, under real clouds.

    `OMBRIA <https://github.com/geodrak/OMBRIA>`__ holds 844 places of 256 x 256 pixels (10 m) in 23
    floods, with flood masks of the Copernicus Emergency Management Service; 8-bit PNG without a
    georeference, about 300 MB, from the authors' repository. It states no license: nothing of it
    may be passed on. Images of any size are read.

    Dataset layout: ``OmbriaS1|OmbriaS2/train|test/BEFORE|AFTER|MASK/S1_before_0001.png`` and
    ``2021/<flood>/Sentinel1|Sentinel2/BEFORE|AFTER|MASK/imbefore_1.png``; and, not published with
    it, ``clouds/<id>.png`` with 1 under clouds. Without those, leave ``mask_cloud`` out of
    *modalities*.

    Splits keep whole floods together, since the published ones have neighbors on both sides: as
    ``<root>/split.json`` says, a list of objects with ``id``, ``event`` and ``fold``, else as the
    table that comes with this package. Places are nominal: scenes lie side by side.

    =============== ========= ======= ========================================================
    key             shape     dtype   what
    =============== ========= ======= ========================================================
    ``image``       (6, H, W) float32 B11, B8, B3 after the flood, then before; 0..255
    ``image_sar``   (2, H, W) float32 VV after, before; scaled from least to most in each place
    ``mask_cloud``  (H, W)    int64   1 cloud in the image after the flood, 0 clear
    ``mask``        (H, W)    int64   0 dry or permanent water, 1 flood; 255 where there is no data
    =============== ========= ======= ========================================================

    .. note::
       The flood masks were probably drawn with the help of SAR images, which favors SAR. In bright
       clouds, values beyond 255 start again at 0: pixels are returned as stored, and
       :class:`~torchgeo_cloudseg.datamodules.OMBRIADataModule` mends them.

    If you use this dataset in your research, please cite the following paper:

    * https://ieeexplore.ieee.org/document/9723593

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_ombria
        >>> root = write_miniature_ombria(folder, places_per_event=1, size_px=64)
        >>> dataset = OMBRIA(root, split='train')
        >>> [land.name for land in dataset.legend]
        ['dry', 'flood']
    """

    name = 'ombria'
    title = 'OMBRIA'
    layout = 'OmbriaS1, OmbriaS2, 2021'
    layers = by_key(
        Layer('image', 'optical', BANDS, nodata=0, **PNG),
        Layer('image_sar', 'sar', ('VV_after', 'VV_before'), **PNG),
        Layer('mask_cloud', 'clouds', ('cloud',), categorical=True, **PNG),
        Layer('mask', 'flood', ('flood',), categorical=True, **PNG),
    )
    rgb_bands = BANDS[:3]
    legend = (
        LandCoverClass('dry', (0,), (222, 214, 186)),
        LandCoverClass('flood', (255,), (20, 90, 200)),
    )
    unknown_codes = ()
    splits: ClassVar[Mapping[str, str]] = {'train': 'train', 'val': 'val', 'test': 'test'}
    nominal_places = True
    ranges: Mapping[str, Range] = {
        'image': ((0.0,), (255.0,)),
        'image_sar': ((0.0,), (255.0,)),
    }

    @classmethod
    def scan(
        cls, root: Path, part: str, layers: Sequence[Layer]
    ) -> Iterator[SceneFiles | SceneError]:
        """Find the places of a fold.

        Args:
            root: root directory of the data set.
            part: 'train', 'val' or 'test'.
            layers: the modalities that every place must have.

        Yields:
            the places in the order of the table, and an error for each file that cannot be opened.
        """
        if cls.looks_like(root):
            for row in division(root):
                if row['fold'] == part:
                    yield from _place(root, row['id'], row['event'], layers)

    @classmethod
    def looks_like(cls, root: Path) -> bool:
        """Whether a folder holds one of the folders of OMBRIA."""
        return any((root / name).is_dir() for name in cls.layout.split(', '))

    def complete(self, sample: Sample) -> Sample:
        """Ignore the label of pixels without data: black, or white in both SAR images."""
        if 'mask' in sample and 'image' in sample:
            sample['mask'][(sample['image'][:3] == 0).all(dim=0)] = self.ignore_index
        elif 'mask' in sample and 'image_sar' in sample:
            sample['mask'][(sample['image_sar'] == 255).all(dim=0)] = self.ignore_index
        return sample


def division(root: Path) -> list[dict[str, str]]:
    """Places with ``id``, ``event`` and ``fold``: those of ``split.json`` in *root*, else ours."""
    own = root / 'split.json'
    if own.is_file():
        rows: list[dict[str, str]] = read_json(own)
        return rows
    text = files(__package__).joinpath('ombria_split.csv').read_text()
    return [dict(row) for row in csv.DictReader(text.splitlines())]


def _place(
    root: Path, name: str, event: str, layers: Sequence[Layer]
) -> Iterator[SceneFiles | SceneError]:
    """The files of a place, or what is wrong with them."""
    flood, _, number = name.rpartition('_')
    if flood:  # of 2021
        pattern = f'2021/{flood}/Sentinel{{}}/{{}}/{{}}_{number}.png'
        names = {'BEFORE': 'imbefore', 'AFTER': 'imafter', 'MASK': 'gt'}
    else:
        part = (
            'test' if (root / f'OmbriaS1/test/MASK/S1_mask_{number:0>4}.png').exists() else 'train'
        )
        pattern = f'OmbriaS{{0}}/{part}/{{1}}/S{{0}}_{{2}}_{number:0>4}.png'
        names = {kind: kind.lower() for kind in ('BEFORE', 'AFTER', 'MASK')}

    def path(sensor: int, kind: str) -> str:
        return str(root / pattern.format(sensor, kind, names[kind]))

    try:
        found = {
            'image': lambda: band_stack([path(2, 'AFTER'), path(2, 'BEFORE')]),
            'image_sar': lambda: band_stack([path(1, 'AFTER'), path(1, 'BEFORE')]),
            'mask_cloud': lambda: str(root / 'clouds' / f'{name}.png'),
            'mask': lambda: path(1, 'MASK'),
        }
        yield SceneFiles(name, {layer.key: found[layer.key]() for layer in layers}, event)
    except SceneError as error:
        yield error
