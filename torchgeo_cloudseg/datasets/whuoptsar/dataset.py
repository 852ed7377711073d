"""WHU-OPT-SAR dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pyproj

from ..._choices import Range
from ...index import Layer, SceneFiles
from ...rasters import SceneError
from ..scene_dataset import SceneDataset, check_choice
from ..scene_scan import pair_by_name, split_areas
from .layout import (
    BAND_ORDERS,
    FOLDERS,
    LAYERS,
    LEGEND,
    NOMINAL_CRS,
    UNKNOWN_CODES,
    official_division,
    sheets_touch,
)
from .sheets import sheet_bounds


class WHUOPTSAR(SceneDataset):
    """WHU-OPT-SAR: GF-1 optical and GF-3 SAR images with land cover, Hubei, China.

    `WHU-OPT-SAR <https://github.com/AmberHen/WHU-OPT-SAR-dataset>`__ holds 100 map sheets of about
    5556 x 3704 pixels (about 4 to 5 m), 8 bit:

    * GF-1 optical, 4 bands; 0 where there is no data
    * GF-3 SAR, 1 band
    * land cover in 7 classes

    Dataset layout: folders ``optical`` (or ``image``), ``sar`` and ``lbl`` with files of the same
    names, such as ``NH49E001013.tif``: numbers of the Chinese 1:50 000 map series (GB/T 13989).

    .. note::
       Files without a georeference are placed within the neat line of their map sheet (EPSG:4326).
       That place is nominal: good for telling neighbors from strangers and for a map on the
       right sheet, not for overlay with other data to the pixel. Samples say so under ``nominal``.

    There are no cloudy images: :class:`~torchgeo_cloudseg.transforms.SyntheticClouds` makes them.

    =============== ========= ======= ====================================================
    key             shape     dtype   what
    =============== ========= ======= ====================================================
    ``image``       (4, H, W) float32 GF-1 without clouds, 0..255; 0 is no data
    ``image_sar``   (1, H, W) float32 GF-3, 0..255
    ``mask``        (H, W)    int64   land cover; 255 is background
    =============== ========= ======= ====================================================

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1016/j.jag.2021.102638

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
        >>> root = write_miniature_whuoptsar(folder, height_px=96, width_px=96, progress=False)
        >>> dataset = WHUOPTSAR(root, split='test')
        >>> [land.name for land in dataset.legend][:3]
        ['farmland', 'city', 'village']
    """

    name = 'whuoptsar'
    title = 'WHU-OPT-SAR'
    layout = 'optical, sar, lbl'
    layers = LAYERS
    reference = 'image'
    rgb_bands = ('Red', 'Green', 'Blue')
    legend = LEGEND
    unknown_codes = UNKNOWN_CODES
    nominal_places = True
    pixel_size_m = 5.0
    ranges: Mapping[str, Range] = {
        'image': ((0.0,), (255.0,)),
        'image_clear': ((0.0,), (255.0,)),
        'image_sar': ((0.0,), (255.0,)),
    }

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        crs: pyproj.CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        modalities: Sequence[str] = ('image', 'image_sar', 'mask'),
        band_order: Literal['BGRN', 'RGBN'] = 'BGRN',
        **kwargs: Any,
    ) -> None:
        """Initialize a new WHUOPTSAR instance.

        Args:
            root: root directory where the dataset can be found.
            split: one of 'train', 'val' or 'test', in the official division.
            crs: :term:`coordinate reference system (CRS)` to warp to (defaults to the CRS of the
                files, or EPSG:4326 where they have none).
            res: resolution of the dataset in units of CRS (defaults to that of the files).
            modalities: keys to read; nothing is spent on the others.
            band_order: stored order of the optical bands: 'BGRN' as the data set's authors say,
                'RGBN' as others read them. Bands are returned as stored.
            **kwargs: further arguments of
                :class:`~torchgeo_cloudseg.datasets.SceneDataset`; *file_list* is a text file with
                the names of the sheets to use, one a line, instead of the official division.

        Raises:
            DatasetNotFoundError: If dataset is not found.
            FileNotFoundError: If there is no such *file_list*.
            ScenesError: If files are missing, unreadable or hold something else than expected, or
                a sheet is in no part of the official division.
            ValueError: If an argument is not one of its choices, or files state different CRS and
                neither *crs* nor *zone* is given.
        """
        check_choice('band_order', band_order, BAND_ORDERS)
        self.band_order = band_order
        self.all_bands = BAND_ORDERS[band_order]
        super().__init__(root, split, crs, res, modalities, **kwargs)

    @classmethod
    def scan(
        cls, root: Path, part: str, layers: Sequence[Layer]
    ) -> Iterator[SceneFiles | SceneError]:
        """Find the sheets of a part of the official division.

        Args:
            root: folder of the data set.
            part: 'train' or 'test'.
            layers: the modalities that every sheet must have.

        Yields:
            the sheets by name, and an error for each file that is missing or not the file of a
            sheet of the division.
        """
        division = official_division()
        every = set(chain.from_iterable(division.values()))
        for found in cls.scan_all(root, layers):
            name = Path(found.path).stem if isinstance(found, SceneError) else found.name
            if name in division[part] or (name not in every and isinstance(found, SceneError)):
                yield found
            elif name not in every and isinstance(found, SceneFiles):
                yield SceneError(
                    found.paths[layers[0].key],
                    f'sheet {name}',
                    'a sheet of the official division, and it is in neither part of it',
                    'Remove it, or give the names of the scenes to use as `file_list`.',
                )

    @classmethod
    def scan_all(cls, root: Path, layers: Sequence[Layer]) -> Iterator[SceneFiles | SceneError]:
        """Find all sheets, whether or not they are in the official division.

        Args:
            root: folder of the data set.
            layers: the modalities that every sheet must have.

        Yields:
            the sheets by name, each within the neat line of its map sheet, and an error for each
            file that is missing or has not the name of a sheet.
        """
        folders = {}
        for layer in layers:
            places = [root / name for name in FOLDERS[layer.key]]
            folders[layer.key] = next((place for place in places if place.is_dir()), places[0])
        for found in pair_by_name(folders, layers, check_name=sheet_bounds):
            if isinstance(found, SceneFiles):
                found = replace(found, bounds=sheet_bounds(found.name), crs=NOMINAL_CRS)
            yield found

    @classmethod
    def divide(cls, areas: Iterable[str], split: str, val_share: float) -> set[str]:
        """Divide the official training sheets.

        Validation takes a share of the sheets that touch no test sheet, ranked by a hash of their
        name: always the same ones.

        Args:
            areas: names of the training sheets.
            split: 'train' or 'val'.
            val_share: share of the training sheets that is for validation, 0 to 1.

        Returns:
            the sheets of the split.
        """
        training, tests = set(areas), official_division()['test']
        free = [name for name in training if not any(sheets_touch(name, test) for test in tests)]
        return split_areas(training, split, val_share, free)

    @classmethod
    def looks_like(cls, root: Path) -> bool:
        """Whether a folder holds the folders of WHU-OPT-SAR.

        Args:
            root: root directory of a data set.

        Returns:
            True where there is one of them.
        """
        return any((root / name).is_dir() for name in chain.from_iterable(FOLDERS.values()))
