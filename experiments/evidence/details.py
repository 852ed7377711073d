"""Tables of one thing each: missing images, opacity, brightness of clouds, learning rates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .grid import GRID, RESULTS, Cell
from .tables import (
    REGIONS,
    counts_of,
    difference,
    iou,
    labels_of,
    ordered,
    records,
    spread,
    summary,
    told,
)

#: Tests with one image, and the variant that is made for it.
SPECIALISTS = {'test_optical': ('optical', 'lite-optical'), 'test_sar': ('SAR', 'lite-sar')}

#: Edges of the brightness of clouds in the tables, in reflectance.
BRIGHTNESS = (0.25, 0.4)


def missing_table(data: str) -> str:
    """Networks for two images that see one of them, beside those that are made for that one."""
    found, lines = records(data), []
    score, labels = GRID['data'][data]['score'], labels_of(data)
    for variant in ordered(found):
        for test, (title, specialist) in SPECIALISTS.items():
            by_seed = {
                seed: record
                for seed, record in found[variant].items()
                if test in record['scores'] and seed in found.get(specialist, {})
            }
            if by_seed:
                seen = {**found, variant: by_seed}
                scores = [list(summary(record, test).values()) for record in by_seed.values()]
                apart = difference(seen, variant, specialist, score, labels, test)
                lines.append(
                    f'| {GRID["variants"][variant]["title"]} | {title} | {len(by_seed)} | '
                    f'{spread(np.array(scores)[:, 2])} | {told(*apart[2])} |'
                )
    head = ['| variant | sees only | seeds | all pixels | less its specialist |', '|---' * 5 + '|']
    return '\n'.join([*head, *lines]) if lines else ''


def opacity_table(data: str) -> str:
    """How far the opacity that networks tell is from the cloud masks."""
    found, lines = records(data), []
    for variant in ordered(found):
        told = [record.get('opacity_error') for record in found[variant].values()]
        errors = np.array([[error[region] for region in REGIONS] for error in told if error])
        if len(errors):
            cells = [spread(errors[:, column]) for column in range(len(REGIONS))]
            title = GRID['variants'][variant]['title']
            lines.append(f'| {title} | {len(errors)} | {" | ".join(cells)} |')
    head = ['| variant | seeds | under clouds | clear sky | all pixels |', '|---' * 5 + '|']
    return '\n'.join([*head, *lines]) if lines else ''


def brightness_file(data: str) -> Path:
    """Where the brightness of the clouds over each test scene is recorded."""
    return RESULTS / GRID['data'][data].get('like', data) / 'clouds.json'


def brightness_table(data: str) -> str:
    """Scores under clouds by how bright they are; empty where that is not recorded."""
    file = brightness_file(data)
    if not file.is_file():
        return ''
    clouds: dict[str, float] = json.loads(file.read_text())['scenes']
    found, score = records(data), GRID['data'][data]['score']
    groups = list(zip((0.0, *BRIGHTNESS), (*BRIGHTNESS, np.inf), strict=True))
    chosen = [
        [name for name, value in clouds.items() if low <= value < high] for low, high in groups
    ]
    titles = [
        f'{low:g} to {high:g}' if np.isfinite(high) else f'over {low:g}' for low, high in groups
    ]
    head = [f'{title} ({len(names)} scenes)' for title, names in zip(titles, chosen, strict=True)]
    lines = [f'| variant | seeds | {" | ".join(head)} |', '|---' * (2 + len(head)) + '|']
    for variant in ordered(found):
        cells = []
        for names in chosen:
            tests = [record['scores']['test'] for record in found[variant].values()]
            shown = [{'scores': {'test': {name: test[name] for name in names}}} for test in tests]
            totals = np.stack([counts_of(record).sum(axis=0)[0] for record in shown])
            cells.append(spread(iou(totals, score, labels_of(data))))
        title = GRID['variants'][variant]['title']
        lines.append(f'| {title} | {len(found[variant])} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def rates_file() -> Path:
    """Where scores of learning rates are recorded."""
    return RESULTS / 'rates.json'


def rates_table() -> str:
    """Scores of all pixels by learning rate; empty if none was searched for."""
    file = rates_file()
    if not file.is_file():
        return ''
    record = json.loads(file.read_text())
    tried = list(next(iter(record['scores'].values())))
    rows = [['variant', *tried], ['---'] * (1 + len(tried))]
    for variant, scores in record['scores'].items():
        title = Cell(record['data'], variant, 0).title
        found = (f'{100 * scores[rate]["all"]:.1f}' if rate in scores else '' for rate in tried)
        rows.append([title, *found])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)
