"""WHU-OPT-SAR dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

import pyproj

from . import whuoptsar_layout as layout
from .index_store import IndexDir
from .layer import Layer
from .legend import LandCoverClass
from .scene_cache import SceneCache, list_files, load_scene_table
from .scene_dataset import Sample, SceneDataset, check_choice


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

    ============== ========= ======= ====================================================
    key            shape     dtype   what
    ============== ========= ======= ====================================================
    ``image``       (4, H, W) float32 GF-1 without clouds, 0..255; 0 is no data
    ``image_sar``   (1, H, W) float32 GF-3, 0..255
    ``mask``        (H, W)    int64   land cover; 255 is background
    ============== ========= ======= ====================================================

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1016/j.jag.2021.102638
    """

    layers: ClassVar[Mapping[str, Layer]] = layout.LAYERS
    reference: ClassVar[str] = 'image'
    legend: Sequence[LandCoverClass] = layout.LEGEND
    nominal_places: ClassVar[bool] = True
    splits: ClassVar[tuple[str, ...]] = ('train', 'val', 'test')
    rgb_bands = ('Red', 'Green', 'Blue')
    ranges: ClassVar[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
        'image': ((0.0,), (255.0,)),
        'image_clear': ((0.0,), (255.0,)),
        'image_sar': ((0.0,), (255.0,)),
    }
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {'mask': 255}

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        crs: pyproj.CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        modalities: Sequence[str] = ('image', 'image_sar', 'mask'),
        band_order: Literal['BGRN', 'RGBN'] = 'BGRN',
        file_list: str | Path | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
        val_share: float = 0.1,
        zone: str | int | None = None,
        index_dir: IndexDir = None,
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
            file_list: text file with the names of the sheets to use, one a line, instead of the
                official division.
            transforms: a function/transform that takes an input sample and returns a transformed
                version.
            cache: if True, keep file handles open to speed up repeated sampling.
            val_share: share of the official training sheets that is set aside for validation;
                only sheets that touch no test sheet, always the same ones.
            zone: EPSG code; scenes in another CRS are left out.
            index_dir: folder in which the index of the scenes is kept between runs; False to make
                it anew each time. Defaults to the folder that the environment variable
                ``CLOUDSEG_CACHE`` names, else ``<root>/.cloudseg``, or the user's cache folder
                where that cannot be written to.

        Raises:
            DatasetNotFoundError: If dataset is not found.
            FileNotFoundError: If there is no such *file_list*.
            ScenesError: If files are missing, unreadable or hold something else than expected.
            ValueError: If an argument is none of its choices, a sheet is in no part of the
                official division, or files state different CRS and neither *crs* nor *zone* is
                given.
        """
        check_choice('split', split, self.splits)
        check_choice('band_order', band_order, layout.BAND_ORDERS)
        for modality in modalities:
            check_choice('modalities', modality, self.layers)
        self.root = self.paths = root
        self.split = split
        self.band_order = band_order
        self.file_list = file_list
        self.val_share = val_share
        self.all_bands = layout.BAND_ORDERS[band_order]
        keys = [key for key in self.layers if key in (*modalities, self.reference)]
        layers = {key: self.layers[key] for key in keys}
        sheets = layout.find_sheets(Path(root), list(layers.values()))
        names = self._split_names(sheets)
        self._init_scenes(
            load_scene_table(
                list_files([sheets[name] for name in names], str(Path(root))),
                layers,
                SceneCache(str(Path(root)), 'whuoptsar', self.reference, index_dir),
                self.layers,
                georeference=layout.nominal_georeference,
                partial=True,
            ),
            modalities=modalities,
            crs=crs,
            res=res,
            transforms=transforms,
            cache=cache,
            label_ratio=Fraction(1),
            unknown_codes=layout.UNKNOWN_CODES,
            zone=zone,
        )

    def _split_names(self, sheets: Mapping[str, object]) -> list[str]:
        """Names of the sheets in use."""
        if self.file_list is None:
            return layout.split_sheets(sheets, self.split, self.val_share)
        listed = [Path(line.strip()).stem for line in Path(self.file_list).read_text().split()]
        missing = [name for name in listed if name not in sheets]
        if missing:
            raise ValueError(
                f'{self.file_list}: found {missing}, expected names of sheets in {self.root}. '
                'Correct the list, or add the files.'
            )
        return listed
