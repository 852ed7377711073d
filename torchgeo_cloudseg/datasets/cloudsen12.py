"""CloudSEN12-high dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from .._choices import Range
from ..index import Layer, SceneFiles, by_key
from ..rasters import count_images, raw_image
from .legend import CodeTable, LandCoverClass, label_codes
from .m3mcr.layout import LEGENDS
from .scene_dataset import Sample, SceneDataset
from .scene_declaration import code_tables
from .scene_scan import Found

BANDS = ('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B11', 'B12')
SIZE = (512, 512)
RAW: dict[str, Any] = {'suffix': '.dat', 'size_px': SIZE}

#: Images that are looked at to tell how land cover is stored.
SAMPLED = 32


class CloudSEN12(SceneDataset):
    """CloudSEN12-high: Sentinel-2 under real clouds, labeled by hand, Sentinel-1 and land cover.

    `CloudSEN12 <https://cloudsen12.github.io>`__ has 10 000 images of 2 000 places, 509 x 509
    pixels (10 m) padded to 512 x 512. License CC-BY-NC-4.0; about 200 GB, of which 60 GB are needed
    here, from https://huggingface.co/datasets/csaybar/CloudSEN12-high.

    Dataset layout: ``train|val|test/NAME.dat``, raw memory maps of 8490, 535 and 975 images:
    ``L2A_B1`` ... ``L2A_B12``, ``S1_VV``, ``S1_VH``, ``LABEL_manual_hq`` and ``EXTRA_lc10``. They
    do not say where they lie: places are nominal, scenes lie side by side.

    =============== ========== ======= =======================================================
    key             shape      dtype   what
    =============== ========== ======= =======================================================
    ``image``       (12, H, W) float32 Sentinel-2 L2A with its clouds, reflectance x 10000
    ``image_sar``   (2, H, W)  float32 Sentinel-1 VV, VH as stored
    ``mask_cloud``  (H, W)     int64   1 thick or thin cloud, 0 clear or shadow
    ``mask``        (H, W)     int64   ESA WorldCover, 11 classes; 255 is unknown or padding
    =============== ========== ======= =======================================================

    .. note::
       How Sentinel-1 is scaled is not documented with the files: values are taken for dB x 100.
       Land cover may be stored as WorldCover's codes (10 to 100) or as 0 to 10; whichever the
       first images hold counts, and anything else is refused.

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1038/s41597-022-01878-2

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_cloudsen12
        >>> root = write_miniature_cloudsen12(folder, counts={'test': 1})
        >>> dataset = CloudSEN12(root, split='test')
        >>> len(dataset), len(dataset.legend)
        (1, 11)
    """

    name = 'cloudsen12'
    title = 'CloudSEN12-high'
    layout = 'train/L2A_B2.dat, ...'
    layers = by_key(
        Layer('image', 'L2A', BANDS, ('int16',), nodata=0, **RAW),
        Layer('image_sar', 'S1', ('VV', 'VH'), ('int16',), **RAW),
        Layer('mask_cloud', 'LABEL', ('manual_hq',), ('int8',), categorical=True, **RAW),
        Layer('mask', 'EXTRA', ('lc10',), ('int16',), categorical=True, **RAW),
    )
    rgb_bands = ('B4', 'B3', 'B2')
    legend: Sequence[LandCoverClass] = LEGENDS['level2']
    cloud_codes: Mapping[int, int] = {0: 0, 1: 1, 2: 1, 3: 0}
    splits: ClassVar[Mapping[str, str]] = {'train': 'train', 'val': 'val', 'test': 'test'}
    nominal_places = True
    optical_scale = 1e-4
    ranges: Mapping[str, Range] = {
        'image': ((0.0,), (10000.0,)),
        'image_sar': ((-2500.0, -3250.0), (0.0, 0.0)),
    }

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        **kwargs: Any,
    ) -> None:
        """Initialize a new CloudSEN12 instance.

        Args:
            root: root directory where the dataset can be found.
            split: one of 'train', 'val' or 'test'.
            **kwargs: further arguments of :class:`~torchgeo_cloudseg.datasets.SceneDataset`.

        Raises:
            ScenesError: If files are missing, or do not hold the same number of images.
            ValueError: If an argument is not one of its choices.
        """
        self.legend, self.unknown_codes = self.coding(Path(root) / split / 'EXTRA_lc10.dat')
        super().__init__(root, split, **kwargs)

    @classmethod
    def coding(cls, file: Path) -> tuple[Sequence[LandCoverClass], Sequence[int]]:
        """Classes by the codes that a file has, and codes of no class."""
        count = file.stat().st_size // (2 * np.prod(SIZE)) if file.is_file() else 0
        if count:
            images = np.memmap(file, '<i2', 'r', shape=(int(count), *SIZE))
            found = np.unique(images[:: max(1, int(count) // SAMPLED)])
            if found.max() <= len(cls.legend) and set(found.tolist()) - {0, 10}:
                return tuple(c._replace(codes=(i,)) for i, c in enumerate(cls.legend)), ()
        return cls.legend, cls.unknown_codes

    @classmethod
    def codes_at(cls, root: Path) -> Mapping[str, CodeTable]:
        """What stored codes mean, as its first file of land cover has them."""
        file = min(root.glob('*/EXTRA_lc10.dat'), default=root)
        legend, unknown = cls.coding(file)
        return {**code_tables(cls), 'mask': label_codes(legend, unknown, cls.ignore_index)}

    @classmethod
    def scan(cls, root: Path, part: str, layers: Sequence[Layer]) -> Found:
        """Find the images of a split, by the sizes of its files."""
        files = {
            layer.key: [str(root / part / f'{layer.folder}_{band}.dat') for band in layer.bands]
            for layer in layers
        }
        dtypes = {path: layer.dtypes[0] for layer in layers for path in files[layer.key]}
        count, problems = count_images(dtypes, SIZE) if (root / part).is_dir() else (0, [])
        yield from problems
        for number in range(count):
            paths = {
                layer.key: raw_image(files[layer.key], number, layer.dtypes[0], SIZE)
                for layer in layers
            }
            yield SceneFiles(f'{part}-{number:04}', paths)

    @classmethod
    def looks_like(cls, root: Path) -> bool:
        """Whether a folder holds memory maps of this name."""
        return any((root / part / 'L2A_B2.dat').is_file() for part in cls.splits)

    def complete(self, sample: Sample) -> Sample:
        """Ignore the label of padding."""
        if 'mask' in sample and 'image' in sample:
            sample['mask'][(sample['image'] == 0).all(dim=0)] = self.ignore_index
        return sample
