"""Legends that labels may have, told by their codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..legend import LandCoverClass
from ..m3mcr.layout import LEGENDS

#: Classes of ESA WorldCover by code.
WORLDCOVER = {code: entry for entry in LEGENDS['level2'] for code in entry.codes}

#: Classes of WorldCover that only their codes would tell, and how many of them are enough.
WORLDCOVER_TELLING, WORLDCOVER_ENOUGH = {10, 20, 30, 40, 50, 60, 80, 90, 95}, 3

#: Classes of CORINE land cover, level 3, in the colors of its maps, by code.
CORINE = {
    code: LandCoverClass(name, (code,), color)
    for code, name, color in (
        (111, 'continuous urban fabric', (230, 0, 77)),
        (112, 'discontinuous urban fabric', (255, 0, 0)),
        (121, 'industrial or commercial units', (204, 77, 242)),
        (122, 'road and rail networks', (204, 0, 0)),
        (123, 'port areas', (230, 204, 204)),
        (124, 'airports', (230, 204, 230)),
        (131, 'mineral extraction sites', (166, 0, 204)),
        (132, 'dump sites', (166, 77, 0)),
        (133, 'construction sites', (255, 77, 255)),
        (141, 'green urban areas', (255, 166, 255)),
        (142, 'sport and leisure facilities', (255, 230, 255)),
        (211, 'non-irrigated arable land', (255, 255, 168)),
        (212, 'permanently irrigated land', (255, 255, 0)),
        (213, 'rice fields', (230, 230, 0)),
        (221, 'vineyards', (230, 128, 0)),
        (222, 'fruit trees and berry plantations', (242, 166, 77)),
        (223, 'olive groves', (230, 166, 0)),
        (231, 'pastures', (230, 230, 77)),
        (241, 'annual crops with permanent crops', (255, 230, 166)),
        (242, 'complex cultivation patterns', (255, 230, 77)),
        (243, 'agriculture with natural vegetation', (230, 204, 77)),
        (244, 'agro-forestry areas', (242, 204, 166)),
        (311, 'broad-leaved forest', (128, 255, 0)),
        (312, 'coniferous forest', (0, 166, 0)),
        (313, 'mixed forest', (77, 255, 0)),
        (321, 'natural grasslands', (204, 242, 77)),
        (322, 'moors and heathland', (166, 255, 128)),
        (323, 'sclerophyllous vegetation', (166, 230, 77)),
        (324, 'transitional woodland-shrub', (166, 242, 0)),
        (331, 'beaches, dunes, sands', (230, 230, 230)),
        (332, 'bare rocks', (204, 204, 204)),
        (333, 'sparsely vegetated areas', (204, 255, 204)),
        (334, 'burnt areas', (0, 0, 0)),
        (335, 'glaciers and perpetual snow', (166, 230, 204)),
        (411, 'inland marshes', (166, 166, 255)),
        (412, 'peat bogs', (77, 77, 255)),
        (421, 'salt marshes', (204, 204, 255)),
        (422, 'salines', (230, 230, 255)),
        (423, 'intertidal flats', (166, 166, 230)),
        (511, 'water courses', (0, 204, 242)),
        (512, 'water bodies', (128, 242, 230)),
        (521, 'coastal lagoons', (0, 255, 166)),
        (522, 'estuaries', (166, 255, 230)),
        (523, 'sea and ocean', (230, 242, 255)),
    )
}

#: Codes of what CORINE does not map.
NOT_CORINE = {0, 990, 995, 999}


def known_legend(
    codes: Collection[float], unknown: Collection[float] = ()
) -> tuple[Mapping[int, LandCoverClass], Collection[int]]:
    """Tell the legend of labels from their codes.

    Args:
        codes: all codes that there are.
        unknown: those that are known to be no class; negative ones are none, either.

    Returns:
        classes by code, and codes that stand for no class; nothing where no legend has all codes.
    """
    own = {code for code in codes if code > 0} - set(unknown)
    if own <= WORLDCOVER.keys() and len(own & WORLDCOVER_TELLING) > WORLDCOVER_ENOUGH:
        return WORLDCOVER, {0}
    own -= NOT_CORINE
    return (CORINE, NOT_CORINE) if own and own <= CORINE.keys() else ({}, ())
