"""Tables and intervals, of the records alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import GRID, RESULTS, Cell, compose

REGIONS = ('cloudy', 'clear', 'all')

#: Draws of the bootstrap, and its seed.
DRAWS, SEED = 2000, 0

#: What the others are held against, but for those that say it themselves.
REFERENCE = 'student'

HEADER = (
    'variant',
    'seeds',
    'steps',
    'processor s',
    'M parameters',
    'under clouds',
    'clear sky',
    'all pixels',
    'student less this: under clouds',
    'clear sky',
)

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


def labels_of(data: str) -> list[str]:
    """Names of the classes of a data set."""
    return list(compose(Cell(data, 'early', 0), Path())['model']['init_args']['labels'])


def summary(record: Mapping[str, Any], test: str = 'test') -> dict[str, float]:
    """The score of a record by region."""
    data = record['cell'].partition('/')[0]
    totals = counts_of(record, test).sum(axis=0)
    values = iou(totals, GRID['data'][data]['score'], labels_of(data))
    return {region: round(float(value), 4) for region, value in zip(REGIONS, values, strict=True)}


def stack(
    by_seed: Mapping[int, Mapping[str, Any]], seeds: Sequence[int], test: str = 'test'
) -> Counts:
    """Pixels (seed, scene, region, label, prediction)."""
    return np.stack([counts_of(by_seed[seed], test) for seed in seeds])


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


def ordered(found: Mapping[str, Any]) -> list[str]:
    """Variants that are recorded, in the order of the grid."""
    return [variant for variant in GRID['variants'] if variant in found]


def difference(
    found: Mapping[str, Any],
    reference: str,
    variant: str,
    score: str,
    labels: Sequence[str],
    test: str = 'test',
) -> list[tuple[float, float, float]]:
    """By how much a variant is below another: mean, and the 95 % interval, by region.

    Args:
        found: records by variant and seed.
        reference: the other variant.
        variant: the variant.
        score: name of the score.
        labels: names of the classes.
        test: test of the other variant; of the variant it is the usual one.
    """
    both = sorted(set(found[variant]) & set(found[reference]))
    ours, theirs = stack(found[reference], both, test), stack(found[variant], both)
    drawn = np.subtract(*bootstrap([ours, theirs], score, labels))
    means = [iou(stacked.sum(axis=1), score, labels).mean(axis=0) for stacked in (ours, theirs)]
    return [
        (float(means[0][region] - means[1][region]), *interval(drawn[:, region]))
        for region in range(len(REGIONS))
    ]


def reference_of(found: Mapping[str, Any], variant: str) -> str | None:
    """What a variant is held against; None where there is nothing of the same seeds."""
    reference: str = GRID['variants'][variant].get('against', REFERENCE)
    both = set(found[variant]) & set(found.get(reference, {}))
    return reference if both and variant != reference else None


def table(data: str) -> str:
    """Scores of all variants, and how far the student is from each."""
    found = records(data)
    score = GRID['data'][data]['score']
    lines = [f'| {" | ".join(HEADER)} |', '|---' * len(HEADER) + '|']
    for variant in ordered(found):
        by_seed = found[variant]
        some = next(iter(by_seed.values()))
        values = np.array([list(summary(record).values()) for record in by_seed.values()])
        cells = [
            GRID['variants'][variant]['title'],
            str(len(by_seed)),
            _cost(found, variant, 'steps'),
            _cost(found, variant, 'cpu_seconds'),
            f'{some["parameters"] / 1e6:.1f}',
            *(spread(values[:, column]) for column in range(3)),
        ]
        if reference := reference_of(found, variant):
            apart = difference(found, reference, variant, score, labels_of(data))
            cells += [told(*values) for values in apart[:2]]
        lines.append(f'| {" | ".join([*cells, "", ""][: len(HEADER)])} |')
    return '\n'.join(lines)


def verdicts(data: str) -> list[str]:
    """What the intervals say, one sentence for each variant."""
    found = records(data)
    score, sentences = GRID['data'][data]['score'], []
    for variant in ordered(found):
        reference = reference_of(found, variant)
        if reference is None:
            continue
        apart = difference(found, reference, variant, score, labels_of(data))
        said = [
            f'{_verdict(*apart[region])} {"under clouds" if region == 0 else "in clear sky"}'
            for region in (0, 1)
        ]
        title, ours = (GRID['variants'][name]['title'] for name in (variant, reference))
        sentences.append(f'- Against *{title}*, the {ours} is {said[0]}, and {said[1]}.')
    return sentences


def _verdict(mean: float, low: float, high: float) -> str:
    if low > 0:
        return f'better by {100 * mean:.1f} points'
    if high < 0:
        return f'worse by {-100 * mean:.1f} points'
    return f'not told apart ({100 * mean:+.1f} points, the interval holds 0)'


def _cost(found: Mapping[str, Any], variant: str, what: str) -> str:
    names = (variant, GRID['variants'][variant].get('teacher'))
    recorded = [found[name].values() for name in names if name in found]
    means = [np.mean([record[what] for record in by_seed]) for by_seed in recorded]
    return ' + '.join(f'{mean:.0f}' for mean in means)


def told(mean: float, low: float, high: float) -> str:
    """A difference and its interval, in per cent."""
    return f'{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})'


def spread(values: NDArray[np.float64]) -> str:
    """Mean and standard deviation between seeds, in per cent."""
    deviation = f' ± {100 * values.std(ddof=1):.1f}' if len(values) > 1 else ''
    return f'{100 * values.mean():.1f}{deviation}'


def cost(data: str) -> str:
    """Where, how long and with what the cells ran."""
    every = [record for by_seed in records(data).values() for record in by_seed.values()]
    hours = sum(record['seconds'] for record in every) / 3600
    busy = sum(record['cpu_seconds'] for record in every) / 3600
    told = {
        name: ', '.join(sorted({str(record['machine'][name])[:60] for record in every}))
        for name in ('processor', 'threads', 'torch', 'torchgeo', 'commit')
    }
    return (
        f'{len(every)} cells; in training {hours:.1f} hours by the clock and {busy:.1f} hours of '
        'processor time ({processor}; {threads} thread(s); torch {torch}, torchgeo {torchgeo}; '
        'commit {commit}).'.format(**told)
    )
