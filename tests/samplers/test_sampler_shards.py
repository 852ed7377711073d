"""Shards: all ranks together are the epoch, no patch more and none less."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torchgeo.datasets import GeoDataset

from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

Make = Callable[..., GeoDataset]


@pytest.mark.slow
@given(
    ranks=st.integers(1, 9),
    length=st.integers(1, 40),
    epoch=st.integers(0, 99),
    seed=st.integers(0, 99),
)
def test_ranks_draw_one_random_epoch(
    outlines: Make, ranks: int, length: int, epoch: int, seed: int
) -> None:
    dataset = outlines((0, 900, 90, 90), (100, 900, 70, 80))
    shards = [
        RandomSceneSampler(dataset, 30, length, seed=seed, num_replicas=ranks, rank=rank)
        for rank in range(ranks)
    ]
    # every rank has the same number: DDP waits for all of them at every step
    (count,) = {len(shard) for shard in shards}
    assert length <= count * ranks < length + ranks
    alone = RandomSceneSampler(dataset, 30, count * ranks, seed=seed)
    for sampler in (alone, *shards):
        sampler.set_epoch(epoch)
    lists = [list(shard) for shard in shards]
    assert [lists[i % ranks][i // ranks] for i in range(count * ranks)] == list(alone)


@pytest.mark.slow
@pytest.mark.parametrize('sampler', [GridSceneSampler, CenterSceneSampler])
@given(ranks=st.integers(1, 12), widths=st.lists(st.integers(30, 100), min_size=1, max_size=7))
def test_ranks_share_what_there_is(
    outlines: Make, sampler: type, ranks: int, widths: list[int]
) -> None:
    dataset = outlines(*[(200 * i, 900, 50, width) for i, width in enumerate(widths)])
    shards = [sampler(dataset, 30, num_replicas=ranks, rank=rank) for rank in range(ranks)]
    lists = [list(shard) for shard in shards]
    assert [len(shard) for shard in shards] == list(map(len, lists))
    assert max(map(len, lists)) - min(map(len, lists)) <= 1
    drawn = sorted(str(query) for queries in lists for query in queries)
    # no patch twice, as padding to even shards would have it
    assert drawn == sorted(map(str, sampler(dataset, 30)))


def test_process_group_is_asked_for_the_rank(outlines: Make) -> None:
    dataset = outlines((0, 900, 300, 300))
    store = dist.HashStore()
    dist.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        sampler = GridSceneSampler(dataset, 100)
        assert (sampler.rank, sampler.num_replicas) == (0, 1)
        stated = GridSceneSampler(dataset, 100, num_replicas=4, rank=3)
        assert (stated.rank, stated.num_replicas, len(stated)) == (3, 4, 2)
    finally:
        dist.destroy_process_group()


def test_rank_beyond_the_processes(outlines: Make) -> None:
    with pytest.raises(ValueError, match='rank'):
        GridSceneSampler(outlines((0, 900, 300, 300)), 100, num_replicas=2, rank=2)


def test_skipped_patches_are_those_of_the_rank(outlines: Make) -> None:
    sampler = RandomSceneSampler(outlines((0, 900, 300, 300)), 100, 20, num_replicas=2, rank=1)
    everything = list(sampler)
    sampler.skip(4)
    assert list(sampler) == everything[4:]
    assert list(sampler) == everything
