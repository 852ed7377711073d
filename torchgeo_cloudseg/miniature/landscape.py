"""The lie of the land: rivers, woods, parcels, towns and roads of a procedural landscape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .covers import INDEX
from .fields import Array, draw_field

#: Sizes in meters.
HILL_M = 320.0
RIVER_BEND_M = 1000.0
ROUGHNESS_M = 35.0
PASTURE_M = 200.0
STREET_BEND_M = 500.0

#: Distance between streets, which is the depth of parcels; how wide parcels are; distance between
#: roads, and their width.
STREET_M = 90.0
PARCEL_M = (70.0, 240.0)
ROAD_M = 7 * STREET_M
ROAD_WIDTH_M = 9.0

#: How far streets are bent from straight lines, in meters.
BEND_M = 45.0

#: How strongly slopes differ in brightness.
RELIEF = 0.04

#: Standard deviation of the logarithm by which shares of covers vary between landscapes.
VARIATION = 0.25

#: What has a share of the land, with how much of it, 0 to 1.
Shares = Mapping[str, float]


class Landscape(NamedTuple):
    """A piece of land. All maps are (H, W)."""

    #: Land cover, as indices into :data:`~.covers.COVERS`; roads are kept apart.
    cover: NDArray[np.uint8]
    #: Where there are roads.
    road: NDArray[np.bool_]
    #: A random number per parcel, 0 to 1.
    parcel: Array
    #: Sunlight on the slopes relative to level ground.
    shade: Array
    #: Position along and across the streets, in meters.
    along_m: Array
    across_m: Array

    def sampled(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Landscape:
        """The same land on another grid, by nearest neighbor.

        Args:
            rows: for every row of that grid, the row of this one.
            cols: for every column of that grid, the column of this one.

        Returns:
            the land on that grid.
        """
        return Landscape._make(layer[np.ix_(rows, cols)] for layer in self)


def draw_landscape(
    rng: np.random.Generator, shape: tuple[int, int], pixel_m: float, shares: Shares
) -> Landscape:
    """Draw a landscape.

    A river winds along the zero line of a smooth field, with wetland on its banks; woods lie on
    the hills and fade into shrubs; towns, pastures and bare land are made of whole parcels.

    Args:
        rng: source of randomness.
        shape: height and width in pixels.
        pixel_m: side of a pixel in meters.
        shares: share of each cover, 0 to 1, by name; covers that are left out do not occur, and
            cropland fills the rest.

    Returns:
        the landscape.
    """

    def field(size_m: float) -> Array:
        return draw_field(rng, shape, size_m / pixel_m)

    def by_parcel(values: Array) -> Array:
        total = np.bincount(parcel.ravel(), values.ravel())
        return (total / np.maximum(np.bincount(parcel.ravel()), 1)).astype(np.float32)[parcel]

    turn = rng.uniform(0, np.pi)
    rows, cols = np.indices(shape, np.float32) * np.float32(pixel_m)
    along = cols * np.cos(turn) + rows * np.sin(turn) + BEND_M * field(STREET_BEND_M)
    across = rows * np.cos(turn) - cols * np.sin(turn) + BEND_M * field(STREET_BEND_M)
    strip = cells(along / STREET_M)
    parcel = cells(along / STREET_M, across / rng.uniform(*PARCEL_M, strip.max() + 1)[strip])

    hills, bends, rough, pastures = map(field, (HILL_M, RIVER_BEND_M, ROUGHNESS_M, PASTURE_M))
    # distance to the zero line where the field is close to linear: the river keeps its width
    river = -np.abs(bends) / np.maximum(np.hypot(*np.gradient(bends, pixel_m)), 0.15 / RIVER_BEND_M)
    # where each cover would like to be, first come, first served
    wishes = {
        'water': river * (1 + 0.15 * rough),
        'wetland': river - 80 * pastures,
        'mangroves': river + 60 * rough,
        'snow': hills,
        'moss': field(55),
        'unmapped': field(45),
        'city': by_parcel(field(250)),
        'village': by_parcel(field(85)),
        'forest': hills + 0.3 * rough,
        'bare': by_parcel(field(PASTURE_M)) + 0.12 * rough,
        'shrubland': hills + 0.3 * rough + 0.5 * field(100),
        'grassland': by_parcel(pastures),
    }
    cover = np.full(shape, INDEX['cropland'], np.uint8)
    for name in wishes:
        free = cover == INDEX['cropland']
        pixels = cover.size * shares.get(name, 0) * np.exp(VARIATION * rng.standard_normal())
        taken = min(pixels / max(free.sum(), 1), 1)
        if taken:
            cover[free & (wishes[name] >= np.quantile(wishes[name][free], 1 - taken))] = INDEX[name]

    road = (np.minimum(along % ROAD_M, across % ROAD_M) < ROAD_WIDTH_M) & (cover != INDEX['water'])
    sunlit = 1 + RELIEF * HILL_M * sum(np.gradient(hills, pixel_m))
    numbers = rng.random(parcel.max() + 1, np.float32)
    return Landscape(cover, road, numbers[parcel], np.clip(sunlit, 0.6, 1.4), along, across)


def cells(*positions: Array) -> NDArray[np.int64]:
    """Number the cells of a grid.

    Args:
        *positions: of each pixel along each axis of the grid, in cells.

    Returns:
        number of the cell in which each pixel lies, from 0 on.
    """
    number = np.zeros(positions[0].shape, np.int64)
    for position in positions:
        whole = np.floor(position).astype(np.int64)
        number = number * (whole.max() - whole.min() + 1) + whole - whole.min()
    return number
