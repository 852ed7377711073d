"""How bright the clouds of each test scene are: what bright ones hide, thin ones let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .cell import machine, scored_data, write_record
from .details import brightness_file
from .grid import Cell


def measure(data: str = 'ombria', root: Path | None = None) -> dict[str, Any]:
    """Median of an image's first band under its clouds, by scene; of scenes that have some.

    The first band is the one in which ground and water differ most (B11 of OMBRIA).

    Args:
        data: name of the data.
        root: root directory of the data.
    """
    module = scored_data(Cell(data, 'early', 0), root)
    module.setup('test')
    names, found = module.test_dataset.scene_names, {}
    for stored in module.test_dataloader():
        batch = module.on_after_batch_transfer(stored, 0)
        scenes, cloudy = batch['scene'].flatten().tolist(), batch['mask_cloud'] > 0
        for scene, image, clouds in zip(scenes, batch['image'], cloudy, strict=True):
            if clouds.any():
                found[names[scene]] = round(float(image[0][clouds].median()), 3)
    record = {'data': data, 'machine': machine(), 'scenes': dict(sorted(found.items()))}
    write_record(brightness_file(data), record)
    return record
