"""From a scene to its map."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from functools import cache, partial
from itertools import chain, islice, pairwise
from pathlib import Path

import torch
from torch import nn

from ..._choices import BATCH_SIZE, DEFAULT_BLEND, Product
from ..._files import check_outputs, owning
from ..._progress import progress_bar
from ..._threads import Threads
from ...datasets.scene_spec import SceneSpec
from ...models import Calibration
from ...rasters import block_cache, on_disk, sources_of
from ..windows.dates import DateMeans
from ..windows.network import WindowNetwork, fingerprint
from ..windows.sliding import Images, stream_row_blocks
from ..windows.weights import make_blend
from .dates import SceneDates, in_order
from .job import MapJob
from .options import MapOptions, product_paths
from .products import Arrays

logger = logging.getLogger(__name__)


def predict_scene(
    model: nn.Module,
    optical_path: str | Path | Sequence[str | Path],
    sar_path: str | Path | Sequence[str | Path],
    output_path: str | Path,
    *,
    spec: SceneSpec,
    options: MapOptions | None = None,
    batch_size: int = BATCH_SIZE,
    device: torch.device | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    progress: bool = True,
) -> dict[Product, Path]:
    """Map a scene of any size to Cloud Optimized GeoTIFFs.

    Rows are read, mapped and put on disk one after the other, so memory depends on the width of
    the scene alone. Output appears under its name when it is complete; finished rows are kept
    beside it, in ``<output_path>.parts``, until then.

    Several dates of one place give one map, on the grid of the earliest optical image. With the
    logits of date *d*, their largest class probability *c*, the opacity *o* of its clouds (0 where
    the network does not tell it) and the share *v* of a pixel that has data, the logits of the map
    are ``sum(w[d] * logits[d]) / sum(w[d])``, ``w = v * (1 - o) * c``, window by window.
    Probabilities and confidence are those of these logits, the reconstructed image and the opacity
    are the mean with the same weights. The order in which dates are given does not matter.

    Args:
        model: a :class:`~torchgeo_cloudseg.models.Network`, or a module that maps optical
            (N, C, h, w) and SAR windows (N, S, h, w), scaled to 0..1, to logits (N, K, h', w').
        optical_path: optical raster, anything that GDAL reads; several for several dates, which
            are warped to the grid of the earliest where they lie on another.
        sar_path: SAR raster, warped to the optical grid where it lies on another; as many as there
            are optical ones, or one for all.
        output_path: file name of the class map, ``.tif``. Other products are named after it:
            ``map_confidence.tif``, ``map.png``.
        spec: bands, ranges and classes, as a checkpoint states them.
        options: how to map and what to write.
        batch_size: windows per forward pass.
        device: where to run the network (defaults to where it is).
        resume: carry on where an interrupted run stopped. The result is the same to the last
            pixel, with the same batch size on the same machine. A map that is there and was made
            by the same run counts as done.
        overwrite: replace files that exist.
        wait: wait for another run that writes the same map, rather than refuse.
        progress: show a progress bar.

    Returns:
        the files that were written, by product.

    Raises:
        SceneError: if an input is missing, broken, has too few bands, or if the two do not
            overlap.
        FileExistsError: if there is such a file already.
        OutputError: if the output cannot be written, where finished rows are kept, or if another
            run is writing it.
        ResumeError: if there is unfinished work of a different run.
        ValueError: if arguments do not fit together.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.inference import find_scenes
        >>> from torchgeo_cloudseg.models import CloudSegNet
        >>> found = find_scenes(root / 'test/planet_cloudy_*/*/*.tif', root / 'test/S1_*/*/*.tif')
        >>> written = predict_scene(
        ...     CloudSegNet('mit_b0').eval(),
        ...     found[0].optical_path,
        ...     found[0].sar_path,
        ...     folder / 'map.tif',
        ...     spec=M3MCR.published_spec(num_classes=6),
        ...     progress=False,
        ... )
        >>> written['classes'].name
        'map.tif'
    """
    options, output = options or MapOptions(), Path(output_path)
    paths = _dates(optical_path, sar_path)
    inputs = local_files(*chain(*paths))
    check_outputs(product_paths(output, options.products).values(), inputs, overwrite or resume)
    scene = SceneDates(paths, spec, options.sar_resampling, options.sar_unit)
    with closing(scene), block_cache(scene.cache_bytes), _evaluating(model, device) as place:
        known = fingerprint(model), getattr(model, 'calibration', Calibration())
        job = MapJob.of_scene(scene, output, options, *known)
        output.parent.mkdir(parents=True, exist_ok=True)
        with owning(output, wait):
            if resume and job.is_published():
                logger.info('%s is complete.', output)
                job.store.remove()
                return job.outputs()
            job.prepare(overwrite, resume)
            store, finished = job.store, job.store.finished()
            missing = [row for row in range(len(job.plan.rows)) if row not in finished]
            with progress_bar(
                _map_row_blocks(model, scene, job, missing, batch_size, place),
                total=len(job.plan.rows), initial=len(finished), unit='row',
                title=output.name, disable=not progress,
            ) as row_blocks:  # fmt: skip
                try:
                    for row, arrays in row_blocks:
                        store.write(row, arrays)
                finally:
                    store.remove_if_empty()
            return job.publish()


def _dates(
    optical: str | Path | Sequence[str | Path], sar: str | Path | Sequence[str | Path]
) -> list[tuple[str, str]]:
    """The optical and the SAR image of every date."""
    sides = [
        [str(side)] if isinstance(side, str | Path) else [str(path) for path in side]
        for side in (optical, sar)
    ]
    if len(sides[1]) == 1:
        sides[1] *= len(sides[0])
    if not sides[0] or len(sides[0]) != len(sides[1]):
        raise ValueError(
            f'optical_path and sar_path: found {len(sides[0])} optical and {len(sides[1])} SAR '
            'images, expected a SAR image for each optical one, or one for all.'
        )
    return in_order(list(zip(*sides, strict=True)))


def local_files(*paths: str | Path) -> list[str]:
    """Files of this machine that images are made of.

    Args:
        *paths: the images, anything that GDAL reads.

    Returns:
        the files; a VRT and its sources, an archive.
    """
    names = [file for path in paths for file in (str(path), *sources_of(str(path)))]
    return [file for file in map(on_disk, names) if file]


def _map_row_blocks(
    model: nn.Module,
    scene: SceneDates,
    job: MapJob,
    blocks: Sequence[int],
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[int, Arrays]]:
    """Row blocks and the values of their products."""
    plan, spec = job.plan, job.spec
    several = len(scene.dates) > 1
    tells_opacity = job.sees_clouds or (several and _tells_opacity(model))
    plans, bands = {'logits': plan}, {'logits': spec.num_classes}
    if tells_opacity:
        plans['opacity'], bands['opacity'] = plan, 1
    if job.reconstructs:
        plans['reconstruction'], bands['reconstruction'] = plan.at(1), len(spec.optical_bands)
    network = WindowNetwork(
        model, plan.scale, spec.num_classes, job.reconstructs, plan.column_scale, tells_opacity
    )

    def read(rows: Sequence[int]) -> Iterator[Iterator[Images]]:
        size = plan.rows.window_px, plan.columns.padded_px
        tops = [plan.rows.starts_px[row] for row in rows]
        with Threads(max_workers=1) as pool:
            reads = (pool.submit(date.read, top, *size) for top in tops for date in scene.dates)
            # the next rows are read while the network is at work
            images = (
                Images(optical.to(device), sar.to(device), valid)
                for under, _ in pairwise(chain(reads, [Future[Images]()]))
                for optical, sar, valid in [under.result()]
            )
            for _ in rows:
                yield islice(images, len(scene.dates))

    blend = make_blend(job.options.blend or DEFAULT_BLEND)
    make_means = partial(DateMeans, tells_opacity) if several else None
    for row, outputs, valid in stream_row_blocks(
        network, read, list(plans.values()), blend, batch_size, blocks, make_means
    ):
        if not outputs:
            # no window has data, and no product shows what stands there
            sizes = [(p.block_px(row), p.output_size_px[1]) for p in plans.values()]
            outputs = tuple(
                torch.zeros(1, count, stop - start, width)
                for count, ((start, stop), width) in zip(bands.values(), sizes, strict=True)
            )
        found = {name: output[0] for name, output in zip(plans, outputs, strict=True)}
        opacity, image = found.get('opacity'), found.get('reconstruction')
        probabilities = job.calibration.probabilities(found['logits'], opacity)
        restored = None if image is None else scene.first.to_stored(image.cpu())
        yield row, job.block_arrays(row, probabilities, valid[0], restored, opacity)


def _tells_opacity(model: nn.Module) -> bool:
    """Whether dates can be weighed by the opacity of their clouds."""
    tells = bool(getattr(model, 'tells_opacity', False))
    if not tells:
        _say_that_confidence_counts(type(model).__name__)
    return tells


@cache
def _say_that_confidence_counts(kind: str) -> None:
    """Say, once for all maps, what dates are weighed by."""
    logger.warning(
        '%s does not tell the opacity of clouds: dates are weighed by its confidence alone.', kind
    )


@contextmanager
def _evaluating(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """The network in evaluation mode on a device; afterwards in the mode it was in."""
    if device is not None:
        try:
            model.to(device)
        except (RuntimeError, AssertionError) as error:
            # which of the two depends on how PyTorch was built
            raise ValueError(
                f'device={str(device)!r}: cannot be used here ({str(error).partition(".")[0]}). '
                'Give another device, or none for the CPU.'
            ) from error
    value = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield value.device if device is None else torch.device(device)
    finally:
        for module in training:
            module.training = True
