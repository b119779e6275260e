"""The published plans: recorded values, and what holds of every plan."""

import numpy as np
import pytest

from bigbird.layers.attention.pattern import BlockPattern, block_counts, key_blocks, random_blocks

BASE = BlockPattern(num_heads=12)


def test_the_old_plan_is_the_published_one():
    """Values of google-research/bigbird's plan, seed 0, 4096 tokens."""
    plan = random_blocks(BASE, 4096, 0)
    assert plan.shape == (12, 62, 3)
    assert plan[0, :4].tolist() == [[9, 14, 7], [9, 6, 7], [10, 5, 14], [6, 8, 12]]
    assert plan[11, 61].tolist() == [3, 5, 7]


def _fingerprint(plan):
    """One number that moves with every entry and its place."""
    return int((plan.ravel().astype(np.int64) * np.arange(1, plan.size + 1)).sum())


@pytest.mark.parametrize(("layer", "expected"), [(0, 19800603), (5, 19878870), (11, 19714946)])
def test_the_whole_old_plan_of_several_layers_is_the_published_one(layer, expected):
    """Recorded by running google-research's generator, which the Model Garden's equals."""
    assert _fingerprint(random_blocks(BASE, 4096, layer)) == expected


@pytest.mark.parametrize(
    ("length", "layer", "first_rows", "last_row", "expected"),
    [
        (768, 0, [[4, 6, 7], [4, 8, 5], [8, 1, 5], [9, 2, 1]], [3, 5, 6], 318161),
        (768, 11, [[6, 3, 8], [8, 6, 9], [6, 7, 9], [1, 8, 7]], [7, 4, 2], 315615),
        (8192, 0, [[4, 6, 7], [4, 8, 5], [8, 1, 5], [9, 2, 1]], [7, 2, 1], 51250605),
    ],
)
def test_the_new_plan_is_the_published_one(length, layer, first_rows, last_row, expected):
    """Recorded by running google-research's `get_rand_attn_plan` and its generator with heads."""
    plan = random_blocks(BASE, length, layer)
    assert plan[0, :4].tolist() == first_rows
    assert plan[11, -1].tolist() == last_row
    assert _fingerprint(plan) == expected


@pytest.mark.parametrize("length", [768, 1536, 2560])
def test_the_new_plan_picks_from_the_first_eleven_blocks_and_leaves_the_crossing_pair_out(length):
    plan = random_blocks(BlockPattern(num_heads=40, rule="google_research"), length, 0)
    assert sorted(set(plan.ravel().tolist())) == list(range(1, 10))
    assert 9 not in plan[:, 0] and 8 in plan[:, 0]  # row 1
    assert 1 not in plan[:, 8] and 2 in plan[:, 8]  # row 9


def test_a_shorter_input_takes_the_first_rows_of_the_longest_ones_plan():
    np.testing.assert_array_equal(random_blocks(BASE, 3072, 5), random_blocks(BASE, 4096, 5)[:, :46])


def test_at_1024_tokens_some_random_blocks_are_the_last_global_one_and_count_twice():
    plan = random_blocks(BASE, 1024, 0)
    assert plan.size == 504
    assert (plan == 15).sum() == 38
    counts = block_counts(BASE, 1024, 0)
    assert counts.max() == 2
    assert (counts[:, 1:-1] == 2).sum() == 38
    assert (counts[:, :, 15] == 2).sum() == 38


@pytest.mark.parametrize(
    ("rule", "length", "old"),
    [
        ("model_garden", 768, False), ("model_garden", 1024, True), ("model_garden", 1536, True),
        ("model_garden", 4096, True), ("model_garden", 8192, False),
        ("google_research", 1024, True), ("google_research", 1536, False), ("google_research", 2048, True),
        ("google_research", 4096, True),
    ],
)  # fmt: skip
def test_which_plan_a_length_takes(rule, length, old):
    assert BlockPattern(num_heads=1, rule=rule).uses_old_plan(length) is old


@pytest.mark.parametrize("layer", [0, 11])
@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        (BASE, 768), (BASE, 1024), (BASE, 4096), (BASE, 8192),
        (BlockPattern(num_heads=3, block_size=32, num_rand_blocks=2, build_length=2048), 1024),
        (BlockPattern(num_heads=2, block_size=16, num_rand_blocks=1, build_length=512, random_range=128), 512),
    ],
)  # fmt: skip
def test_every_query_block_sees_its_window_the_globals_and_its_random_blocks(pattern, length, layer):
    blocks, _ = key_blocks(pattern, length, layer)
    nb, r = length // pattern.block_size, pattern.num_rand_blocks
    assert blocks.shape == (pattern.num_heads, nb - 2, 5 + r)
    assert blocks.min() >= 0 and blocks.max() < nb
    counts = block_counts(pattern, length, layer)
    rows = np.arange(1, nb - 1)
    for seen in (np.zeros_like(rows), rows - 1, rows, rows + 1, np.full_like(rows, nb - 1)):
        assert (counts[:, rows, seen] >= 1).all()
    assert (counts[:, [0, -1]] == 1).all()  # the global blocks attend to everything
    # Blocks 1 and nb - 2 have a global block in their window, so one slot less.
    expected = np.full(nb - 2, 5 + r)
    expected[[0, -1]] -= 1
    assert (counts[:, 1:-1].sum(axis=2) == expected).all()
    random = blocks[:, :, 4:-1]
    assert all(len(set(row)) == r for head in random for row in head)
    outside_window = np.abs(random - rows[None, :, None]) > 1
    assert outside_window.all() and (random > 0).all()


def test_layers_and_heads_differ_and_a_plan_never_changes():
    assert not np.array_equal(random_blocks(BASE, 4096, 0), random_blocks(BASE, 4096, 1))
    plan = random_blocks(BASE, 4096, 0)
    assert not np.array_equal(plan[0], plan[1])
    np.random.seed(7)  # noqa: NPY002 - the global generator must have no say
    random_blocks.cache_clear()
    np.testing.assert_array_equal(random_blocks(BASE, 4096, 0), plan)
    with pytest.raises(ValueError, match="read-only"):
        plan[0, 0, 0] = 1


@pytest.mark.parametrize("length", [704, 1000])
def test_a_length_without_a_plan_is_refused(length):
    with pytest.raises(ValueError, match=f"length {length} must be a multiple of the block size 64 and more than 11"):
        random_blocks(BASE, length, 0)
