"""Many scenes in a run: what is wrong with one does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from ..._choices import Product
from ..._files import check_outputs
from ..._progress import progress_bar
from ...datasets.products import Faults
from ...datasets.scene_spec import SceneSpec
from ...rasters import SceneError, name_of
from .mapping import local_files, predict_scene
from .options import MapOptions, product_paths
from .pairing import ScenePair, map_path
from .stacks import SceneStack

logger = logging.getLogger(__name__)

#: What a scene, its output or the memory it takes may raise; anything else is a mistake of ours.
FAULTS = (ValueError, OSError, RuntimeError, MemoryError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class BatchReport:
    """What became of the scenes of a run."""

    scenes: Sequence[ScenePair | SceneStack]
    #: Files by product, by the name of the scene.
    written: dict[str, dict[Product, Path]] = field(default_factory=dict)
    #: What was wrong, by the name of the scene.
    problems: dict[str, Exception] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report in types that JSON has."""
        return {
            'mapped': len(self.written),
            'not_mapped': len(self.problems),
            'scenes': [
                {
                    'name': scene.name,
                    'optical': name_of(scene.optical_path),
                    'sar': name_of(scene.sar_path),
                    'further': [[name_of(path) for path in pair] for pair in scene.paths[1:]],
                    'files': {p: str(file) for p, file in self.written.get(scene.name, {}).items()},
                    'problem': _facts(scene, self.problems.get(scene.name)),
                }
                for scene in self.scenes
            ],
        }


def _facts(scene: ScenePair | SceneStack, problem: Exception | None) -> dict[str, str] | None:
    """What was wrong with a scene, for JSON."""
    if problem is None:
        return None
    facts = {'kind': type(problem).__name__, 'file': blamed(scene, problem), 'text': str(problem)}
    if isinstance(problem, SceneError):
        facts |= {key: getattr(problem, key) for key in ('found', 'expected', 'remedy')}
    return facts


def blamed(scene: ScenePair | SceneStack, problem: Exception) -> str:
    """The file that a problem is about.

    Args:
        scene: the scene.
        problem: what was wrong.

    Returns:
        the file that the problem names, else the optical image.
    """
    named = getattr(problem, 'path', None) or getattr(problem, 'filename', None)
    return str(named or name_of(scene.optical_path))


def map_batch(
    model: nn.Module,
    scenes: Sequence[ScenePair | SceneStack],
    output_dir: str | Path,
    *,
    spec: SceneSpec,
    options: MapOptions | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    faults: Faults | None = None,
    **kwargs: Any,
) -> BatchReport:
    """Map several scenes into a folder, ``<name>_map.tif`` each, and report what was wrong.

    Args:
        model: see :func:`~torchgeo_cloudseg.inference.predict_scene`.
        scenes: the scenes, each of one date or a stack of dates.
        output_dir: the folder.
        spec: bands, ranges and classes.
        options: how to map and what to write.
        resume: carry on where an interrupted run stopped; finished maps are kept.
        overwrite: replace files that exist.
        progress: show progress bars.
        faults: what was wrong where the scenes were looked for, by path.
        **kwargs: further arguments of :func:`~torchgeo_cloudseg.inference.predict_scene`.

    Returns:
        the files and the problems of each scene.

    Raises:
        ValueError: if an output would replace an input, or another one.
        FileExistsError: if an output exists, and neither *resume* nor *overwrite* is given.
    """
    options, report = options or MapOptions(), BatchReport(scenes)
    outputs = [map_path(output_dir, scene) for scene in scenes]
    check_outputs(
        chain.from_iterable(product_paths(path, options.products).values() for path in outputs),
        chain.from_iterable(local_files(*chain(*scene.paths)) for scene in scenes),
        overwrite or resume,
    )
    bar = progress_bar(scenes, 'Scenes', unit='scene', disable=not progress or len(scenes) < 2)
    for scene, output in zip(bar, outputs, strict=True):
        try:
            for path in chain(*scene.paths):
                if faults and path in faults:
                    raise faults[path]
            optical, sar = zip(*scene.paths, strict=True)
            report.written[scene.name] = predict_scene(
                model, optical, sar, output, spec=spec, options=options,
                resume=resume, overwrite=overwrite, progress=progress, **kwargs,
            )  # fmt: skip
        except FAULTS as problem:
            logger.error('%s: not mapped. %s', scene.name, problem)
            report.problems[scene.name] = problem
    return report


def predict_scenes(
    model: nn.Module,
    scenes: Sequence[ScenePair | SceneStack],
    output_dir: str | Path,
    **kwargs: Any,
) -> dict[str, dict[Product, Path]]:
    """Map several scenes into a folder, ``<name>_map.tif`` each.

    A scene that cannot be mapped does not stop the others.

    Args:
        model: see :func:`~torchgeo_cloudseg.inference.predict_scene`.
        scenes: the scenes, each of one date or a stack of dates.
        output_dir: the folder.
        **kwargs: further arguments of :func:`~torchgeo_cloudseg.inference.predict_scene`.

    Returns:
        the files of each scene, by its name.

    Raises:
        ExceptionGroup: if scenes could not be mapped, after all others.
        ValueError: if an output would replace an input, or another one.
        FileExistsError: if an output exists, and neither *resume* nor *overwrite* is given.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.inference import find_scenes
        >>> from torchgeo_cloudseg.models import CloudSegNet
        >>> scenes = find_scenes(root / 'test/planet_cloudy_*/*/*.tif', root / 'test/S1_*/*/*.tif')
        >>> spec = M3MCR.published_spec(num_classes=6)
        >>> network = CloudSegNet('mit_b0').eval()
        >>> written = predict_scenes(network, scenes, folder, spec=spec, progress=False)
        >>> [files['classes'].name for files in written.values()]
        ['planet_cloudy_fall_1_p_1_map.tif']
    """
    report = map_batch(model, scenes, output_dir, **kwargs)
    if report.problems:
        count = f'{len(report.problems)} of {len(scenes)} scenes were not mapped'
        raise ExceptionGroup(count, list(report.problems.values()))
    return report.written
