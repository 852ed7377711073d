"""LuojiaSET-OSFCR dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from .._choices import Range
from ..index import Layer, by_key
from .legend import LandCoverClass
from .scene_dataset import SceneDataset
from .scene_folder.division import Division
from .scene_scan import Found, Listing, list_folder, pair_files

BANDS = ('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12')
OPTICAL: dict[str, Any] = {'bands': BANDS, 'dtypes': ('uint16',), 'size_px': (256, 256)}
SINGLE: dict[str, Any] = {'size_px': (256, 256), 'categorical': True}
COLORS = (
    *((26, 150, 65), (166, 217, 106), (255, 255, 191), (215, 25, 28)),
    *((179, 179, 179), (44, 123, 182), (253, 174, 97)),
)

#: Folders by share of cloud, and names of files.
COVERS = ('0-20%', '20%-40%', '40%-60%', '60%-80%', '80%-100%')
NAME = re.compile(r'(?P<roi>ROIs_\d+)_(s1|s2|s2_cloudy)_(?P<patch>p\d+)\.tif', re.IGNORECASE)


class LuojiaSET(SceneDataset):
    """LuojiaSET-OSFCR: Sentinel-2 with clouds and without, Sentinel-1 and land cover.

    LuojiaSET-OSFCR holds 20 000 patches of 256 x 256 pixels (10 m), about 85 GB. Wuhan University
    gives it to those who fill in a questionnaire; its license is stated there.

    Dataset layout: ``<share of cloud>/s1|s2|s2_cloudy|land_cover_maps|cloud_detection_results/
    ROIs_<r>_<s1|s2|s2_cloudy>_p<n>.tif``, such as ``0-20%/s1/ROIs_01_s1_p4.tif``. Names differ
    between the folders; files are paired by region and patch. Not all patches have a cloud mask:
    leave ``mask_cloud`` out of *modalities* where one is named as missing.

    =============== ========== ======= =======================================================
    key             shape      dtype   what
    =============== ========== ======= =======================================================
    ``image``       (13, H, W) float32 Sentinel-2 with clouds, reflectance x 10000 + 1000
    ``image_clear`` (13, H, W) float32 the same place without clouds
    ``image_sar``   (2, H, W)  float32 Sentinel-1 VV, VH in dB
    ``mask_cloud``  (H, W)     int64   1 cloud, 0 clear
    ``mask``        (H, W)     int64   land cover, 7 classes
    =============== ========== ======= =======================================================

    .. note::
       The grid of the SAR image lies 4 m off on both axes; it is taken as co-extensive. No split
       is published, and neighbors share edges: splits are blocks of ground that do not touch. In
       the public sample, cloudy images are copies of the clear ones: ``cloudseg index`` reports
       them, and a data module refuses to train a student on them without synthetic clouds. The
       legend is not published: give *class_names*.

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_luojiaset
        >>> root = write_miniature_luojiaset(folder, pairs=3)
        >>> dataset = LuojiaSET.on_own_grids(root, split='test')
        >>> len(dataset)
        2
    """

    name = 'luojiaset'
    title = 'LuojiaSET-OSFCR'
    layout = '0-20%/s1, s2, s2_cloudy, land_cover_maps, ...'
    layers = by_key(
        Layer('image', 's2_cloudy', nodata=0, **OPTICAL),
        Layer('image_clear', 's2', nodata=0, **OPTICAL),
        Layer('image_sar', 's1', ('VV', 'VH'), ('float32',), size_px=(256, 256), may_be_nan=True),
        Layer('mask_cloud', 'cloud_detection_results', ('cloud',), ('float32', 'uint8'), **SINGLE),
        Layer('mask', 'land_cover_maps', ('class',), ('uint8',), **SINGLE),
    )
    reference = 'image_clear'
    rgb_bands = ('B4', 'B3', 'B2')
    legend = tuple(
        LandCoverClass(f'class {code}', (code,), color) for code, color in enumerate(COLORS)
    )
    unknown_codes = ()
    splits: ClassVar[Mapping[str, str]] = {'train': 'all', 'val': 'all', 'test': 'all'}
    blocks = Division(val=0.1, test=0.2)
    optical_scale, optical_offset = 1e-4, -0.1
    ranges: Mapping[str, Range] = {
        'image': ((1000.0,), (11000.0,)),
        'image_clear': ((1000.0,), (11000.0,)),
        'image_sar': ((-25.0, -32.5), (0.0, 0.0)),
    }
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {'image_sar': (-25.0, -32.5)}

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        class_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new LuojiaSET instance.

        Args:
            root: root directory where the dataset can be found.
            split: one of 'train', 'val' or 'test'.
            class_names: names of the 7 classes, by their codes 0 to 6.
            **kwargs: further arguments of
                :class:`~torchgeo_cloudseg.datasets.SceneDataset`.

        Raises:
            ScenesError: If files are missing, unreadable or hold something else than expected.
            ValueError: If there are not 7 names, or an argument is not one of its choices.
        """
        if class_names is not None:
            named = zip(self.legend, class_names, strict=True)
            self.legend = tuple(entry._replace(name=name) for entry, name in named)
        super().__init__(root, split, **kwargs)

    @classmethod
    def scan(cls, root: Path, part: str, layers: Sequence[Layer]) -> Found:  # noqa: ARG003
        """Find all patches, named ``<share of cloud>/ROIs_<r>_p<n>``."""

        def listing(layer: Layer) -> Listing:
            found = [list_folder(root / cover / layer.folder, end='.tif') for cover in COVERS]
            return list(chain(*(paths for paths, _ in found))), list(chain(*(e for _, e in found)))

        def name_of(layer: Layer, path: str) -> str:  # noqa: ARG001
            match = NAME.fullmatch(Path(path).name)
            if match is None:
                raise ValueError('ROIs_<r>_s1|s2|s2_cloudy_p<n>.tif')
            return f'{Path(path).parts[-3]}/{match["roi"]}_{match["patch"]}'

        def path_of(layer: Layer, name: str) -> str:
            cover, roi, patch = re.split(r'/|_(?=p\d+$)', name)
            kind = {'image': 's2_cloudy', 'mask_cloud': 's2_cloudy', 'image_sar': 's1'}
            file = f'{roi}_{kind.get(layer.key, "s2")}_{patch}.tif'
            return str(root / cover / layer.folder / file)

        return pair_files(layers, [listing(layer) for layer in layers], name_of, path_of)
