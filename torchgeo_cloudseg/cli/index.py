"""``cloudseg index``: build the index of a data set, check every file, and report."""

import json as jsonlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .._files import check_ending, check_outputs, writing
from .arguments import DatasetName

if TYPE_CHECKING:
    from ..datasets import ValidationReport

#: Problems shown on the terminal; all of them are in the JSON file.
SHOWN = 100


def index(
    root: Path,
    quick: bool = False,
    json: Path | None = None,
    dataset: DatasetName | None = None,
    index_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Build the index of a data set, check every file of all splits, and report.

    Args:
        root: root directory of the data set, or configuration (.yaml) such as `cloudseg inspect`
            writes of your own images.
        quick: trust the headers of the files; by default all pixels are read.
        json: file to write the report to.
        dataset: which data set it is (defaults to what the folders look like).
        index_dir: folder for the index (defaults to <root>/.cloudseg, or the user's cache folder
            where that cannot be written to).
        overwrite: replace a report that exists.

    Raises:
        SystemExit: with 1 if anything is wrong with the data set.

    Examples:
        Before a long training; the report as a file, of headers only::

            cloudseg index mine.yaml
            cloudseg index /data/M3M-CR --quick --json report.json
    """
    if json is not None:
        # no file of the data set
        check_ending(json, '.json')
        check_outputs([json], overwrite=overwrite)
    report = _validate(root, dataset, quick, index_dir)
    console = Console()
    console.print(_summary(report))
    if report.problems:
        console.print(_problem_table(report))
    if json is not None:
        with writing([json], overwrite=overwrite) as (draft,):
            draft.write_text(jsonlib.dumps(report.to_dict(), indent=2) + '\n')
        console.print(f'Written to {json}.')
    count = len(report.problems)
    read = 'headers' if quick else 'all pixels'
    verdict = f'{count} file(s) are missing, broken or odd' if count else 'nothing is wrong'
    console.print(f'{report.scenes} sound scenes, {read} read: {verdict}.')
    if not report.ok:
        raise SystemExit(1)


def _validate(
    root: Path, dataset: str | None, quick: bool, index_dir: Path | None
) -> 'ValidationReport':
    """Check the files of a data set, by its root or by its configuration."""
    from ..datasets import SceneFolder, validate_folder, validate_scenes
    from .configured import SUFFIXES, read_data

    if root.suffix not in SUFFIXES:
        return validate_scenes(root, dataset, quick, index_dir)
    module = read_data(root)
    kind, arguments = module.dataset_class, module.kwargs
    place = index_dir or arguments.get('index_dir')
    if issubclass(kind, SceneFolder):
        return validate_folder({**arguments, 'index_dir': place}, quick)
    return validate_scenes(arguments['root'], kind.name, quick, place)


def _summary(report: 'ValidationReport') -> Table:
    """Numbers of scenes by split, zone and season."""
    table = Table('', '', Column('scenes', justify='right'), title=f'Scenes of {report.root}')
    for name, counts in report.counts.items():
        for i, (value, count) in enumerate(counts.items()):
            table.add_row('' if i else name, value, str(count))
        table.add_section()
    return table


def _problem_table(report: 'ValidationReport') -> Table:
    """What is wrong, file by file. Names are never broken, so that they can be searched for."""
    more = len(report.problems) - SHOWN
    caption = f'... and {more} more; --json FILE lists all of them' if more > 0 else None
    columns = (
        Column('file', no_wrap=True),
        Column('what is wrong, and what to do', overflow='fold'),
    )
    table = Table(*columns, title='Files that cannot be used', caption=caption, show_lines=True)
    for problem in report.problems[:SHOWN]:
        parts = Path(problem.path.removeprefix(f'{report.root}{os.sep}')).parts
        name = f'{parts[0]}/.../{parts[-1]}' if len(parts) > 2 else '/'.join(parts)
        wrong = f'{problem.found}; expected {problem.expected}. {problem.remedy}'
        table.add_row(escape(name), escape(wrong))
    return table
