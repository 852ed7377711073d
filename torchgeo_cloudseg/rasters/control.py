"""Places that are stated by points or polynomials, instead of a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.rpc import RPC

#: Number of points from which they are met exactly, by thin plates; fewer make a plane.
MANY_POINTS = 10


class Point(NamedTuple):
    """A place in an image whose coordinates are known."""

    #: Pixels from the upper left corner of the image.
    row: float
    col: float
    #: Coordinates, and height in meters.
    x: float
    y: float
    z: float


@dataclass(frozen=True)
class Control:
    """What states the place of an image that has no grid of its own.

    Attributes:
        points: ground control points.
        crs: CRS of their coordinates.
        polynomials: rational polynomial coefficients (RPC), as GDAL names and writes them.
    """

    points: tuple[Point, ...] = ()
    crs: CRS | None = None
    polynomials: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, raster: DatasetReader) -> Control | None:
        """What a raster states.

        Args:
            raster: the open raster.

        Returns:
            points and polynomials; None where there are neither.
        """
        points, crs = raster.gcps
        listed = tuple(Point(p.row, p.col, p.x, p.y, p.z or 0.0) for p in points)
        known: RPC | None = raster.rpcs
        tags = tuple((key, str(value)) for key, value in known.to_gdal().items()) if known else ()
        return cls(listed, crs if listed else None, tags) if listed or tags else None

    @property
    def is_usable(self) -> bool:
        """Whether coordinates follow from it."""
        return bool(self.polynomials) or (len(self.points) > 2 and self.crs is not None)

    def scaled(self, rows: float, cols: float) -> Control:
        """The same for an image of other pixels.

        Args:
            rows: new rows per row.
            cols: new columns per column.

        Returns:
            the same places.
        """
        points = tuple(p._replace(row=p.row * rows, col=p.col * cols) for p in self.points)
        factors = {'LINE': rows, 'SAMP': cols}
        tags = dict(self.polynomials)
        for key in tags:
            factor = factors.get(key.partition('_')[0])
            if factor and key.endswith('_SCALE'):
                tags[key] = repr(float(tags[key]) * factor)
            elif factor and key.endswith('_OFF'):
                # counted from the center of the first pixel
                tags[key] = repr((float(tags[key]) + 0.5) * factor - 0.5)
        return replace(self, points=points, polynomials=tuple(tags.items()))

    def moved(self, top: int, left: int) -> Control:
        """The same for a part of the image.

        Args:
            top: first row of the part.
            left: first column of the part.

        Returns:
            the same places.
        """
        points = tuple(p._replace(row=p.row - top, col=p.col - left) for p in self.points)
        tags = dict(self.polynomials)
        for key, first in {'LINE_OFF': top, 'SAMP_OFF': left}.items():
            if key in tags:
                tags[key] = repr(float(tags[key]) - first)
        return replace(self, points=points, polynomials=tuple(tags.items()))

    def write(self, raster: DatasetWriter) -> None:
        """Write it to a raster that is open for writing.

        Args:
            raster: the raster.
        """
        if self.points:
            points = [GroundControlPoint(*point, id=str(i)) for i, point in enumerate(self.points)]
            raster.gcps = points, self.crs
        if self.polynomials:
            raster.update_tags(ns='RPC', **dict(self.polynomials))

    @property
    def rpc(self) -> RPC:
        """The polynomials, as rasterio has them."""
        return RPC.from_gdal(dict(self.polynomials))

    @property
    def height(self) -> float:
        """Height in meters in the middle of the polynomials."""
        return float(dict(self.polynomials).get('HEIGHT_OFF', '0'))
