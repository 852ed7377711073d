"""Intersections and unions that know whose a query is, and which pixels are only fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from torchgeo.datasets import (
    GeoDataset,
    IntersectionDataset,
    RasterDataset,
    UnionDataset,
    VectorDataset,
    concat_samples,
    merge_samples,
)

from .merging import Sample, concatenate, fills_of, merge, parts_of
from .query import SceneSlice, same_crs


class Joinable(GeoDataset):
    """A data set that can be joined with others by ``&`` and ``|``.

    It answers a :class:`~.query.SceneSlice` in whatever CRS it is, or refuses it.
    """

    def __and__(self, other: GeoDataset) -> Any:
        """The ground that lies in both data sets, with the samples of both.

        Args:
            other: another data set.

        Returns:
            the join.
        """
        return SceneIntersection(self, other)

    def __or__(self, other: GeoDataset) -> Any:
        """The ground that lies in any of the data sets; of this one, where both have pixels.

        Args:
            other: another data set.

        Returns:
            the join.
        """
        return SceneUnion(self, other)

    def knows(self, query: SceneSlice) -> bool:
        """Whether the scene that a query names is one of this data set, and lies there.

        Args:
            query: the query.

        Returns:
            True where it is answered from that scene alone.
        """
        return False


def ask(dataset: GeoDataset, query: Any) -> Sample:
    """Ask a data set, if it understands the query.

    Args:
        dataset: any data set.
        query: slices, in the CRS of the data set, or a query that says its CRS.

    Returns:
        the sample.

    Raises:
        IndexError: if there is nothing at that place.
        ValueError: if the query is in a CRS that the data set would take for its own.
    """
    stated = query.crs if isinstance(query, SceneSlice) else None
    if stated and not isinstance(dataset, Joinable) and not same_crs(stated, dataset.crs):
        raise ValueError(
            f'A query in {stated} cannot be answered by {type(dataset).__name__}, which takes it '
            f'for {dataset.crs.to_string()}. Join it with the data set that was sampled from '
            '(`&`), and sample from the join.'
        )
    sample: Sample = dataset[query]
    return sample


def ask_all(
    datasets: Sequence[GeoDataset], first_scene: Sequence[int], query: Any
) -> list[tuple[int, Sample]]:
    """Ask data sets for what they have at a place.

    Args:
        datasets: the data sets.
        first_scene: what is added to ``scene`` of each.
        query: slices, or a query that says its CRS; where it names a scene of one of them, the
            others are not asked.

    Returns:
        positions and samples of those that have something.

    Raises:
        IndexError: if none has.
        ValueError: as :func:`ask`.
    """
    asked: list[tuple[int, GeoDataset]] = list(enumerate(datasets))
    if isinstance(query, SceneSlice):
        asked = [(i, d) for i, d in asked if isinstance(d, Joinable) and d.knows(query)] or asked
    found = []
    for position, dataset in asked:
        try:
            sample = dict(ask(dataset, query))
        except IndexError:  # how a data set says that it has nothing there
            continue
        if 'scene' in sample:
            sample['scene'] = sample['scene'] + first_scene[position]
        found.append((position, sample))
    if not found:
        raise IndexError(f'index: {query} not found in any of {len(datasets)} data sets.')
    return found


def count_scenes(datasets: Iterable[GeoDataset]) -> list[int]:
    """What to add to the scenes of each data set so that they count through all of them.

    Args:
        datasets: the data sets.

    Returns:
        a number for each; that of the first one for those that share its list of scenes.
    """
    first: list[int] = []
    lists: list[tuple[object, int]] = []
    total = 0
    for dataset in datasets:
        names = getattr(dataset, 'scene_names', None)
        start = next((start for known, start in lists if known is names), None)
        if names is None or start is None:
            start = total
            lists.append((names, start))
            total += len(dataset.index) if names is None else len(names)
        first.append(start)
    return first


def require_distinct_masks(*datasets: GeoDataset) -> None:
    """Refuse to lay masks of several data sets side by side, which means nothing.

    Args:
        *datasets: data sets to be joined.

    Raises:
        ValueError: if two of them return the same mask.
    """
    seen: set[str] = set()
    for dataset in datasets:
        masks = _masks(dataset)
        if common := sorted(seen & masks):
            raise ValueError(
                f'{common[0]!r} is in several of {[type(d).__name__ for d in datasets]}, and '
                'cannot be both. Leave it out of one, as by `modalities=` of a SceneDataset, or '
                'say which one counts: IntersectionDataset(first, second, collate_fn=...).'
            )
        seen |= masks


def require_sampleable(dataset: GeoDataset) -> None:
    """Refuse joins of TorchGeo's own whose samples would not make sense.

    Args:
        dataset: any data set.

    Raises:
        ValueError: as :func:`require_distinct_masks`; for a union with a data set of this package,
            in which fill, such as label 255, may hide pixels.
    """
    parts = getattr(dataset, 'datasets', ())
    for part in parts:
        require_sampleable(part)
    if isinstance(dataset, UnionDataset) and dataset.collate_fn is merge_samples:
        ours = [type(part).__name__ for part in parts if isinstance(part, Joinable)]
        if ours:
            raise ValueError(
                f'TorchGeo joins {" | ".join(type(part).__name__ for part in parts)} by the larger '
                f'of two numbers, and what {ours[0]} has for no pixel may be larger than one. '
                f'Write the {ours[0]} first (`ours | other`, not UnionDataset), or say which '
                'counts: UnionDataset(first, second, collate_fn=...).'
            )
    if isinstance(dataset, IntersectionDataset) and dataset.collate_fn is concat_samples:
        require_distinct_masks(*dataset.datasets)


def _masks(dataset: Any) -> set[str]:
    """Masks that the samples of a data set have."""
    if hasattr(dataset, 'modalities'):
        return {key for key in dataset.modalities if key.startswith('mask')}
    parts = parts_of(dataset)
    if parts:
        return set().union(*map(_masks, parts))
    labels = isinstance(dataset, RasterDataset) and not dataset.is_image
    return {'mask'} if labels or isinstance(dataset, VectorDataset) else set()


class SceneIntersection(Joinable, IntersectionDataset):
    """TorchGeo's intersection, which refuses queries that one of its data sets would misread.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> labels = M3MCR(root, split='test', modalities=['mask'])
        >>> images = M3MCR(root, split='test', modalities=['image'])
        >>> both = images & labels
        >>> type(both).__name__, len(both) == len(images)
        ('SceneIntersection', True)
    """

    def __init__(
        self,
        dataset1: GeoDataset,
        dataset2: GeoDataset,
        spatial_only: bool = False,
        collate_fn: Callable[[Sequence[Sample]], Sample] = concatenate,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Initialize a new SceneIntersection instance.

        Args:
            dataset1: the first data set, whose CRS, resolution and scenes count.
            dataset2: the second data set, which is brought to that CRS and resolution.
            spatial_only: if True, ignore time.
            collate_fn: makes one sample of two.
            transforms: a function/transform that takes an input sample and returns a transformed
                version.

        Raises:
            RuntimeError: if the data sets have nothing in common.
            ValueError: if both have the same mask.
        """
        if collate_fn is concatenate:
            require_distinct_masks(dataset1, dataset2)
        super().__init__(dataset1, dataset2, spatial_only, collate_fn, transforms)

    @property
    def grid_step_px(self) -> int:
        """Pixels between the corners of the grid that all modalities share."""
        return int(getattr(self.datasets[0], 'grid_step_px', 1))

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``.

        Raises:
            AttributeError: if the first data set does not name its scenes.
        """
        first: Any = self.datasets[0]
        names: list[str] = first.scene_names
        return names

    def knows(self, query: SceneSlice) -> bool:
        """Whether the scene that a query names is one of the first data set."""
        first = self.datasets[0]
        return isinstance(first, Joinable) and first.knows(query)

    def __getitem__(self, index: Any) -> Sample:
        """Retrieve a sample.

        Args:
            index: slices in units of :attr:`crs`, or a query that says its CRS.

        Returns:
            the samples of both data sets as one.

        Raises:
            IndexError: if there is nothing at that place.
            ValueError: if one of the data sets would take the query for another place.
        """
        sample = self.collate_fn([ask(dataset, index) for dataset in self.datasets])
        return self.transforms(sample) if self.transforms is not None else sample


class SceneUnion(Joinable, UnionDataset):
    """TorchGeo's union, which merges pixels by what fill is, and scenes by their names.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> train, test = M3MCR(root, split='train'), M3MCR(root, split='test')
        >>> both = train | test
        >>> type(both).__name__, len(both) == len(train) + len(test)
        ('SceneUnion', True)
    """

    def __init__(
        self,
        dataset1: GeoDataset,
        dataset2: GeoDataset,
        collate_fn: Callable[[Sequence[Sample]], Sample] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Initialize a new SceneUnion instance.

        Args:
            dataset1: the first data set, whose CRS and resolution count, and whose pixels do
                where both have some.
            dataset2: the second data set, which is brought to that CRS and resolution.
            collate_fn: makes one sample of two (defaults to :func:`merge`).
            transforms: a function/transform that takes an input sample and returns a transformed
                version.
        """
        how = collate_fn or partial(merge, fills=fills_of(dataset2) | fills_of(dataset1))
        super().__init__(dataset1, dataset2, how, transforms)

    @property
    def grid_step_px(self) -> int:
        """Pixels between the corners of the grid that all modalities share."""
        return int(getattr(self.datasets[0], 'grid_step_px', 1))

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``.

        Raises:
            AttributeError: if a data set does not name its scenes.
        """
        parts: list[Any] = self.datasets
        return [name for part in parts for name in part.scene_names]

    def knows(self, query: SceneSlice) -> bool:
        """Whether the scene that a query names is one of any of the data sets."""
        return any(isinstance(part, Joinable) and part.knows(query) for part in self.datasets)

    def __getitem__(self, index: Any) -> Sample:
        """Retrieve a sample.

        Args:
            index: slices in units of :attr:`crs`, or a query that says its CRS.

        Returns:
            the sample of the data set that has the scene, or of all that have pixels there.

        Raises:
            IndexError: if there is nothing at that place.
            ValueError: if one of the data sets would take the query for another place.
        """
        found = ask_all(self.datasets, count_scenes(self.datasets), index)
        sample = self.collate_fn([sample for _, sample in found])
        return self.transforms(sample) if self.transforms is not None else sample
