"""A folder of images as a data set, declared by arguments."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ...index import IndexStore, Layer, NominalPlaces, read_scene_table
from ...index.file_table import read_file_table
from ...rasters import SceneError
from ..scene_dataset import SceneDataset, check_choice
from ..scene_scan import EmptySplitError
from .cutting import cut_scenes
from .declaration import Classes, FolderDeclaration
from .division import Division
from .modality import Modality
from .pairing import pair_modalities

logger = logging.getLogger(__name__)


class SceneFolder(FolderDeclaration, SceneDataset):
    """Your own images: optical, SAR, or both, with labels and cloud masks or without.

    Nothing is assumed of names and folders: arguments say where files are, what they hold, and
    which belong together; ``cloudseg inspect`` writes them. Every file of the first image given
    (*image*, *image_clear* or *image_sar*) is a scene, and samples lie on its pixels: these are
    returned as stored. Other images, labels and masks may lie on other grids, in another CRS, or be
    one large raster for all scenes: they are brought to the scene's pixels, images bilinearly,
    labels and masks by nearest neighbor. Files without a georeference cover their scene; scenes
    without one are laid out side by side.

    Example:
        >>> bands = ['B', 'G', 'R', 'N']
        >>> dataset = SceneFolder.zoned(
        ...     root / 'train',
        ...     image=Modality('planet_cloudy_*/**/*.tif', bands=bands, range=(0, 10_000)),
        ...     image_sar=Modality('S1_*/**/*.tif', bands=['VV', 'VH'], range=(-30, 0)),
        ...     mask=Modality('landcover_*/**/*.tif'),
        ...     classes={'vegetation': [10, 20, 30, 40], 'built-up': [50], 'water': [80]},
        ...     unknown_codes=[0, 60, 70, 90, 95, 100],
        ... )
        >>> tuple(dataset[dataset.bounds]['image_sar'].shape[:1])
        (2,)

    ================= ============ ======= ====================================================
    key               shape        dtype   what
    ================= ============ ======= ====================================================
    ``image``         (C, H, W)    float32 optical image as observed, stored values
    ``image_clear``   (C, H, W)    float32 the same place without clouds
    ``image_sar``     (S, H, W)    float32 SAR image; missing pixels have the mean of the band
    ``mask_cloud``    (H, W)       int64   1 cloud, 0 clear
    ``mask``          (h, w)       int64   classes in the order given; 255 is unknown
    ================= ============ ======= ====================================================
    """

    def __init__(
        self,
        root: str | Path = '.',
        split: str = 'train',
        image: Modality | None = None,
        image_clear: Modality | None = None,
        image_sar: Modality | None = None,
        mask_cloud: Modality | None = None,
        mask: Modality | None = None,
        classes: Classes | None = None,
        unknown_codes: Sequence[int] = (),
        division: Division | None = None,
        incomplete: Literal['error', 'skip'] = 'error',
        rgb: Sequence[str] = (),
        pixel_size_m: float = 10.0,
        label_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneFolder instance.

        Args:
            root: folder where the images are.
            split: 'train', 'val' or 'test'.
            image: optical images, with their clouds if there are any.
            image_clear: the same places without clouds.
            image_sar: SAR images.
            mask_cloud: cloud masks.
            mask: labels.
            classes: stored codes of each class, by its name: ``{'forest': [311, 312]}``, or, with
                a color, ``{'forest': {'codes': [311, 312], 'color': [0, 100, 0]}}``.
            unknown_codes: stored codes of pixels that belong to no class; any other code is an
                error.
            division: how scenes are divided into splits (defaults to blocks of ground).
            incomplete: what to do about scenes of which a file is missing, and files that belong to
                no scene: 'error' or 'skip'.
            rgb: names of the red, green and blue band, for pictures.
            pixel_size_m: side of a pixel of the image in meters, for synthetic clouds, and for
                images that do not say where they lie.
            label_scale: pixels of the returned labels per pixel of the image, such as 0.5.
            **kwargs: further arguments of
                :class:`~torchgeo_cloudseg.datasets.SceneDataset`; *val_share* has no effect, and
                *file_list* is a text file with names of scenes, instead of *division*.

        Raises:
            DatasetNotFoundError: If there is no scene.
            EmptySplitError: If there are scenes, but none in this split.
            ScenesError: If files are missing, unreadable, paired with none or with several, lie
                apart, or hold something else than declared; all of them are named.
            ValueError: If the declaration contradicts itself; all contradictions are named.
        """
        check_choice('incomplete', incomplete, ('error', 'skip'))
        self.division = division or Division()
        self.incomplete = incomplete
        modalities = {
            'image': image,
            'image_clear': image_clear,
            'image_sar': image_sar,
            'mask_cloud': mask_cloud,
            'mask': mask,
        }
        facts = (classes, unknown_codes, label_scale, pixel_size_m, rgb)
        self.declare(Path(root), modalities, *facts)
        super().__init__(root, split, **kwargs)

    def read_scenes(self, layers: Mapping[str, Layer]) -> tuple[pd.DataFrame, list[SceneError]]:
        """The sound scenes of the split.

        Args:
            layers: the modalities that every scene must have, by key.

        Returns:
            the table, see :func:`~torchgeo_cloudseg.index.read_scene_table`, and what is wrong
            with others.

        Raises:
            EmptySplitError: if there are scenes, but none in this split.
        """
        root = Path(self.root)
        store = IndexStore(str(root), self.index_dir)
        there = {key: self.modalities_of[key] for key in layers}
        found = pair_modalities(
            root, there, self.reference, lambda paths: read_file_table(paths, store, 'places')
        )
        nominal = NominalPlaces(self.pixel_size_m)
        table, broken = read_scene_table(
            found.scenes, layers, self.reference, store, 'folder', self.layers, nominal=nominal
        )
        problems = [*found.problems, *broken]
        if found.incomplete and self.incomplete == 'skip':
            rest = len(found.incomplete)
            logger.info('%s: %d files or scenes are incomplete and left out.', root, rest)
        else:
            problems += found.incomplete
        if table.empty or problems:
            return table, problems
        if self.division.cut_px is not None:
            table = cut_scenes(table, layers, self.division.cut_px)
        chosen = self._chosen(table, root)
        if not chosen.any():
            raise EmptySplitError(
                f'{root}: split={self.split!r} has no scene: {self.division} leaves it none of the '
                f'{len(table)} scenes. Add scenes, change `division`, or have it cut large scenes '
                'into parts, such as `cut_px: 256`.'
            )
        return table[chosen].reset_index(drop=True), []

    def _chosen(self, table: pd.DataFrame, root: Path) -> pd.Series:
        """Which scenes are of the split."""
        if self.file_list is None:
            return pd.Series(self.division.divide(table, root) == self.split)
        listed = Division(by='lists', lists={self.split: str(Path(self.file_list).absolute())})
        return pd.Series(listed.divide(table, root) == self.split)
