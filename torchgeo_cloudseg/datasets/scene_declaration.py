"""What a data set states about itself: its layers, classes, splits and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from .._choices import Range
from ..index import Layer, SceneFiles
from .legend import CodeTable, LandCoverClass, label_codes
from .registry import register_dataset
from .scene_scan import Found, choose_by_name, pair_by_name, split_areas
from .scene_spec import SceneSpec

if TYPE_CHECKING:
    from .scene_folder.division import Division


class SceneDeclaration:
    """The facts of a data set, and how its scenes are found.

    See :class:`~.scene_dataset.SceneDataset` for an example.
    """

    #: Name by which the command line knows the data set, and name for people.
    name: ClassVar[str] = ''
    title: ClassVar[str] = ''

    #: What the folders below the root look like, in a few words.
    layout: ClassVar[str] = ''

    #: Names of the bands of the optical image, in order; by default those of its layer.
    all_bands: tuple[str, ...] = ()

    #: Names of its red, green and blue band; without, its first band is shown in gray.
    rgb_bands: tuple[str, ...] = ()

    #: Modalities by sample key, in the order in which samples show them.
    layers: Mapping[str, Layer]

    #: Modality on whose grid the scene lies; by default the first one.
    reference: ClassVar[str] = ''

    #: Classes of the labels, in order.
    legend: Sequence[LandCoverClass] = ()

    #: All legends by name, where the argument ``classes`` of a data set chooses one.
    legends: ClassVar[Mapping[str, Sequence[LandCoverClass]]] = {}

    #: Stored label codes that stand for no class, where the legend does not name them.
    unknown_codes: Sequence[int] = (0,)

    #: What each stored code of the cloud mask means: 1 cloud, 0 clear.
    cloud_codes: Mapping[int, int] = MappingProxyType({0: 0, 1: 1})

    #: Part of the data set, as published, from which each split is taken. Where several splits are
    #: taken from one part, :meth:`divide` divides its areas.
    splits: ClassVar[Mapping[str, str]] = {'train': 'train', 'val': 'train', 'test': 'test'}

    #: How scenes are divided by their places, where all splits are taken from one part.
    blocks: ClassVar[Division | None] = None

    #: Whether places may be nominal, so that samples have to say if they are (key ``nominal``). A
    #: file without CRS then covers the ground that :attr:`~.index.SceneFiles.bounds` of its scene
    #: says, else that of a file of its scene that has a CRS. Scenes of which no file has one, such
    #: as PNG patches, are laid out side by side in EPSG:6933, with pixels of :attr:`pixel_size_m`,
    #: in the order of the scan (see :class:`~torchgeo_cloudseg.index.NominalPlaces`): samplers,
    #: splits and seeds by place work, and no two of them touch.
    nominal_places: ClassVar[bool] = False

    #: Stored values that are brought to 0 and 1, by sample key; per band where they differ.
    ranges: Mapping[str, Range]

    #: Reflectance, or another physical unit, per stored unit of optical images, and that of a
    #: stored 0; None where values have no such meaning.
    optical_scale: float | None = None
    optical_offset: float = 0.0

    #: Value for ground that no scene covers, by sample key; per band where it is a tuple. By
    #: default 0, and :attr:`ignore_index` for labels.
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {}

    #: Label of pixels that belong to no class.
    ignore_index: ClassVar[int] = 255

    #: Pixels of the grid that all layers have in common, on the scene's grid.
    grid_step_px: ClassVar[int] = 1

    #: Side of a pixel of the scene's grid in meters, for synthetic clouds.
    pixel_size_m: ClassVar[float] = 10.0

    #: Pixels of the returned label per pixel of the scene's grid; by default those of its layer.
    label_ratio: Fraction = Fraction(1)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Complete the declaration, and add a data set that has a name to the registry."""
        super().__init_subclass__(**kwargs)
        layers = getattr(cls, 'layers', {})
        if layers and not cls.reference:
            cls.reference = next(iter(layers))
        if layers and not cls.all_bands:
            cls.all_bands = layers.get('image', layers[cls.reference]).bands
        if 'layers' in cls.__dict__ and 'mask' in layers:
            cls.label_ratio = layers['mask'].ratio
        if cls.__dict__.get('name'):
            register_dataset(cls)  # type: ignore[arg-type]  # a declaration alone has no name

    @classmethod
    def scan(cls, root: Path, part: str, layers: Sequence[Layer]) -> Found:
        """Find the scenes of a part of the data set; to be replaced where the layout is another.

        No file has to be opened: headers are read, checked and kept by the index.

        Args:
            root: root directory of the data set.
            part: part of the data set, one of the values of :attr:`splits`.
            layers: the modalities that every scene must have.

        Returns:
            the scenes, always in the same order, and an error for each file that is missing or
            does not belong there.
        """
        return pair_by_name({layer.key: root / part / layer.folder for layer in layers}, layers)

    @classmethod
    def scan_list(cls, file_list: Path, root: Path, part: str, layers: Sequence[Layer]) -> Found:  # noqa: ARG003
        """Find the scenes of a list; to be replaced where lists have another format.

        Args:
            file_list: text file with the names of scenes, one a line.
            root: root directory of the data set.
            part: part of the data set to which the list belongs, where its format needs it, as
                that of M3M-CR does.
            layers: the modalities that every scene must have.

        Returns:
            as :meth:`scan`, in the order of the list; the scenes may be of any part.

        Raises:
            ValueError: if there is no scene of a name.
        """
        return choose_by_name(file_list, root, list(cls.scan_all(root, layers)))

    @classmethod
    def scan_all(cls, root: Path, layers: Sequence[Layer]) -> Found:
        """Find the scenes of all parts, of which a list may name some.

        Args:
            root: root directory of the data set.
            layers: the modalities that every scene must have.

        Returns:
            as :meth:`scan`.
        """
        parts = dict.fromkeys(cls.splits.values())
        return chain.from_iterable(cls.scan(root, part, layers) for part in parts)

    @classmethod
    def divide(cls, areas: Iterable[str], split: str, val_share: float) -> set[str]:
        """Areas of a split, where several splits are taken from one part of the data set.

        Args:
            areas: all areas of the part.
            split: the split.
            val_share: share of the areas that is for validation, 0 to 1.

        Returns:
            its areas, always the same; by default those that a hash of the name says.
        """
        return split_areas(areas, split, val_share)

    @classmethod
    def looks_like(cls, root: Path) -> bool:
        """Whether a folder holds this data set, as far as its subfolders tell.

        Args:
            root: root directory of a data set.

        Returns:
            by default, True where there is a scene in any of the parts.
        """
        found = cls.scan_all(root, list(cls.layers.values()))
        return any(isinstance(entry, SceneFiles) for entry in found)

    @classmethod
    def codes_at(cls, root: Path) -> Mapping[str, CodeTable]:  # noqa: ARG003
        """What stored codes mean; to be replaced where files of a root have others.

        Args:
            root: root directory of the data set.

        Returns:
            tables by sample key.
        """
        return code_tables(cls)

    @classmethod
    def layout_of(cls, part: str) -> str:
        """What the files of a part look like, for messages."""
        layer = cls.layers[cls.reference]
        return f'{part}/{layer.folder}/*{layer.suffix}'

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Positions of the red, green and blue band."""
        return _rgb(_bands(self), self.rgb_bands)

    @property
    def fill_values(self) -> dict[str, float | tuple[float, ...]]:
        """Values for ground that no scene covers, by sample key; 0 for others."""
        return {'mask': self.ignore_index, **self.fills}

    def scene_spec(self, window: int = 160) -> SceneSpec:
        """The facts that a network trained on this data set, and its maps, need.

        Args:
            window: side of the training patches in pixels of the scene's grid.

        Returns:
            bands, ranges, classes, colors and the grid of the labels.
        """
        return _spec(self, self.legend, window)

    @classmethod
    def published_spec(cls, num_classes: int, window: int = 160) -> SceneSpec:
        """The facts of the data set as it was published, for a network that has none.

        Args:
            num_classes: number of classes that the network knows.
            window: side of its training patches in pixels of the scene's grid.

        Returns:
            bands, ranges, classes, colors and the grid of the labels.

        Raises:
            ValueError: if the data set has no legend of so many classes.
        """
        chosen = cls.arguments_for(num_classes).get('classes')
        legend = cls.legends[chosen] if chosen else cls.legend
        return _spec(cls, legend, window)

    @classmethod
    def arguments_for(cls, num_classes: int) -> dict[str, Any]:
        """Arguments with which the data set has so many classes.

        Args:
            num_classes: number of classes.

        Returns:
            ``classes`` where there are several legends, else nothing.

        Raises:
            ValueError: if there is no legend of so many classes.
        """
        legends = cls.legends or {'': cls.legend}
        for name, legend in legends.items():
            if len(legend) == num_classes:
                return {'classes': name} if name else {}
        known = ' or '.join(str(len(legend)) for legend in legends.values())
        raise ValueError(f'{cls.__name__} has {known} classes, expected {num_classes}.')


def code_tables(facts: SceneDeclaration | type[SceneDeclaration]) -> dict[str, CodeTable]:
    """What stored codes of labels and cloud masks mean, as a data set or its class states it.

    Args:
        facts: the data set, or its class.

    Returns:
        tables by sample key.
    """
    return {
        'mask': label_codes(facts.legend, facts.unknown_codes, facts.ignore_index),
        'mask_cloud': CodeTable(facts.cloud_codes, unknown=0),
    }


def _spec(
    facts: SceneDeclaration | type[SceneDeclaration], legend: Sequence[LandCoverClass], window: int
) -> SceneSpec:
    """The facts for a network, as a data set or its class states them."""
    unit = ((0.0,), (1.0,))
    optical = facts.layers.get('image') or facts.layers.get('image_clear')
    sar = facts.layers.get('image_sar')
    return SceneSpec(
        class_names=tuple(entry.name for entry in legend),
        class_colors=tuple(entry.color for entry in legend),
        optical_bands=_numbers(optical),
        sar_bands=_numbers(sar),
        optical_range=facts.ranges.get(optical.key, unit) if optical else unit,
        sar_range=facts.ranges.get('image_sar', unit),
        optical_nodata=optical.nodata if optical else None,
        optical_scale=facts.optical_scale,
        optical_offset=facts.optical_offset,
        optical_names=optical.bands if optical else (),
        sar_names=sar.bands if sar else (),
        images=tuple(name for name, layer in (('optical', optical), ('sar', sar)) if layer),
        label_scale=facts.label_ratio,
        window=window,
        rgb=_rgb(_bands(facts), facts.rgb_bands),
        exact=tuple(
            name
            for name, layer in (('optical', optical), ('sar', sar))
            if layer is not None and not layer.numbers
        ),
    )


def _numbers(layer: Layer | None) -> tuple[int, ...]:
    """Bands of a layer, counted from 1; where there is no such layer, one that is not looked at."""
    if layer is None:
        return (1,)
    return layer.numbers or tuple(range(1, len(layer.bands) + 1))


def _bands(facts: SceneDeclaration | type[SceneDeclaration]) -> tuple[str, ...]:
    """Names of the optical bands in samples."""
    names: tuple[str, ...] = getattr(facts, 'bands', ()) or facts.all_bands
    return names


def choose_bands(
    facts: SceneDeclaration, bands: Sequence[str]
) -> tuple[dict[str, Layer], dict[str, Range]]:
    """Layers and ranges of some optical bands.

    Args:
        facts: what a data set states.
        bands: the bands, in the order wanted.

    Returns:
        all layers, of which the optical ones read these bands, and all ranges.
    """
    layers, ranges = dict(facts.layers), dict(facts.ranges)
    places = [facts.all_bands.index(band) for band in bands]
    for key in ('image', 'image_clear'):
        layer = layers.get(key)
        if layer is not None:
            stored = layer.numbers or range(1, len(layer.bands) + 1)
            numbers = tuple(stored[place] for place in places)
            layers[key] = replace(layer, bands=tuple(bands), numbers=numbers)
        if key in ranges:
            low, high = (
                tuple(side[place] for place in places) if len(side) > 1 else side
                for side in ranges[key]
            )
            ranges[key] = low, high
    return layers, ranges


def _rgb(all_bands: tuple[str, ...], rgb_bands: tuple[str, ...]) -> tuple[int, int, int]:
    if len(rgb_bands) != 3 or not set(rgb_bands) <= set(all_bands):
        return 0, 0, 0
    red, green, blue = (all_bands.index(band) for band in rgb_bands)
    return red, green, blue
