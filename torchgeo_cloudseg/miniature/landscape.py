"""The lie of the land: rivers, woods, parcels, towns and roads of a procedural landscape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .covers import INDEX
from .fields import Array, smooth_field, standardized

#: Sizes in meters.
DISTRICT_M = 620.0
PARCEL_M = (75.0, 150.0)
RIVER_BEND_M = 1300.0
HILL_M = 420.0
TOWN_M = 330.0
VILLAGE_M = 110.0
PASTURE_M = 260.0
ROAD_M = 9.0

#: How strongly slopes differ in brightness.
RELIEF = 0.04

#: Random numbers handed out to parcels and houses by their number.
_NUMBERS = 8192


@dataclass(frozen=True)
class Landscape:
    """A piece of land. All maps are (H, W)."""

    #: Side of a pixel in meters.
    pixel_m: float
    #: Land cover, as indices into :data:`~.covers.COVERS`; roads are kept apart.
    cover: NDArray[np.uint8]
    #: Where there are roads.
    road: NDArray[np.bool_]
    #: A random number per parcel, 0 to 1.
    parcel: Array
    #: Sunlight on the slopes relative to level ground.
    shade: Array
    #: Position along and across the nearest street, in meters.
    along_m: Array
    across_m: Array

    def sampled(self, rows: NDArray[np.intp], cols: NDArray[np.intp], pixel_m: float) -> Landscape:
        """The same land on another grid, by nearest neighbor.

        Args:
            rows: for every row of that grid, the row of this one.
            cols: for every column of that grid, the column of this one.
            pixel_m: side of a pixel of that grid in meters.

        Returns:
            the land on that grid.
        """
        take = np.ix_(rows, cols)
        return Landscape(
            pixel_m,
            self.cover[take],
            self.road[take],
            self.parcel[take],
            self.shade[take],
            self.along_m[take],
            self.across_m[take],
        )


def draw_landscape(
    rng: np.random.Generator,
    shape: tuple[int, int],
    pixel_m: float,
    shares: Mapping[str, float],
    variation: float = 0.35,
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
        variation: standard deviation of the logarithm by which shares vary between landscapes.

    Returns:
        the landscape.
    """
    hills = smooth_field(rng, shape, HILL_M / pixel_m)
    streets = _Streets.draw(rng, shape, pixel_m)
    scores = _scores(rng, shape, pixel_m, hills, streets)
    cover = np.full(shape, INDEX['cropland'], np.uint8)
    free = np.ones(shape, bool)
    for name, score in scores.items():
        amount = np.exp(variation * rng.standard_normal())
        share = min(shares.get(name, 0) * amount, 0.9)
        if not share:
            continue
        # a share of all land, taken from what is left of it
        left = score[free]
        if not left.size:
            break
        chosen = free & (score > np.quantile(left, max(1 - share * score.size / left.size, 0)))
        cover[chosen] = INDEX[name]
        free &= ~chosen
    road = streets.roads(rng) & (cover != INDEX['water'])
    slope_y, slope_x = np.gradient(hills)
    sunlit = np.asarray(1 + RELIEF * HILL_M / pixel_m * (slope_x + slope_y), np.float32)
    return Landscape(
        pixel_m,
        cover,
        road,
        streets.parcel_numbers(rng),
        np.clip(sunlit, 0.6, 1.4),
        streets.along_m,
        streets.across_m,
    )


def _scores(
    rng: np.random.Generator,
    shape: tuple[int, int],
    pixel_m: float,
    hills: Array,
    streets: _Streets,
) -> dict[str, Array]:
    """Where each cover would like to be, first come, first served."""

    def field(extent_m: float) -> Array:
        return smooth_field(rng, shape, extent_m / pixel_m)

    bends = field(RIVER_BEND_M)
    slope = np.hypot(*np.gradient(bends)) * pixel_m
    # distance to the zero line where the field is close to linear: the river keeps its width
    from_river = np.abs(bends) / np.maximum(slope, 0.15 / RIVER_BEND_M)
    rough = field(45)
    towns, pastures = field(TOWN_M), field(PASTURE_M)
    woods = standardized(hills + 0.30 * rough)
    return {
        'water': -from_river * (1 + 0.15 * rough),
        'wetland': -from_river - 80 * pastures,
        'unmapped': field(60),
        'mangroves': -from_river + 60 * rough,
        'snow': hills + 0.2 * rough,
        'moss': field(70),
        'city': streets.by_parcel(towns),
        'village': streets.by_parcel(field(VILLAGE_M)),
        'forest': woods,
        'bare': standardized(streets.by_parcel(field(PASTURE_M)) + 0.12 * rough),
        'shrubland': woods + 0.5 * field(130),
        'grassland': streets.by_parcel(pastures),
    }


