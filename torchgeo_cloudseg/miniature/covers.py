"""What the land of the miniature world is covered with, and how each cover looks to a sensor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Cover(NamedTuple):
    """How a kind of land cover looks.

    Some look alike to one sensor and not to the other, so that neither is enough: built-up and
    bare land in the optical image; cropland and rangeland, and water and bare land, in the SAR
    image.
    """

    name: str
    #: Surface reflectance in blue, green, red and near infrared.
    reflectance: tuple[float, float, float, float]
    #: Relative variation of reflectance over a few meters.
    texture: float
    #: Backscatter in VV and VH, dB.
    backscatter_db: tuple[float, float]
    #: Variation of backscatter beside speckle, dB.
    roughness_db: float


COVERS = (
    Cover('cropland', (0.038, 0.078, 0.048, 0.380), 0.05, (-11.0, -17.3), 0.8),
    Cover('forest', (0.024, 0.046, 0.028, 0.275), 0.20, (-8.0, -13.3), 0.6),
    Cover('grassland', (0.062, 0.094, 0.098, 0.235), 0.08, (-11.4, -17.9), 0.7),
    Cover('shrubland', (0.050, 0.078, 0.080, 0.225), 0.20, (-10.6, -16.6), 0.8),
    Cover('city', (0.118, 0.138, 0.150, 0.215), 0.08, (-4.0, -11.0), 2.2),
    Cover('village', (0.105, 0.125, 0.138, 0.225), 0.08, (-6.0, -12.5), 2.2),
    Cover('bare', (0.122, 0.146, 0.164, 0.228), 0.11, (-15.5, -22.5), 0.8),
    Cover('water', (0.046, 0.052, 0.036, 0.022), 0.03, (-18.0, -25.0), 0.8),
    Cover('wetland', (0.040, 0.058, 0.045, 0.120), 0.12, (-15.0, -21.5), 1.0),
    Cover('mangroves', (0.028, 0.050, 0.034, 0.250), 0.16, (-8.5, -14.0), 0.7),
    Cover('snow', (0.420, 0.430, 0.420, 0.380), 0.04, (-14.0, -21.0), 0.8),
    Cover('moss', (0.055, 0.072, 0.068, 0.190), 0.12, (-12.0, -18.5), 0.8),
    Cover('unmapped', (0.090, 0.110, 0.115, 0.220), 0.12, (-11.0, -17.5), 1.0),
    Cover('road', (0.105, 0.115, 0.125, 0.165), 0.04, (-13.0, -20.0), 0.8),
)

#: Position of each cover in :data:`COVERS`, which is how maps of land cover name it.
INDEX = {cover.name: index for index, cover in enumerate(COVERS)}

#: The columns of :data:`COVERS`: (4, n), (n,), (2, n) and (n,).
_, REFLECTANCE, TEXTURE, BACKSCATTER_DB, ROUGHNESS_DB = (
    np.array(column).T for column in zip(*COVERS, strict=True)
)

#: Cropland after the harvest: parcels lie between this and the green of :data:`COVERS`.
STUBBLE = np.array([[0.072], [0.098], [0.108], [0.240]])

#: Gardens and trees between the houses, and the streets.
GARDEN = np.array([[0.036], [0.066], [0.045], [0.290]])
STREET = np.array([[0.085], [0.095], [0.102], [0.140]])
