"""Tables and intervals, of the records alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import GRID, RESULTS, Cell

REGIONS = ('cloudy', 'clear', 'all')

#: Draws of the bootstrap, and its seed.
DRAWS, SEED = 2000, 0

Counts = NDArray[np.int64]


def records(data: str) -> dict[str, dict[int, dict[str, Any]]]:
    """Records by variant and seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for file in sorted((RESULTS / data).glob('*/*.json')):
        found.setdefault(file.parent.name, {})[int(file.stem)] = json.loads(file.read_text())
    return found


def counts_of(record: Mapping[str, Any], test: str = 'test') -> Counts:
    """Pixels of a record (scene, region, label, prediction), scenes by name, all pixels last."""
    scenes = record['scores'][test]
    flat = np.array([scenes[name] for name in sorted(scenes)], np.int64)
    classes = int(np.sqrt(flat.shape[1] // 2))
    clear, cloudy = np.moveaxis(flat.reshape(-1, 2, classes, classes), 1, 0)
    return np.stack([cloudy, clear, cloudy + clear], axis=1)


def iou(counts: NDArray[Any], score: str, labels: Sequence[str]) -> NDArray[np.float64]:
    """Intersection over union (...) of matrices (..., K, K): of one class, or the mean."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    union = counts.sum(-1) + counts.sum(-2) - right
    with np.errstate(invalid='ignore'):
        by_class = right / np.where(union > 0, union, np.nan)
    if score == 'mIoU':
        mean: NDArray[np.float64] = np.nanmean(by_class, axis=-1)
        return mean
    one: NDArray[np.float64] = by_class[..., list(labels).index(score.removeprefix('IoU_'))]
    return one


def labels_of(record: Mapping[str, Any]) -> list[str]:
    """Names of the classes of a record."""
    return list(record['labels'] or [])


def summary(record: Mapping[str, Any]) -> dict[str, float]:
    """The score of a record by region."""
    data = record['cell'].partition('/')[0]
    totals = counts_of(record).sum(axis=0)
    values = iou(totals, GRID['data'][data]['score'], labels_of(record))
    return {region: round(float(value), 4) for region, value in zip(REGIONS, values, strict=True)}


def stack(by_seed: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]) -> Counts:
    """Pixels (seed, scene, region, label, prediction)."""
    return np.stack([counts_of(by_seed[seed]) for seed in seeds])


def bootstrap(
    stacks: Sequence[Counts], score: str, labels: Sequence[str]
) -> list[NDArray[np.float64]]:
    """Mean scores (draw, region) of variants, of the same scenes and seeds in each draw.

    Args:
        stacks: pixels of each variant (seed, scene, region, label, prediction).
        score: name of the score.
        labels: names of the classes.
    """
    seeds, scenes = stacks[0].shape[:2]
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(scenes, np.full(scenes, 1 / scenes), DRAWS).astype(float)
    chosen = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    means = []
    for stacked in stacks:
        flat = stacked.transpose(1, 0, 2, 3, 4).reshape(scenes, -1).astype(float)
        totals = (drawn @ flat).reshape(DRAWS, seeds, *stacked.shape[2:])
        means.append((iou(totals, score, labels) * chosen[:, :, None]).sum(axis=1))
    return means


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the draws lie in it."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def ordered(data: str, found: Mapping[str, Any]) -> list[str]:
    """Variants that are recorded, in the order of the grid."""
    return [variant for variant in GRID['variants'] if variant in found]


def table(data: str, reference: str = 'student') -> str:
    """Scores of all variants, and how far the student is from each."""
    found = records(data)
    score = GRID['data'][data]['score']
    lines = [
        '| variant | seeds | steps | min | M parameters | under clouds | clear | all '
        '| student less this, under clouds | clear |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for variant in ordered(data, found):
        by_seed = found[variant]
        some = next(iter(by_seed.values()))
        labels = labels_of(next(iter(next(iter(found.values())).values())))
        values = np.array([list(summary(record).values()) for record in by_seed.values()])
        cells = [
            Cell(data, variant, 0).title,
            str(len(by_seed)),
            _steps(found, variant, some),
            f'{np.mean([record["seconds"] for record in by_seed.values()]) / 60:.1f}',
            f'{some["parameters"] / 1e6:.1f}',
            *(_spread(values[:, column]) for column in range(3)),
        ]
        both = sorted(set(by_seed) & set(found.get(reference, {})))
        if variant != reference and both:
            pair = [stack(found[name], both) for name in (reference, variant)]
            ours, theirs = bootstrap(pair, score, labels)
            for region in (0, 1):
                low, high = interval(ours[:, region] - theirs[:, region])
                mean = np.mean(
                    [
                        summary(found[reference][seed])[REGIONS[region]]
                        - summary(by_seed[seed])[REGIONS[region]]
                        for seed in both
                    ]
                )
                cells.append(f'{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})')
        lines.append(f'| {" | ".join([*cells, "", ""][:10])} |')
    return '\n'.join(lines)


def _steps(found: Mapping[str, Any], variant: str, record: Mapping[str, Any]) -> str:
    teacher = GRID['variants'][variant].get('teacher')
    taught = next(iter(found.get(teacher, {}).values()), None)
    return f'{record["steps"]} + {taught["steps"]}' if taught else str(record['steps'])


def _spread(values: NDArray[np.float64]) -> str:
    deviation = f' ± {100 * values.std(ddof=1):.1f}' if len(values) > 1 else ''
    return f'{100 * values.mean():.1f}{deviation}'


def report() -> str:
    """All that is recorded, in words and tables."""
    return '\n'.join(table(data) for data in GRID['data'] if records(data))
