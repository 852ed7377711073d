"""Data module of your own images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..datasets import SceneDataset, SceneError, SceneFolder, ScenesError, ZonedDataset
from ..datasets.inspection import check_declaration
from ..datasets.inspection.judgment import CLIPPED
from ..datasets.scene_folder.declaration import FolderDeclaration
from ..samplers import CenterSceneSampler
from .scene_datamodule import SceneDataModule, refuse_file_list
from .sky import Clouds

#: Images of each split that are looked at before training.
LOOKED_AT = 32


class SceneFolderDataModule(SceneDataModule):
    """LightningDataModule for your own images, declared by arguments, see :class:`SceneFolder`.

    Clouds are those of the images (*image* with *mask_cloud* and, where there is one, a cloud-free
    *image_clear*), or synthetic ones (*clouds*). In training every patch gets new ones each time,
    in validation and testing the same place always has the same clouds.

    Training draws random patches. Where scenes are small, validation takes the center patch of
    every scene, testing and prediction the whole scene; where they are large (*test_size*), they
    are divided into tiles. Images are scaled to 0..1 on the device.

    Example:
        >>> from torchgeo_cloudseg.datasets import Modality
        >>> datamodule = SceneFolderDataModule(
        ...     batch_size=2,
        ...     patch_size=80,
        ...     root=root / 'train',
        ...     image=Modality('planet_cloudy_*/**/*.tif', bands=list('BGRN'), range=(0, 10_000)),
        ... )
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image'].shape)
        (2, 4, 80, 80)
    """

    def __init__(
        self,
        batch_size: int = 8,
        patch_size: int | tuple[int, int] = 128,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        test_batch_size: int | None = None,
        test_size: int | tuple[int, int] | None = None,
        clouds: Clouds = None,
        stack: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneFolderDataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to those that fit into the
                scenes side by side).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: Text file with the names of the training scenes (defaults to *division*).
            val_list: Text file with the names of the validation scenes.
            test_list: Text file with the names of the test scenes.
            test_batch_size: Scenes per mini-batch in test and prediction (defaults to a quarter
                of *batch_size*); 1 where scenes differ in size.
            test_size: Size of the largest tiles in test and prediction, which come in batches of
                one, either ``size`` or ``(height, width)`` (defaults to whole scenes).
            clouds: Preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its
                arguments by name, to draw clouds on the optical image; None for none.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.SceneFolder`.

        Raises:
            ValueError: If an argument of the clouds is outside its range, the declaration of the
                images contradicts itself, or *file_list* is given: every split has its own list.
        """
        refuse_file_list(kwargs)
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        self.facts = FolderDeclaration.of_arguments(kwargs)
        tests = (test_batch_size, test_size)
        super().__init__(SceneFolder, *common, *lists, *tests, clouds, stack, self.facts)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def setup(self, stage: str) -> None:
        """Set up datasets and samplers, and see whether images hold what is declared.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.

        Raises:
            ScenesError: If files do not fit the declaration. Before training, all that is wrong is
                looked for: ranges that clip most pixels and classes that do not occur, too.
        """
        if stage != 'fit':
            super().setup(stage)
            return
        try:
            super().setup(stage)
            fits = self._fits()
        except (SceneError, ScenesError) as error:
            known = error.problems if isinstance(error, ScenesError) else [error]
            found = check_declaration(self.kwargs).problems
            raise ScenesError(merge_errors(known, found)) from error
        if not fits and (found := check_declaration(self.kwargs).problems):
            raise ScenesError(found)

    def _fits(self) -> bool:
        """Whether some images lie within the ranges, and show every class."""
        samples: list[dict[str, Any]] = []
        both: tuple[Any, Any] = (self.train_dataset, self.val_dataset)
        for dataset in both:
            queries = list(CenterSceneSampler(dataset, self.patch_size)) if dataset else []
            chosen = np.random.default_rng(self.seed).permutation(len(queries))[:LOOKED_AT]
            samples += [dataset[queries[i]] for i in chosen]
        seen = {int(label) for s in samples if 'mask' in s for label in s['mask'].unique()}
        every = range(len(self.facts.legend)) if 'mask' in self.facts.layers else range(0)
        return seen.issuperset(every) and all(
            share <= CLIPPED
            for key, (low, high) in self.facts.ranges.items()
            for share in _clipped([s[key] for s in samples if key in s], low, high)
        )

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Scenes of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return SceneFolder.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)


def merge_errors(first: Sequence[SceneError], second: Sequence[SceneError]) -> list[SceneError]:
    """Errors of two passes, those of files that both name once."""
    named = {error.path for error in first}
    return [*first, *(error for error in second if error.path not in named)]


def _clipped(images: Sequence[Tensor], low: Sequence[float], high: Sequence[float]) -> list[float]:
    """Share of the pixels of each band that lie beyond a range."""
    if not images:
        return []
    values = torch.cat([image.flatten(1) for image in images], dim=1)
    ends = (torch.tensor(end)[:, None] for end in (low, high))
    beyond = (values < next(ends)) | (values > next(ends))
    shares: list[float] = beyond.float().mean(dim=1).tolist()
    return shares