@dataclass(frozen=True)
class _Streets:
    """Districts with a street grid and parcels of their own, bent a little."""

    along_m: Array
    across_m: Array
    #: Distance to the border of the district in meters, and number of that border.
    to_border_m: Array
    border: NDArray[np.int64]
    #: Number of the parcel, from 0 on without great gaps.
    parcel: NDArray[np.int64]

    @staticmethod
    def draw(rng: np.random.Generator, shape: tuple[int, int], pixel_m: float) -> _Streets:
        y, x = (
            np.arange(size, dtype=np.float32)[axis] * np.float32(pixel_m)
            for size, axis in zip(shape, (np.s_[:, None], np.s_[None, :]), strict=True)
        )
        bend = [60 * smooth_field(rng, shape, DISTRICT_M / pixel_m) for _ in range(2)]
        turn = rng.uniform(0, np.pi)
        u, v = _rotated(x + bend[0], y + bend[1], turn)
        row, in_row = _cells(u, DISTRICT_M)
        offset = (DISTRICT_M / 2 * (row % 2)).astype(np.float32)
        col, in_col = _cells(v + offset, DISTRICT_M)
        district = row * (int(col.max()) + 1) + col
        # neighbors have different directions: the patchwork that fields are seen as from above
        angle = rng.uniform(-0.5, 0.5, int(district.max()) + 1).astype(np.float32)[district]
        along, across = _rotated(u, v, angle)
        width = rng.uniform(*PARCEL_M, int(district.max()) + 1).astype(np.float32)[district]
        parcel_row, _ = _cells(along, width)
        parcel_col, _ = _cells(across, 1.5 * width)
        parcel = (district * (int(parcel_row.max()) + 1) + parcel_row) * (
            int(parcel_col.max()) + 1
        ) + parcel_col
        to_row = DISTRICT_M * np.minimum(in_row, 1 - in_row)
        to_col = DISTRICT_M * np.minimum(in_col, 1 - in_col)
        nearest_row = row + (in_row > 0.5)
        nearest_col = int(row.max()) + 2 + district + (in_col > 0.5)
        by_row = to_row < to_col
        return _Streets(
            along,
            across,
            np.where(by_row, to_row, to_col),
            np.where(by_row, nearest_row, nearest_col),
            parcel,
        )

    def by_parcel(self, field: Array) -> Array:
        """Mean of a field over each parcel."""
        parcels = self.parcel.ravel()
        count = np.bincount(parcels)
        total = np.bincount(parcels, field.ravel())
        mean = (total / np.maximum(count, 1)).astype(np.float32)
        return mean[self.parcel]

    def parcel_numbers(self, rng: np.random.Generator) -> Array:
        """A random number for each parcel."""
        return rng.random(_NUMBERS, dtype=np.float32)[self.parcel % _NUMBERS]

    def roads(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Roads along two thirds of the district borders."""
        paved = rng.random(int(self.border.max()) + 1) < 2 / 3
        on_road: NDArray[np.bool_] = (self.to_border_m < ROAD_M / 2) & paved[self.border]
        return on_road


def hashed_numbers(
    rng: np.random.Generator, rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> Array:
    """A random number for each cell of a grid.

    Args:
        rng: source of randomness.
        rows: row of the cell of each pixel.
        cols: column of the cell of each pixel.

    Returns:
        numbers from 0 to 1, equal within a cell.
    """
    numbers: Array = rng.random(_NUMBERS, dtype=np.float32)
    chosen: Array = numbers[(rows * 7919 + cols * 104_729) % _NUMBERS]
    return chosen


def _cells(position: Array, size: float | Array) -> tuple[NDArray[np.int64], Array]:
    """Number of the cell (from 0 on) and the position within it, 0 to 1."""
    scaled = position / np.float32(size) if isinstance(size, float) else position / size
    whole = np.floor(scaled)
    cell = whole.astype(np.int64)
    return cell - cell.min(), scaled - whole


def _rotated(x: Array, y: Array, angle: float | Array) -> tuple[Array, Array]:
    sin, cos = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    turned: tuple[Array, Array] = x * cos + y * sin, y * cos - x * sin
    return turned
