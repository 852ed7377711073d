"""One scene to be mapped: its windows, the grid of its map, and the files to be written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ..._choices import DEFAULT_BLEND, Product
from ..._files import OutputError, check_outputs, publish
from ...datasets.scene_spec import SceneSpec, spec_to_dict
from ...models import Calibration
from ...rasters import (
    Grid,
    Image,
    RasterLayer,
    SceneError,
    file_state,
    has_place,
    name_of,
    on_disk,
    reading,
    sources_of,
    write_cog,
)
from ..windows.plan import WindowPlan, plan_windows
from .dates import SceneDates
from .options import MapOptions, product_paths
from .pair_reader import ScenePairReader
from .products import Arrays, class_arrays, raster_layers, reconstruction_array, valid_on_map
from .quicklook import save_quicklook
from .resolution import map_scale
from .row_blocks import RowBlockStore, digest
from .sidecars import save_sidecars

#: Tag of a map that tells how it was made.
RUN_TAG = 'CLOUDSEG_RUN'


@dataclass(frozen=True)
class MapJob:
    """Everything that is decided about a map before its first pixel.

    Attributes:
        paths: the optical and the SAR raster of every date, the one whose grid counts first.
        output_path: class map; other products are named after it.
        spec: what the network expects.
        options: how to map, and what to write; nothing is left to defaults.
        plan: the windows and the size of the map.
        grid: the grid of the map.
        optical_grid: the grid of the optical image.
        layers: the rasters to write, by product.
        manifest: what decides the pixels of the map, for JSON.
        calibration: by what the network's confidence is true.
    """

    paths: Sequence[tuple[str, str]]
    output_path: Path
    spec: SceneSpec
    options: MapOptions
    plan: WindowPlan
    grid: Grid
    optical_grid: Grid
    layers: dict[Product, RasterLayer]
    manifest: dict[str, Any]
    calibration: Calibration

    @classmethod
    def of_scene(
        cls,
        scene: SceneDates,
        output_path: str | Path,
        options: MapOptions,
        network: str,
        calibration: Calibration,
    ) -> MapJob:
        """Plan the map of a scene.

        Args:
            scene: the open scene, of one date or several.
            output_path: file name of the class map, ``.tif``.
            options: how to map, and what to write.
            network: fingerprint of the network.
            calibration: by what its confidence is true.

        Returns:
            the plan.

        Raises:
            ValueError: if the output is no GeoTIFF, windows and resolution do not fit, the scene
                is smaller than a pixel of the map, or the network does not know what is wanted.
        """
        output = Path(output_path)
        if output.suffix.lower() not in ('.tif', '.tiff'):
            raise ValueError(f'{output}: a map is a GeoTIFF; give it a name that ends in .tif.')
        first = scene.first
        path, grid, spec = first.optical.path, first.grid, first.spec
        size_px = grid.height, grid.width
        scale, across, window, stride = map_scale(grid, spec, options)
        plan = plan_windows(size_px, window, stride, scale, across)
        if 0 in plan.output_size_px:
            raise ValueError(
                f'{path}: {size_px[0]} x {size_px[1]} pixels are less than a pixel '
                f'of the map, {scale} times as many. Give a larger scene, or another resolution.'
            )
        if {'footprint', 'stac'} & {*options.products} and not has_place(grid):
            raise ValueError(
                f'{name_of(path)}: no place upon the earth, which a footprint or STAC item '
                'tells. Georeference the image, or leave these products out.'
            )
        scene.check_values(options.max_clipped)
        blend = options.blend or DEFAULT_BLEND
        options = replace(options, window=window, stride=stride, blend=blend)
        layers = raster_layers(spec, options.products, first.reconstruction_layer, calibration)
        dates = [
            {'optical': _facts(date.optical), 'sar': _facts(date.sar)} for date in scene.opened
        ]
        manifest: dict[str, Any] = {
            **dates[0],
            # maps of one date are told apart as ever
            **({'further': dates[1:]} if dates[1:] else {}),
            'network': network,
            'spec': spec_to_dict(spec),
            # what the network is called decides nothing
            'options': {**asdict(options), 'blend': repr(options.blend), 'model_name': ''},
        }
        paths = [(date.optical.path, date.sar.path) for date in scene.opened]
        map_grid = _map_grid(first, plan)
        return cls(
            paths, output, spec, options, plan, map_grid, grid, layers, manifest, calibration
        )

    @cached_property
    def store(self) -> RowBlockStore:
        """Where finished row blocks are kept."""
        return RowBlockStore(self.output_path, self.manifest)

    @property
    def reconstructs(self) -> bool:
        """Whether the reconstructed image is wanted."""
        return 'reconstruction' in self.layers

    @property
    def sees_clouds(self) -> bool:
        """Whether the opacity of clouds is wanted, or confidence depends on it."""
        return 'cloud' in self.layers or bool(self.calibration.edges)

    def outputs(self) -> dict[Product, Path]:
        """The files to be written, by product."""
        return product_paths(self.output_path, self.options.products)

    @property
    def inputs(self) -> list[str]:
        """Files of this machine that are read."""
        dates = [self.manifest, *self.manifest.get('further', ())]
        files = (file for date in dates for key in ('optical', 'sar') for file in date[key])
        return [file for file in map(on_disk, files) if file]

    def is_published(self) -> bool:
        """Whether the map is there, complete and made by the same network in the same way."""
        outputs, store = self.outputs(), self.store
        unfinished = store.folder.exists() and not store.was_publishing
        if unfinished or not all(file.is_file() for file in outputs.values()):
            return False
        try:
            return all(self._run_of(outputs[product]) == store.run for product in self.layers)
        except SceneError:
            return False

    def _run_of(self, path: Path) -> str | None:
        """Run that made a raster, by its tag."""
        with reading(str(path)) as raster:
            run: str | None = raster.tags().get(RUN_TAG)
        return run

    def prepare(self, overwrite: bool = False, resume: bool = False) -> None:
        """Make sure that the map may be written, and take up earlier work or start anew.

        Args:
            overwrite: replace files that are there.
            resume: carry on where an interrupted run stopped.

        Raises:
            ValueError: if an output is an input.
            FileExistsError: if an output is there already.
            ResumeError: if there is unfinished work of a different run.
            OutputError: if the folder of the row blocks cannot be written, or is somebody else's.
        """
        may_replace = overwrite or (resume and self.store.was_publishing)
        self.store.check(resume)
        check_outputs(self.outputs().values(), self.inputs, may_replace)
        self.store.prepare(resume)

    def block_arrays(
        self,
        row: int,
        probabilities: Tensor,
        valid: Tensor,
        reconstruction: Tensor | None = None,
        opacity: Tensor | None = None,
    ) -> Arrays:
        """Values of all products in a row block.

        Args:
            row: index of the row block.
            probabilities: class probabilities (K, h, w) on the map's grid.
            valid: where there is data (H, W) on the padded optical grid, from the start of the
                row block on.
            reconstruction: reconstructed image (C, H, W) in stored units.
            opacity: opacity of the clouds (1, h, w) on the map's grid.

        Returns:
            arrays (bands, rows, width) by product.
        """
        valid = valid[: self.plan.image_rows(row)]
        height, width = probabilities.shape[-2:]
        full = self.plan.to_output(valid.shape[0]), self.plan.columns_to_output(valid.shape[1])
        on_map = valid_on_map(valid, full)[:height, :width]
        on_map = on_map.to(probabilities.device)
        known = opacity, self.calibration
        arrays = class_arrays(probabilities, on_map, self.options.products, *known)
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
        store, outputs, folder = self.store, self.outputs(), self.store.assembly
        files: list[Path] = []
        try:
            # what a run that was killed has left there is not complete
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for product, layer in self.layers.items():
                layer = replace(layer, tags={**layer.tags, RUN_TAG: store.run})
                grid = self.optical_grid if product == 'reconstruction' else self.grid
                rows = (store.read(block, product) for block in range(len(self.plan.rows)))
                files += write_cog(folder, outputs[product].name, grid, layer, rows)
            if 'quicklook' in outputs:
                picture = folder / outputs['quicklook'].name
                classes = folder / outputs['classes'].name
                save_quicklook(picture, classes, self.paths[0][0], self.spec)
                files.append(picture)
            facts = self.spec, self.grid, self.options.model_name
            files += save_sidecars(folder, outputs, self.paths, *facts)
            store.start_publishing()
            files.sort(key=lambda file: file.name == self.output_path.name)
            publish({file: self.output_path.with_name(file.name) for file in files})
        except OutputError:
            raise
        except OSError as error:
            raise store.cannot_write(error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        store.remove()
        return outputs


def _map_grid(scene: ScenePairReader, plan: WindowPlan) -> Grid:
    """Grid of the map: the optical one with other pixels, or that of SAR where it is the same.

    The 10 m layers of M3M-CR share a grid that lies up to 2 m beside the optical one; a map made
    from them belongs on it.

    Returns:
        the grid.
    """
    size, sar = plan.output_size_px, scene.sar.grid
    if scene.coextensive and (sar.height, sar.width) == size:
        return sar
    return scene.optical.grid.scaled(plan.scale, size, plan.across)


def _facts(image: Image) -> dict[str, Any]:
    """Files that an image is made of, with what tells that one has changed."""
    files = dict.fromkeys((image.path, *image.raster.files, *sources_of(image.path)))
    # an address has only its name
    facts = {name_of(file): file_state(file) for file in files}
    # the text of a VRT, which has no name, may hold addresses with signatures
    text = image.path if image.path.startswith('<') else ''
    return {**facts, '<VRT>': digest({'vrt': text})} if text else facts
