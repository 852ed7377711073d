"""``cloudseg map``: land-cover maps of scenes of any size."""

import json as jsonlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .._choices import BATCH_SIZE, DEFAULT_BLEND, BlendName, Product, Range, SarUnit
from .._files import check_outputs, writing
from ..rasters import Resampling, on_disk

if TYPE_CHECKING:
    from ..datasets.scene_spec import SceneSpec
    from ..inference import ScenePair, SceneStack
    from ..inference.scenes.batch import BatchReport


def map_scenes(
    *,
    checkpoint: Path,
    output: Path,
    optical: list[str] | str | None = None,
    sar: list[str] | str | None = None,
    products: list[Product] | Product | None = None,
    style: Literal['qgis'] | None = None,
    combine_dates: bool = False,
    resolution: Literal['label', 'optical'] | float = 'label',
    blend: BlendName = DEFAULT_BLEND,
    stride: int | None = None,
    window: int | None = None,
    optical_bands: list[int] | None = None,
    sar_bands: list[int] | None = None,
    optical_range: tuple[float, float] | Range | None = None,
    sar_range: tuple[float, float] | Range | None = None,
    optical_nodata: float | None = None,
    sar_nodata: float | None = None,
    sar_unit: SarUnit | None = None,
    max_clipped: float = 0.5,
    sar_resampling: Resampling = 'nearest',
    assets: tuple[str, str] = ('optical', 'sar'),
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    json: Path | None = None,
) -> None:
    """Map land cover from optical and SAR images, through clouds.

    Args:
        checkpoint: teacher or student, from training or from `cloudseg convert`.
        output: GeoTIFF to write (.tif); for several scenes, a folder for <name>_map.tif.
        optical: optical image: a file, URL, files of single bands, or a product (Sentinel-2 SAFE,
            Landsat, PlanetScope); for several scenes a glob, a folder of them, a list of files
            (.txt, .csv), STAC items (.json), or some of these. Not needed by a network of SAR
            images alone.
        sar: SAR image (Sentinel-1 SAFE too), or several, paired with the optical ones by name, else
            by place and date. It may lie on another grid or in another CRS. Not needed where
            *optical* is a list, a folder or STAC items with both.
        products: what to write beside the class map: confidence, probabilities, sets (classes that
            a pixel may have, of a calibrated network), cloud (opacity, of networks that tell it),
            reconstruction, quicklook, footprint (GeoJSON) or stac (an item of all files).
        style: write the classes and their colors for other software, too: qgis (.qml).
        combine_dates: make one map of all dates of a place, in which each counts for as much as it
            shows of the ground; with a file as output, of all images.
        resolution: pixels of the map: those of the labels in training (label), those of the
            optical image (optical), or a size in units of its CRS, such as 20.
        blend: how windows are put together: average, hann, gaussian or crop.
        stride: distance between windows in optical pixels (defaults to three quarters of the
            window); half the window with --blend average is the test protocol of the paper.
        window: side of the windows in optical pixels (defaults to that of the training).
        optical_bands: bands of the optical file in the order of the training data, from 1.
        sar_bands: the same for the SAR file.
        optical_range: stored values of 0 and 1, two numbers or two lists of one per band.
        sar_range: the same for the SAR image.
        optical_nodata: stored value of optical pixels without data, where the file has none.
        sar_nodata: the same for the SAR image.
        sar_unit: what SAR values are: dB, power or amplitude (defaults to what the file says, else
            to those of the training).
        max_clipped: share of values outside of the range of the training from which a scene is
            refused; 1 accepts all.
        sar_resampling: how SAR is brought to the optical grid.
        assets: keys of the optical and the SAR asset in a STAC item.
        batch_size: windows per forward pass.
        device: where to compute, such as cuda (defaults to the CPU).
        resume: carry on where an interrupted run stopped; maps that the same run has finished
            stay as they are.
        overwrite: replace files that exist.
        wait: wait for another run that writes the same map, rather than refuse.
        json: file to write a report of all scenes to.

    Raises:
        SystemExit: with 1 if scenes of several could not be mapped.

    Examples:
        One scene, with what is to be written beside the map; then the scenes of two folders::

            cloudseg map --optical cloudy.tif --sar s1.tif --checkpoint s.ckpt --output map.tif
            cloudseg map --optical s2/ --sar s1/ --checkpoint s.ckpt --output maps/
            cloudseg map --config options.yaml --products confidence quicklook

        Several dates of one place in one map::

            cloudseg map --optical s2/ --sar s1/ --combine_dates --checkpoint s.ckpt --output m.tif
    """
    from ..inference import MapOptions, find_scenes, find_stacks, predict_scene
    from ..inference.scenes.batch import BatchReport, map_batch
    from ..inference.scenes.mapping import local_files
    from ..inference.scenes.options import product_paths
    from ..inference.scenes.pairing import map_path, pair_text
    from ..inference.scenes.stacks import stack_text
    from ..trainers import load_mapper

    network, spec = load_mapper(checkpoint)
    changes = {
        'optical_bands': optical_bands,
        'sar_bands': sar_bands,
        'optical_range': optical_range,
        'sar_range': sar_range,
        'optical_nodata': optical_nodata,
        'sar_nodata': sar_nodata,
    }
    spec = _changed(spec, {name: value for name, value in changes.items() if value is not None})
    wanted = [products] if isinstance(products, str) else [*(products or ())]
    wanted += [style] if style else []
    options = MapOptions(
        stride, window, blend, resolution, wanted, sar_resampling, sar_unit, max_clipped,
        Path(checkpoint).stem,
    )  # fmt: skip
    # a name with an ending is a file, except for folders that are there
    single = bool(output.suffix) and not output.is_dir()
    faults: dict[str, Exception] = {}
    sources = optical, sar, assets, spec.images, None if single else faults
    scenes: list[ScenePair] | list[SceneStack]
    if combine_dates:
        scenes = find_stacks(*sources, one_place=single)
        texts = map(stack_text, scenes)
    else:
        scenes = find_scenes(*sources)
        texts = map(pair_text, scenes)
    for text in texts:
        sys.stderr.write(f'{text}\n')
    common: dict[str, Any] = {'batch_size': batch_size, 'device': device, 'wait': wait}
    common |= {'spec': spec, 'options': options, 'resume': resume, 'overwrite': overwrite}
    if single and len(scenes) > 1:
        raise ValueError(
            f'{output} is one file, for {len(scenes)} scenes. Give a folder: one that is '
            'there, or a name without an ending; or --combine_dates, if they are of one place.'
        )
    # lists and items are no images, but not to be replaced either
    given = [[one] if isinstance(one, str) else one for one in (optical, sar) if one is not None]
    named = [file for source in given for path in source if (file := on_disk(path))]
    maps = [output] if single else [map_path(output, scene) for scene in scenes]
    outputs = [path for file in maps for path in product_paths(file, options.products).values()]
    reports = [] if json is None else [json]
    images = local_files(*(path for scene in scenes for pair in scene.paths for path in pair))
    check_outputs([*outputs, *reports], [*named, *images, checkpoint], overwrite=True)
    check_outputs(reports, overwrite=overwrite)
    if single:
        (scene,) = scenes
        optical_paths, sar_paths = zip(*scene.paths, strict=True)
        files = predict_scene(network, optical_paths, sar_paths, output, **common)
        report = BatchReport(scenes, {scene.name: files})
    else:
        report = map_batch(network, scenes, output, faults=faults, **common)
    for name, files in report.written.items():
        sys.stdout.write(f'{name}: {", ".join(map(str, files.values()))}\n')
    if json is not None:
        with writing([json], overwrite=overwrite) as (draft,):
            draft.write_text(jsonlib.dumps(report.to_dict(), indent=2) + '\n')
    if report.problems:
        console = Console(stderr=True)
        console.print(_problem_table(report))
        console.print(f'{len(report.problems)} of {len(scenes)} scenes were not mapped.')
        raise SystemExit(1)


