"""M3M-CR dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
import pyproj

from . import m3mcr_layout as layout
from .errors import EmptySplitError
from .index_store import IndexDir
from .layer import Layer
from .m3mcr_files import find_scenes, read_file_list
from .scene_cache import SceneCache, load_scene_table
from .scene_dataset import Sample, SceneDataset, check_choice


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

    ============== ========= ======= ====================================================
    key            shape     dtype   what
    ============== ========= ======= ====================================================
    ``image``       (4, H, W) float32 PlanetScope as observed, with clouds; 0 is no data
    ``image_clear`` (4, H, W) float32 the same place without clouds; 0 is no data
    ``image_sar``   (2, H, W) float32 Sentinel-1 in dB on the optical grid (nearest neighbor);
                                      NaN is replaced by the mean of the patch
    ``mask_cloud``  (H, W)    int64   1 cloud, 0 clear
    ``mask``        (h, w)    int64   land cover; 255 is unknown; h = 0.3 H unless
                                      ``label_res='optical'``
    ============== ========= ======= ====================================================

    The 3 m and the 10 m grid are taken as co-extensive, as the data set's authors do, although
    their stored corners differ by up to 2 m: 300 px of one are 90 px of the other.

    If you use this dataset in your research, please cite the following papers:

    * https://doi.org/10.1109/TGRS.2023.3296869
    * https://doi.org/10.1016/j.isprsjprs.2024.06.001
    """

    layers: ClassVar[Mapping[str, Layer]] = layout.LAYERS
    reference: ClassVar[str] = 'image_clear'
    all_bands = ('Blue', 'Green', 'Red', 'NIR')
    rgb_bands = ('Red', 'Green', 'Blue')
    splits: ClassVar[tuple[str, ...]] = tuple(layout.FOLDERS)

    ranges: ClassVar[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
        'image': ((0.0,), (10000.0,)),
        'image_clear': ((0.0,), (10000.0,)),
        'image_sar': ((-25.0, -32.5), (0.0, 0.0)),
    }
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {
        'image_sar': (-25.0, -32.5),
        'mask': 255,
    }

    #: Pixels of the common grid of the 3 m and 10 m layers (30 m), on the 3 m grid.
    grid_step_px: ClassVar[int] = 10

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        crs: pyproj.CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        modalities: Sequence[str] = ('image', 'image_clear', 'image_sar', 'mask_cloud', 'mask'),
        classes: Literal['level1', 'level2'] = 'level1',
        label_res: Literal['native', 'optical'] = 'native',
        file_list: str | Path | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
        val_share: float = 0.1,
        zone: str | int | None = None,
        index_dir: IndexDir = None,
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
            file_list: CSV list of scenes in the authors' format (cloud-free, cloudy, S1, land
                cover, cloud mask; no header; paths relative to the folder of the split). By
                default all scenes of the split.
            transforms: a function/transform that takes an input sample and returns a transformed
                version.
            cache: if True, keep file handles open to speed up repeated sampling.
            val_share: share of the training areas that is set aside for validation where there
                is no *file_list*; whole areas, always the same ones.
            zone: EPSG code of a UTM zone; scenes in other zones are left out.
            index_dir: folder in which the index of the scenes is kept between runs; False to make
                it anew each time. Defaults to the folder that the environment variable
                ``CLOUDSEG_CACHE`` names, else ``<root>/.cloudseg``, or the user's cache folder
                where that cannot be written to.

        Raises:
            DatasetNotFoundError: If dataset is not found.
            EmptySplitError: If there is another split, but no scene in this one.
            ScenesError: If files are missing, unreadable or hold something else than expected.
            ValueError: If an argument is none of its choices, or scenes lie in several zones and
                neither *crs* nor *zone* is given.
        """
        check_choice('split', split, layout.FOLDERS)
        check_choice('classes', classes, layout.LEGENDS)
        check_choice('label_res', label_res, ('native', 'optical'))
        for modality in modalities:
            check_choice('modalities', modality, self.layers)
        if not modalities:
            raise ValueError(f'modalities is empty; choose from {list(self.layers)}.')
        self.root = self.paths = root
        self.split = split
        self.classes = classes
        self.label_res = label_res
        self.file_list = file_list
        self.val_share = val_share
        self.index_dir = index_dir
        self.legend = layout.LEGENDS[classes]
        self._init_scenes(
            self._scene_table(modalities),
            modalities=modalities,
            crs=crs,
            res=res,
            transforms=transforms,
            cache=cache,
            label_ratio=Fraction(1) if label_res == 'optical' else self.layers['mask'].ratio,
            unknown_codes=layout.UNKNOWN_CODES,
            zone=zone,
        )

    def _scene_table(self, modalities: Sequence[str]) -> pd.DataFrame:
        """Find the scenes of the split and read their headers."""
        # the grid of a scene is that of its cloud-free image, whether or not that is asked for
        keys = [key for key in self.layers if key in (*modalities, self.reference)]
        layers = {key: self.layers[key] for key in keys}
        root, folder = Path(self.root), layout.FOLDERS[self.split]
        cache = SceneCache(str(root), f'm3mcr-{folder}', self.reference, self.index_dir)
        if self.file_list is not None:
            files = Path(self.file_list)
            listing = read_file_list(files, root, folder, list(layers.values()))
            return load_scene_table(listing, layers, cache, self.layers, partial=True)
        listing = find_scenes(root, folder, list(layers.values()))
        if listing.empty and any((root / other).is_dir() for other in layout.FOLDERS.values()):
            expected = f'{folder}/{self.layers[self.reference].folder}_<season>/...'
            raise EmptySplitError(
                f'{root}: split={self.split!r} has no scene: found no {expected}, though there is '
                'another split. Unpack this one too, or give a `file_list` or another `split`.'
            )
        wanted = None
        if self.split != 'test':
            areas = layout.split_areas(listing['area'], self.split, self.val_share)
            wanted = listing['area'].isin(areas).to_numpy()
            if len(listing) and not wanted.any():
                count = listing['area'].nunique()
                raise EmptySplitError(
                    f'{root}: split={self.split!r} has no scene: of the {count} area(s) in the '
                    f'folder {folder!r}, val_share={self.val_share} leaves none. '
                    'Change `val_share`, add areas, or give a `file_list`.'
                )
        return load_scene_table(listing, layers, cache, self.layers, wanted=wanted)
