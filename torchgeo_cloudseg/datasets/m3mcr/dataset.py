"""M3M-CR dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyproj

from ..._choices import Range
from ...index import Layer
from ..scene_dataset import SceneDataset, check_choice
from ..scene_scan import Found
from .layout import FOLDERS, LAYERS, LEGENDS, UNKNOWN_CODES
from .scan import read_file_list, scan_folders


class M3MCR(SceneDataset):
    """M3M-CR: cloudy and cloud-free PlanetScope, Sentinel-1 and land cover, worldwide.

    `M3M-CR <https://github.com/zhu-xlab/M3R-CR>`__ (multi-modal, multi-resolution, multi-season
    cloud removal) holds 780 areas of the globe in patches of 900 m by 900 m:

    * PlanetScope with clouds and without, 4 bands (blue, green, red, near infrared) at 3 m,
      surface reflectance times 10 000, 0 where there is no data
    * Sentinel-1 VV and VH backscatter at 10 m in dB
    * ESA WorldCover 2020 land cover at 10 m
    * a cloud mask at 3 m

    Dataset layout: ``<root>/<split>/<kind>_<season>/<kind>_<season>_<aoi>/
    <kind>_<season>_<aoi>_p_<n>.tif``, the kinds being ``planet_cloudy``, ``planet_cloudfree``,
    ``S1``, ``landcover`` and ``cloudmask`` (``.npy``).

    Samples hold stored values: digital numbers of the optical images, dB of the SAR image.
    :class:`~torchgeo_cloudseg.transforms.Rescale` brings them to 0..1.

    =============== ========= ======= ====================================================
    key             shape     dtype   what
    =============== ========= ======= ====================================================
    ``image``       (4, H, W) float32 PlanetScope as observed, with clouds; 0 is no data
    ``image_clear`` (4, H, W) float32 the same place without clouds; 0 is no data
    ``image_sar``   (2, H, W) float32 Sentinel-1 in dB on the optical grid (nearest neighbor);
                                      NaN is replaced by the mean of the patch
    ``mask_cloud``  (H, W)    int64   1 cloud, 0 clear
    ``mask``        (h, w)    int64   land cover; 255 is unknown; h = 0.3 H unless
                                      ``label_res='optical'``
    =============== ========= ======= ====================================================

    The 3 m and the 10 m grid are taken as co-extensive, as the data set's authors do, although
    their stored corners differ by up to 2 m: 300 px of one are 90 px of the other.

    If you use this dataset in your research, please cite the following papers:

    * https://doi.org/10.1109/TGRS.2023.3296869
    * https://doi.org/10.1016/j.isprsjprs.2024.06.001

    Example:
        >>> dataset = M3MCR(root, split='test')
        >>> xmin, ymin, xmax, ymax = dataset.index.total_bounds
        >>> sample = dataset[xmin : xmin + 480, ymax - 480 : ymax]
        >>> tuple(sample['image'].shape), tuple(sample['mask'].shape)
        ((4, 160, 160), (48, 48))
    """

    name = 'm3mcr'
    title = 'M3M-CR'
    layout = 'train/planet_cloudfree_<season>, ...'
    layers = LAYERS
    reference = 'image_clear'
    rgb_bands = ('Red', 'Green', 'Blue')
    legend = LEGENDS['level1']
    legends = LEGENDS
    unknown_codes = UNKNOWN_CODES
    splits = FOLDERS
    ranges: Mapping[str, Range] = {
        'image': ((0.0,), (10000.0,)),
        'image_clear': ((0.0,), (10000.0,)),
        'image_sar': ((-25.0, -32.5), (0.0, 0.0)),
    }
    optical_scale = 1e-4
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {'image_sar': (-25.0, -32.5)}
    pixel_size_m = 3.0

    #: Pixels of the common grid of the 3 m and 10 m layers (30 m), on the 3 m grid.
    grid_step_px = 10

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        crs: pyproj.CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        modalities: Sequence[str] = ('image', 'image_clear', 'image_sar', 'mask_cloud', 'mask'),
        classes: Literal['level1', 'level2'] = 'level1',
        label_res: Literal['native', 'optical'] = 'native',
        **kwargs: Any,
    ) -> None:
        """Initialize a new M3MCR instance.

        Args:
            root: root directory where the dataset can be found.
            split: one of 'train', 'val' or 'test'.
            crs: :term:`coordinate reference system (CRS)` to warp to (defaults to the CRS of the
                files, which must then lie in one UTM zone).
            res: resolution of the dataset in units of CRS (defaults to that of the files).
            modalities: keys to read; nothing is spent on the others.
            classes: 'level1' (6 classes; snow, mangroves and moss are unknown) or 'level2' (the
                11 classes of ESA WorldCover).
            label_res: 'native' (10 m) or 'optical' (3 m, nearest neighbor).
            **kwargs: further arguments of
                :class:`~torchgeo_cloudseg.datasets.SceneDataset`; *file_list* is a CSV list in the
                authors' format (cloud-free, cloudy, S1, land cover, cloud mask; no header; paths
                relative to the folder of the split).

        Raises:
            DatasetNotFoundError: If dataset is not found.
            EmptySplitError: If there is another split, but no scene in this one.
            ScenesError: If files are missing, unreadable or hold something else than expected.
            ValueError: If an argument is not one of its choices, or scenes lie in several zones
                and neither *crs* nor *zone* is given.
        """
        check_choice('classes', classes, LEGENDS)
        check_choice('label_res', label_res, ('native', 'optical'))
        self.classes = classes
        self.label_res = label_res
        self.legend = LEGENDS[classes]
        if label_res == 'optical':
            self.label_ratio = Fraction(1)
        super().__init__(root, split, crs, res, modalities, **kwargs)

    @classmethod
    def scan(cls, root: Path, part: str, layers: Sequence[Layer]) -> Found:
        """Find the scenes of a folder, sorted by season, area and patch number.

        Args:
            root: root directory of the data set.
            part: 'train' or 'test'.
            layers: the modalities that every scene must have.

        Returns:
            the scenes, and an error for each file that is missing or named otherwise.
        """
        return scan_folders(root, part, layers)

    @classmethod
    def scan_list(cls, file_list: Path, root: Path, part: str, layers: Sequence[Layer]) -> Found:
        """Find the scenes of a list in the authors' format.

        Args:
            file_list: CSV list, see :func:`~.scan.read_file_list`.
            root: root directory of the data set.
            part: folder of the split.
            layers: the modalities that every scene must have.

        Returns:
            the scenes in the order of the list, and an error for each malformed line.
        """
        return read_file_list(file_list, root / part, layers)

    @classmethod
    def looks_like(cls, root: Path) -> bool:
        """Whether a folder holds folders of M3M-CR.

        Args:
            root: root directory of a data set.

        Returns:
            True where there is a season of any modality.
        """
        patterns = [f'{layer.folder}_*' for layer in LAYERS.values()]
        parts = set(FOLDERS.values())
        found = (
            path for part in parts for pattern in patterns for path in (root / part).glob(pattern)
        )
        return any(path.is_dir() for path in found)

    @classmethod
    def layout_of(cls, part: str) -> str:
        """What the files of a part look like, for messages."""
        return f'{part}/{LAYERS[cls.reference].folder}_<season>/...'
