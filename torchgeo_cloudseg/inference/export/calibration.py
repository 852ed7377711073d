"""Windows of real scenes, by which values of a network are measured before it gets 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..._progress import progress_bar
from ..._random import PARAMETER_STREAM, seeded_generator
from ...datasets.scene_spec import SceneSpec
from ...rasters import block_cache
from ..errors import ExportError
from ..scenes.options import MapOptions
from ..scenes.pair_reader import ScenePairReader
from ..scenes.pairing import ScenePair

#: Optical and SAR window (1, C, h, w), (1, S, h, w), 0..1.
Window = tuple[Tensor, Tensor]

#: Least share of a window that holds data.
LEAST_DATA = 0.5

#: Rows of a scene that are looked at for a window with data.
TRIES = 20


@dataclass(frozen=True)
class CalibrationScenes:
    """What a network with 8-bit weights and activations is calibrated on.

    Attributes:
        scenes: the scenes, such as :func:`~torchgeo_cloudseg.inference.find_scenes` finds.
        windows: number of windows, drawn from all scenes alike.
        seed: seed of their places.

    Example:
        >>> from torchgeo_cloudseg.inference import ScenePair
        >>> scenes = [ScenePair('here', 'optical.tif', 'sar.tif')]
        >>> CalibrationScenes(scenes, windows=16).seed
        0
    """

    scenes: Sequence[ScenePair]
    windows: int = 80
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: if there is nothing to calibrate on.
        """
        if not self.scenes or self.windows < 1:
            raise ValueError(
                f'calibration: found {len(self.scenes)} scenes and {self.windows} windows, '
                'expected at least one of each.'
            )

    def read(self, spec: SceneSpec, progress: bool = True) -> list[Window]:
        """Read the windows, scaled as for a map.

        Args:
            spec: what the network expects of a scene.
            progress: show a progress bar.

        Returns:
            the windows, in an order that follows from the seed.

        Raises:
            SceneError: if a scene cannot be read, or cannot be meant.
            ExportError: if no window has data.
        """
        rng = seeded_generator(self.seed, PARAMETER_STREAM)
        order = rng.permutation(len(self.scenes))[: self.windows]
        counts = np.diff(np.linspace(0, self.windows, len(order) + 1).astype(int))
        windows: list[Window] = []
        total = self.windows
        with progress_bar(
            title='Reading scenes', total=total, unit='window', disable=not progress
        ) as bar:
            for place, count in zip(order, counts, strict=True):
                for window in _draw(self.scenes[place], spec, int(count), rng):
                    windows.append(window)
                    bar.update()
        if not windows:
            raise ExportError(
                f'{self.scenes[0].optical_path}: found no window of {spec.window} px of which '
                'half has data, in any scene. Give scenes with more data to calibrate on.'
            )
        return [windows[place] for place in rng.permutation(len(windows))]


def _draw(
    pair: ScenePair, spec: SceneSpec, count: int, rng: np.random.Generator
) -> Iterator[Window]:
    """Windows of one scene."""
    reader = ScenePairReader(pair.optical_path, pair.sar_path, spec)
    with closing(reader), block_cache(reader.cache_bytes):
        reader.check_values(MapOptions.max_clipped)
        side, grid = spec.window, reader.optical.grid
        width = max(grid.width, side)
        for _ in range(count):
            for _ in range(TRIES):
                top = int(rng.integers(max(1, grid.height - side + 1)))
                rows = reader.read(top, side, width)
                filled = F.avg_pool1d(rows.valid.float().mean(dim=1), side, stride=1)[0]
                lefts = (filled >= LEAST_DATA).nonzero().flatten()
                if len(lefts):
                    left = int(lefts[int(rng.integers(len(lefts)))])
                    columns = slice(left, left + side)
                    yield rows.optical[..., columns], rows.sar[..., columns]
                    break
