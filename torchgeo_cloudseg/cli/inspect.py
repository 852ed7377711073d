"""``cloudseg inspect``: look at a folder of images, and write a configuration for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .._files import check_ending, check_outputs, writing

if TYPE_CHECKING:
    from ..datasets.inspection import Inspection

#: Problems and codes shown on the terminal.
SHOWN = 50


def inspect(
    optical: str | None = None,
    sar: str | None = None,
    labels: str | None = None,
    *,
    cloud_masks: str | None = None,
    cloud_free: str | None = None,
    output: Path = Path('scenes.yaml'),
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Look at optical and SAR images, labels and masks; say what is odd; write a configuration.

    Headers of all files are read, the pixels of some, chosen by the seed, and all pixels of labels
    and masks. Known sensors are told by the names of bands and by tags. The configuration is that
    of a teacher; beside it, <output>_student.yaml is that of a student.

    Args:
        optical: folder or pattern (in quotes) of the optical images; one file per band is told by
            names such as B02. Or a configuration (.yaml), which is held against its files.
        sar: the same for SAR images.
        labels: the same for labels; one large raster may be for all images.
        cloud_masks: the same for cloud masks.
        cloud_free: the same for cloud-free images of the same places.
        output: configuration to write.
        seed: seed of the choice of pixels.
        overwrite: replace a configuration that exists.

    Examples:
        A folder of optical images, one of SAR images, and one raster of labels for all::

            cloudseg inspect sentinel2 sentinel1 corine.tif --output mine.yaml

        Patterns are in quotes; `cloudseg fit` then takes the configuration::

            cloudseg inspect '2021/*_optical.tif' --labels '2021/*_label.tif'

    Raises:
        SystemExit: with 1 if files cannot be used as they are; the configuration is written.
    """
    from ..datasets.inspection import (
        inspect_images,
        judge,
        roles,
        write_configuration,
    )

    given = {
        'image': optical,
        'image_clear': cloud_free,
        'image_sar': sar,
        'mask_cloud': cloud_masks,
        'mask': labels,
    }
    sources = {key: source for key, source in given.items() if source is not None}
    console = Console()
    if optical is not None and optical.endswith(('.yaml', '.yml')):
        _check(console, Path(optical), seed)
        return
    # no image
    check_ending(output, '.yaml', '.yml')
    student = output.with_name(f'{output.stem}_student{output.suffix}')
    check_outputs([output, student], overwrite=overwrite)
    found = inspect_images(sources, seed)
    judge(found)
    _show(console, found)
    results = Path('output') / output.stem
    files = dict(zip(('teacher', 'student'), (output, student), strict=True))
    for role in roles(found):
        path = files[role]
        with writing([path], overwrite=overwrite) as (draft,):
            draft.write_text(write_configuration(found, role, path, results))
        console.print(f'Written to {path}: cloudseg fit --config {path}', soft_wrap=True)
    if found.problems:
        raise SystemExit(1)


def _check(console: Console, path: Path, seed: int) -> None:
    """Hold a configuration against its files.

    Raises:
        SystemExit: with 1 if they do not fit.
        ValueError: if it is not one of a folder of images.
    """
    from ..datasets import SceneFolder
    from ..datasets.inspection import check_declaration
    from .configured import read_data

    module = read_data(path)
    if module.dataset_class is not SceneFolder:
        raise ValueError(
            f'{path}: found {type(module).__name__}, expected SceneFolderDataModule. '
            f'`cloudseg index {path}` checks the files of any data set.'
        )
    found = check_declaration(module.kwargs, seed)
    _show(console, found)
    if found.problems:
        raise SystemExit(1)
    console.print(f'{path} fits its files.', soft_wrap=True)


def _show(console: Console, found: Inspection) -> None:
    """Print what was found."""
    table = Table(
        '', Column('found', overflow='fold'), title=f'Images in {escape(str(found.root))}'
    )
    for key in found.images:
        for name, text in _rows(found, key):
            table.add_row(name, escape(text))
        table.add_section()
    table.add_row('Scenes', f'{len(found.scenes)} with all their files')
    console.print(table)
    for remark in found.remarks:
        console.print(f'[bold]odd[/bold]: {escape(remark)}.', soft_wrap=True)
    if found.problems:
        count = len(found.problems)
        console.print(f'{count} fault(s) to mend before training:', style='bold')
    for problem in found.problems[:SHOWN]:
        console.print(f'  {escape(str(problem))}', soft_wrap=True, highlight=False)
    if len(found.problems) > SHOWN:
        console.print(f'  ... and {len(found.problems) - SHOWN} more')


def _rows(found: Inspection, key: str) -> list[tuple[str, str]]:
    from ..datasets.inspection.configuration import percentiles
    from ..datasets.inspection.facts import SAMPLED_FILES, common
    from ..datasets.inspection.inspection import TITLES

    images, title = found.images[key], TITLES[key]
    facts = images.first
    per_band = '' if list(images.files) == [''] else f' of each of {len(images.files)} bands'
    rows = [(f'[bold]{title}[/bold]', f'{facts.files} files{per_band}')]
    shown = {
        'CRS': facts.crs,
        'pixel': sum((one.resolutions for one in images.facts.values()), type(facts.crs)()),
        'size': facts.sizes,
        'bands': facts.counts,
        'data type': facts.dtypes,
        'no data': facts.nodata,
    }
    rows += [(name, ', '.join(list(common(counter))[:6])) for name, counter in shown.items()]
    if not key.startswith('mask'):
        rows.append(('sensor', images.sensor.title if images.sensor else images.because))
        names = ', '.join(images.bands)
        rows.append(('names of bands', names))
        scaling = [f'{scale:g} x + {offset:g}' for scale, offset in facts.scaling]
        rows.append(('scale and offset', ', '.join(scaling)))
        sampled = f'{min(facts.files, SAMPLED_FILES)} files'
        rows.append((f'pixels of {sampled}', '\n'.join(percentiles(images))))
        if images.range is not None:
            rows.append(('range', f'{images.range} ({images.because})'))
    else:
        total = sum(facts.codes.values())
        shares = [f'{code:g}: {n / total:.2%}' for code, n in sorted(facts.codes.items())]
        rows.append(('codes', ', '.join(shares[:SHOWN])))
        if key == 'mask_cloud':
            rows.append(('clouds', f'{list(images.codes)} ({images.because})'))
    rule, count = found.pairs.get(key, ('name', 0))
    if key != found.reference:
        rows.append(('paired', f'by {rule}: {count} scenes'))
    return [(name, text) for name, text in rows if text]
