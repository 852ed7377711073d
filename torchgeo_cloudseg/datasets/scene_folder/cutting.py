"""Cutting large scenes into parts, so that splits can divide them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd


def cut_scenes(scenes: pd.DataFrame, keys: Collection[str], side_px: int) -> pd.DataFrame:
    """A table in which every scene is a part of one: parts show the pixels of the same files.

    Args:
        scenes: table of scenes, see :func:`~torchgeo_cloudseg.index.read_scene_table`.
        keys: their modalities, whose files may lie anywhere.
        side_px: rows and columns of a part; the last ones of a scene are up to twice as large.

    Returns:
        the parts, named after the scene, their first row and their first column.
    """
    parts = [
        (i, top, left, height, width)
        for i, size in enumerate(zip(scenes['height'], scenes['width'], strict=True))
        for top, height in _spans(size[0], side_px)
        for left, width in _spans(size[1], side_px)
    ]
    ids, top, left, height, width = np.array(parts).T
    cut = scenes.iloc[ids].reset_index(drop=True)
    for key in keys:
        on_scene = cut[f'{key}_crs'] == ''
        # what covered the scene covers more than its parts
        for name, size in (('xres', 'width'), ('yres', 'height')):
            pixel = cut[name] * cut[size] / cut[f'{key}_{size}']
            cut[f'{key}_{name}'] = pixel.where(on_scene, cut[f'{key}_{name}'])
        for name in ('crs', 'left', 'top'):
            cut[f'{key}_{name}'] = cut[name].where(on_scene, cut[f'{key}_{name}'])
    cut['scene'] = [f'{s}_r{r}_c{c}' for s, r, c in zip(cut['scene'], top, left, strict=True)]
    cut['left'] += left * cut['xres']
    cut['top'] -= top * cut['yres']
    return cut.assign(height=height, width=width)


def _spans(size_px: int, side_px: int) -> list[tuple[int, int]]:
    """First pixel and length of the parts of a side."""
    starts = np.arange(max(size_px // side_px, 1)) * side_px
    return list(zip(starts.tolist(), np.diff([*starts, size_px]).tolist(), strict=True))
