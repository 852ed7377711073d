"""One scene to be mapped: its windows, the grid of its map, and the files to be written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from ...datasets.scene_spec import SceneSpec, spec_to_dict
from ...rasters import Grid, RasterLayer, exact_scale, open_raster, write_cog
from ..windows.plan import WindowPlan, plan_windows
from .options import DEFAULT_BLEND, MapOptions, Product
from .pair_reader import ScenePairReader
from .products import Arrays, class_arrays, raster_layers, reconstruction_array, valid_on_map
from .quicklook import save_quicklook
from .row_blocks import RowBlockStore

#: Tag of a map that tells how it was made.
RUN_TAG = 'CLOUDSEG_RUN'


@dataclass(frozen=True)
class MapJob:
    """Everything that is decided about a map before its first pixel.

    Attributes:
        optical_path: optical raster.
        sar_path: SAR raster.
        output_path: class map; other products are named after it.
        spec: what the network expects.
        options: how to map, and what to write; nothing is left to defaults.
        plan: the windows and the size of the map.
        grid: the grid of the map.
        optical_grid: the grid of the optical image.
        layers: the rasters to write, by product.
    """

    optical_path: str
    sar_path: str
    output_path: Path
    spec: SceneSpec
    options: MapOptions
    plan: WindowPlan
    grid: Grid
    optical_grid: Grid
    layers: dict[Product, RasterLayer]

    @classmethod
    def of_scene(
        cls, scene: ScenePairReader, output_path: str | Path, options: MapOptions
    ) -> MapJob:
        """Plan the map of a scene.

        Args:
            scene: the open scene.
            output_path: file name of the class map, ``.tif``.
            options: how to map, and what to write.

        Returns:
            the plan.

        Raises:
            ValueError: if the output is no GeoTIFF or one of the inputs, windows and resolution
                do not fit, or the scene is smaller than a pixel of the map.
        """
        output = Path(output_path)
        if output.suffix.lower() not in ('.tif', '.tiff'):
            raise ValueError(f'{output}: a map is a GeoTIFF; give it a name that ends in .tif.')
        paths, grid = (scene.optical.path, scene.sar.path), scene.optical.grid
        if output.resolve() in [Path(path).resolve() for path in paths]:
            raise ValueError(f'{output}: the map would replace its own input.')
        spec, size_px = scene.spec, (grid.height, grid.width)
        scale = _scale(grid, spec, options)
        window, stride = _windows(spec, options, scale.denominator)
        plan = plan_windows(size_px, window, stride, scale)
        if 0 in plan.output_size_px:
            raise ValueError(
                f'{paths[0]}: {size_px[0]} x {size_px[1]} pixels are less than a pixel '
                f'of the map, {scale} times as many. Give a larger scene, or another resolution.'
            )
        blend = options.blend or DEFAULT_BLEND
        options = replace(options, window=window, stride=stride, blend=blend)
        dtype, nodata = scene.optical.header.dtype, scene.optical_nodata
        layers = raster_layers(spec, options.products, dtype, nodata)
        return cls(*paths, output, spec, options, plan, _map_grid(scene, plan), grid, layers)

    @property
    def store(self) -> RowBlockStore:
        """Where finished row blocks are kept."""
        return RowBlockStore(self.output_path)

    @property
    def reconstructs(self) -> bool:
        """Whether the reconstructed image is wanted."""
        return 'reconstruction' in self.layers

    def outputs(self) -> dict[Product, Path]:
        """The files to be written, by product."""
        path = self.output_path
        names = {'classes': path.name, 'quicklook': f'{path.stem}.png'}
        return {
            product: path.with_name(names.get(product, f'{path.stem}_{product}{path.suffix}'))
            for product in self.options.products
        }

    def manifest(self, model: str) -> dict[str, Any]:
        """What decides the pixels of the map, for telling whether a run can be carried on.

        Args:
            model: fingerprint of the network.

        Returns:
            a dict for JSON.
        """
        return {
            'optical': _file_facts(self.optical_path),
            'sar': _file_facts(self.sar_path),
            'network': model,
            'spec': spec_to_dict(self.spec),
            'options': {**asdict(self.options), 'blend': repr(self.options.blend)},
        }

    def is_published(self, model: str) -> bool:
        """Whether the map is there, complete and made by the same network in the same way.

        Args:
            model: fingerprint of the network.
        """
        if self.store.folder.exists() or not all(file.exists() for file in self.outputs().values()):
            return False
        with open_raster(self.output_path) as raster:
            found: str | None = raster.tags().get(RUN_TAG)
        return found == digest(self.manifest(model))

    def block_arrays(
        self, row: int, probabilities: Tensor, valid: Tensor, reconstruction: Tensor | None = None
    ) -> Arrays:
        """Values of all products in a row block.

        Args:
            row: index of the row block.
            probabilities: class probabilities (K, h, w) on the map's grid.
            valid: where there is data (H, W) on the padded optical grid, from the start of the
                row block on.
            reconstruction: reconstructed image (C, H, W) in stored units.

        Returns:
            arrays (bands, rows, width) by product.
        """
        valid = valid[: self.plan.image_rows(row)]
        height, width = probabilities.shape[-2:]
        full = self.plan.to_output(valid.shape[0]), self.plan.to_output(valid.shape[1])
        on_map = valid_on_map(valid, full)[:height, :width]
        arrays = class_arrays(probabilities, on_map.to(probabilities.device), self.options.products)
        if reconstruction is not None:
            height, width = reconstruction.shape[-2:]
            arrays['reconstruction'] = reconstruction_array(
                reconstruction, valid[:height, :width], self.layers['reconstruction']
            )
        return arrays

    def publish(self) -> dict[Product, Path]:
        """Put the finished row blocks together and give the files their names.

        Returns:
            the files, by product.

        Raises:
            OutputError: if they cannot be written, or one is missing; the row blocks are kept.
        """
        store = self.store
        run = {RUN_TAG: digest(store.manifest())}
        outputs, files = self.outputs(), []
        try:
            for product, layer in self.layers.items():
                layer = replace(layer, tags={**layer.tags, **run})
                grid = self.optical_grid if product == 'reconstruction' else self.grid
                rows = (store.read(block, product) for block in range(len(self.plan.rows)))
                files += write_cog(store.folder, outputs[product].name, grid, layer, rows)
            if 'quicklook' in outputs:
                classes = store.folder / outputs['classes'].name
                picture = store.folder / outputs['quicklook'].name
                save_quicklook(picture, classes, self.optical_path, self.spec)
                files.append(picture)
            # the class map comes last: where it is, everything is
            for file in sorted(files, key=lambda file: file.name == self.output_path.name):
                file.replace(self.output_path.with_name(file.name))
        except OSError as error:
            raise store.cannot_write(error) from error
        store.remove()
        return outputs


def _scale(grid: Grid, spec: SceneSpec, options: MapOptions) -> Fraction:
    """Map pixels per optical pixel."""
    if options.resolution == 'label':
        return spec.label_scale
    if options.resolution == 'optical':
        return Fraction(1)
    return exact_scale(abs(grid.transform.a) / options.resolution)


def _windows(spec: SceneSpec, options: MapOptions, step_px: int) -> tuple[int, int]:
    """Window and stride; those that are not given begin and end on whole pixels of the map."""
    window = options.window
    if window is None:
        # where no size near that of the training fits, the plan says so
        fitting = round(spec.window / step_px) * step_px
        window = fitting if 3 * abs(fitting - spec.window) <= spec.window else spec.window
    stride = options.stride
    return window, max(step_px, 3 * window // 4 // step_px * step_px) if stride is None else stride


def _map_grid(scene: ScenePairReader, plan: WindowPlan) -> Grid:
    """Grid of the map: the optical one with other pixels, or that of SAR where it is the same.

    The 10 m layers of M3M-CR share a grid that lies up to 2 m beside the optical one; a map made
    from them belongs on it.
    """
    size, sar = plan.output_size_px, scene.sar.grid
    if scene.coextensive and (sar.height, sar.width) == size:
        return sar
    return scene.optical.grid.scaled(plan.scale, size)


def digest(manifest: dict[str, Any]) -> str:
    """Short text that changes with anything that decides the pixels of a map.

    Args:
        manifest: see :meth:`MapJob.manifest`.

    Returns:
        a hash.
    """
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _file_facts(path: str) -> dict[str, Any]:
    """What tells that a file has changed."""
    file = Path(path)
    if not file.exists():
        # not a plain file: a URL, or a part of an archive
        return {'path': path}
    facts = file.stat()
    return {'path': str(file.resolve()), 'bytes': facts.st_size, 'changed_ns': facts.st_mtime_ns}
