"""The facts of a folder of images, as arguments state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

from ...index import Layer
from ...rasters import exact_scale
from ...rasters.cog import Color
from ..legend import LandCoverClass
from ..scene_declaration import SceneDeclaration
from ..scene_spec import Range
from .modality import Modality

#: Colors of classes that have none of their own, well apart from each other.
PALETTE: tuple[Color, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (102, 102, 102), (140, 81, 10), (127, 201, 127), (190, 174, 212),
    (166, 118, 29), (102, 166, 30), (231, 41, 138), (117, 112, 179), (27, 120, 55),
)  # fmt: skip

#: Stored codes of a class, by its name; with a color, as ``{codes: [1, 2], color: [0, 100, 0]}``.
Classes = dict[str, int | list[int] | dict[str, Any]]

#: Arguments of a data set that are modalities, in the order of samples, and those that state facts.
MODALITIES = ('image', 'image_clear', 'image_sar', 'mask_cloud', 'mask')
FACTS = ('classes', 'unknown_codes', 'label_scale', 'pixel_size_m', 'rgb')

#: Codes that a cloud mask may have.
MASK_CODES = range(-128, 256)


def make_legend(classes: Classes) -> tuple[LandCoverClass, ...]:
    """Classes of a legend.

    Args:
        classes: codes, or codes and color, by name.

    Returns:
        the classes, in order.

    Raises:
        ValueError: if a class has no codes, or a code belongs to two classes.
    """
    legend: list[LandCoverClass] = []
    taken: dict[int, str] = {}
    for name, given in classes.items():
        entry: Mapping[str, Any] = given if isinstance(given, Mapping) else {'codes': given}
        stated = entry.get('codes')
        codes: list[int] = [stated] if isinstance(stated, int) else list(stated or ())
        unknown = set(entry) - {'codes', 'color'}
        if not codes or unknown or not all(isinstance(code, int) for code in codes):
            raise ValueError(
                f'classes: found {name}: {given!r}, expected its codes, such as {name}: [1, 2], or '
                f'{name}: {{codes: [1, 2], color: [0, 100, 0]}}.'
            )
        twice = [f'{code} ({taken[code]})' for code in codes if code in taken]
        if twice:
            raise ValueError(
                f'classes: the code(s) {", ".join(twice)} belong to {name}, too. Name each once.'
            )
        taken |= dict.fromkeys(codes, name)
        red, green, blue = entry.get('color') or PALETTE[len(legend) % len(PALETTE)]
        legend.append(LandCoverClass(str(name), tuple(codes), (red, green, blue)))
    return tuple(legend)


class FolderDeclaration(SceneDeclaration):
    """What a folder of images states about itself, from arguments instead of a class."""

    title = 'Scene folder'
    nominal_places = True
    # all scenes are one part, which a division divides
    splits: ClassVar[Mapping[str, str]] = {'train': 'all', 'val': 'all', 'test': 'all'}

    modalities_of: Mapping[str, Modality]

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """What arguments of a :class:`~.dataset.SceneFolder` state.

        Args:
            arguments: the arguments by name; those that state no facts have no effect.

        Returns:
            the facts.

        Raises:
            ValueError: if there is no image, or facts contradict each other.
        """
        facts = cls()
        modalities = {key: arguments.get(key) for key in MODALITIES}
        given = {name: arguments[name] for name in FACTS if name in arguments}
        facts.declare(Path(arguments.get('root', '.')), modalities, **given)
        return facts

    def declare(
        self,
        root: Path,
        modalities: Mapping[str, Modality | None],
        classes: Classes | None = None,
        unknown_codes: Sequence[int] = (),
        label_scale: float = 1.0,
        pixel_size_m: float = 10.0,
        rgb: Sequence[str] = (),
    ) -> None:
        """State the facts.

        Args:
            root: root of the data set.
            modalities: what there is, by sample key; None for what there is not.
            classes: codes of each class, by its name.
            unknown_codes: codes that stand for no class.
            label_scale: pixels of the returned labels per pixel of the image.
            pixel_size_m: side of a pixel of the image in meters.
            rgb: names of its red, green and blue band.

        Raises:
            ValueError: if there is no image, or facts contradict each other; all that is wrong.
        """
        there = {key: given for key, given in modalities.items() if given is not None}
        images = [key for key in there if not key.startswith('mask')]
        wrong = [text for key, modality in there.items() for text in modality.check(key)]
        if not images:
            wrong.append('there is no image: give `image`, `image_clear` or `image_sar`.')
        if 'mask' in there and not classes:
            wrong.append('`mask` needs `classes`: the stored codes of each class, by its name.')
        optical = there.get('image') or there.get('image_clear')
        unknown = [name for name in rgb if optical and name not in optical.band_names]
        if unknown:
            wrong.append(f'rgb: {unknown} are no bands of the image.')
        legend: tuple[LandCoverClass, ...] = ()
        try:
            legend = make_legend(classes or {})
        except ValueError as error:
            wrong.append(str(error))
        if wrong:
            raise ValueError('\n  '.join([f'{root}: the declaration is not consistent:', *wrong]))
        ranges: dict[str, Range] = {key: there[key].ends for key in images}
        if optical is not None:
            # what is clear and what is seen are scaled alike, whichever of them there is
            ranges = {'image': optical.ends, 'image_clear': optical.ends, **ranges}
        layers = {key: _layer(key, modality, root) for key, modality in there.items()}
        fills = {'image_sar': ranges['image_sar'][0]} if 'image_sar' in there else {}
        cloudy = there['mask_cloud'].codes if 'mask_cloud' in there else [1]
        # facts of this instance, where other data sets have facts of a class
        vars(self).update(
            modalities_of=there,
            layers=layers,
            reference=images[0],
            all_bands=layers[images[0]].bands,
            rgb_bands=tuple(rgb),
            legend=legend,
            unknown_codes=tuple(unknown_codes),
            cloud_codes={code: int(code in cloudy) for code in {*MASK_CODES, *cloudy}},
            ranges=ranges,
            fills=fills,
            pixel_size_m=pixel_size_m,
            label_ratio=exact_scale(label_scale) if 'mask' in there else Fraction(1),
        )


def _layer(key: str, modality: Modality, root: Path) -> Layer:
    files, _ = modality.find(root)
    first = next((path for paths in files.values() for path in paths), '')
    return modality.layer(key, first.lower().endswith('.npy'))
