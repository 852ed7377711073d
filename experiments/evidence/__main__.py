"""Evidence: whether a student maps better through clouds, cell by cell.

python -m experiments.evidence run                        # the core tables; done cells are skipped
python -m experiments.evidence run --more --jobs 2        # all variants
python -m experiments.evidence run --only ombria/student/0 --keep student.ckpt --again
python -m experiments.evidence table --output docs/results.md
python -m experiments.evidence figure --output docs/images
python -m experiments.evidence picture ombria/student/0 --checkpoint student.ckpt
python -m experiments.evidence score ombria/student/0 --checkpoint student.ckpt --root OTHER
python -m experiments.evidence rates                      # which learning rate, on one seed
python -m experiments.evidence clouds                     # how bright those of the test scenes are
python -m experiments.evidence show ombria/student/0      # the configuration of a cell
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from . import document, figures, runner
from .grid import OUTPUT, cells, compose, parse


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser('experiments.evidence', description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest='command', required=True)
    run = commands.add_parser('run', help='train and score what is not there yet')
    run.add_argument('--only', nargs='*', default=[], help='names of cells, such as "ombria/*/0"')
    run.add_argument('--more', action='store_true', help='all variants, not the core ones alone')
    run.add_argument('--jobs', type=int, default=1, help='units at a time')
    run.add_argument('--root', type=Path, help='root directory of the data')
    run.add_argument('--again', action='store_true', help='compare with the record; keep that')
    run.add_argument('--keep', type=Path, help='where the checkpoint of the one cell goes')
    run.add_argument('--set', dest='changes', nargs='*', default=[], help='key.key=value')
    run.add_argument('--dry', action='store_true', help='one step each, and nothing is recorded')
    table = commands.add_parser('table', help='tables of what is recorded')
    table.add_argument('--output', type=Path)
    figure = commands.add_parser('figure', help='figures of what is recorded')
    figure.add_argument('--output', type=Path, default=OUTPUT)
    picture = commands.add_parser('picture', help='the best, median and worst scene of a cell')
    picture.add_argument('cell')
    picture.add_argument('--checkpoint', type=Path, required=True, help='what run --keep kept')
    picture.add_argument('--root', type=Path)
    picture.add_argument('--output', type=Path, default=OUTPUT)
    score = commands.add_parser('score', help='a checkpoint on the test fold of any root')
    score.add_argument('cell')
    score.add_argument('--checkpoint', type=Path, required=True, help='what run --keep kept')
    score.add_argument('--root', type=Path)
    rates = commands.add_parser('rates', help='which learning rate, on the validation fold')
    rates.add_argument('--root', type=Path)
    clouds = commands.add_parser('clouds', help='how bright the clouds of the test scenes are')
    clouds.add_argument('--root', type=Path)
    show = commands.add_parser('show', help='the configuration of a cell')
    show.add_argument('cell')
    one = commands.add_parser('cell', help='one cell in this process, as run starts it')
    one.add_argument('cell')
    one.add_argument('--folder', type=Path, required=True)
    one.add_argument('--result', type=Path, required=True)
    one.add_argument('--root', type=Path)
    one.add_argument('--teacher', type=Path)
    one.add_argument('--changes', type=yaml.safe_load, default={})
    args = parser.parse_args(arguments)
    match args.command:
        case 'run':
            chosen = cells(args.only, args.more)
            changes = runner.overlay(args.changes, args.dry)
            sys.exit(
                runner.run(chosen, args.jobs, args.root, args.again, args.keep, changes, args.dry)
            )
        case 'table':
            text = document.report()
            if args.output is None:
                print(text)
            else:
                args.output.write_text(text)
        case 'figure':
            print(*figures.draw(args.output), sep='\n')
        case 'show':
            print(yaml.safe_dump(compose(parse(args.cell), OUTPUT), sort_keys=False))
        case 'picture':
            from .pictures import draw_scenes

            files = draw_scenes(parse(args.cell), args.checkpoint, args.output, args.root)
            print(*files, sep='\n')
        case 'score':
            from .cell import score_checkpoint

            print(score_checkpoint(parse(args.cell), args.checkpoint, args.root))
        case 'rates':
            from .rates import search

            search(root=args.root)
        case 'clouds':
            from .brightness import measure

            measure(root=args.root)
        case 'cell':
            from .cell import run_cell, write_record  # torch is not needed by the others

            cell = parse(args.cell)
            record = run_cell(cell, args.folder, args.root, args.teacher, args.changes)
            write_record(args.result, record)


if __name__ == '__main__':
    main()
