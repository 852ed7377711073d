"""All that is recorded, in tables and words."""

from __future__ import annotations

from .details import brightness_table, missing_table, opacity_table, rates_table
from .grid import GRID, HERE
from .tables import cost, records, table, verdicts


def report() -> str:
    """The text, in Markdown."""
    parts = [(HERE / 'report' / 'head.md').read_text()]
    for data, facts in GRID['data'].items():
        if not records(data):
            continue
        about = HERE / 'report' / f'{data}.md'
        parts += [
            f'## {facts["title"]}',
            about.read_text() if about.is_file() else '',
            table(data),
            cost(data),
            f'![Scores by variant](images/evidence-{data}.png)',
            f'![Scores against cloud cover](images/evidence-{data}-cover.png)',
            'What the intervals say (95 %, scenes and seeds drawn anew, the same for both):',
            '\n'.join(verdicts(data)),
        ]
        if brightness := brightness_table(data):
            parts += [
                'Under clouds, by how bright these are (of a scene, the median of the first band):',
                brightness,
            ]
        if missing := missing_table(data):
            parts += ['One of the two images is missing:', missing]
        if opacity := opacity_table(data):
            parts += [
                'Mean distance of the opacity that is told from the cloud mask, in per cent:',
                opacity,
            ]
    if rates := rates_table():
        parts += ['## Learning rates', (HERE / 'report' / 'rates.md').read_text(), rates]
    after = HERE / 'report' / 'tail.md'
    parts += [after.read_text()] if after.is_file() else []
    return '\n\n'.join(part.strip() for part in parts if part.strip()) + '\n'