def _problem_table(report: 'BatchReport') -> Table:
    """What is wrong, scene by scene."""
    from ..inference.scenes.batch import blamed

    columns = (Column(title, overflow='fold') for title in ('scene', 'file', 'what is wrong'))
    table = Table(*columns, title='Scenes that were not mapped', show_lines=True)
    for scene in report.scenes:
        if (problem := report.problems.get(scene.name)) is not None:
            facts = scene.name, blamed(scene, problem), str(problem)
            table.add_row(*map(escape, facts))
    return table


def _changed(spec: 'SceneSpec', changes: dict[str, Any]) -> 'SceneSpec':
    """What the checkpoint says, except for what is said on the command line."""
    for kind in ('optical', 'sar'):
        known, bands = len(getattr(spec, f'{kind}_bands')), changes.get(f'{kind}_bands')
        if bands is not None and len(bands) != known:
            raise ValueError(
                f'--{kind}_bands names {len(bands)} bands, but the checkpoint is for {known}. '
                'Name as many, in the order of the training data.'
            )
    given = [kind for kind in ('optical', 'sar') if f'{kind}_bands' in changes]
    exact = tuple(kind for kind in spec.exact if kind not in given)
    # who says which bands they are is believed
    changes = {**changes, **{f'{kind}_names': () for kind in given}}
    return replace(spec, exact=exact, **changes)
