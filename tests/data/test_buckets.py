"""Padded lengths chosen from a dataset's histogram: few, cheap, and always up to the longest input."""

import pytest

from bigbird.config import BigBirdEncoderConfig
from bigbird.data.buckets import LEAST_SAVING, MOST_BUCKETS, choose_buckets, forward_cost

BASE = BigBirdEncoderConfig()
DOUBLING = [64, 128, 256, 512, 1024]
SST2 = [[16, 14448], [24, 2951], [32, 1512], [48, 989], [64, 98], [96, 2]]  # of 20,000 sentences; the longest has 67


def _tokens(histogram, buckets):
    return sum(records * next(bucket for bucket in buckets if bucket >= bound) for bound, records in histogram)


def test_short_records_get_short_buckets_and_longer_inputs_keep_the_doubling_ones():
    chosen = choose_buckets(SST2, 67, DOUBLING, BASE)
    assert chosen == [16, 24, 32, 48, 72, 128, 256, 512, 1024]
    shortened = [[min(bound, 67), records] for bound, records in SST2]
    assert _tokens(shortened, chosen) < _tokens(shortened, DOUBLING) / 3


def test_records_of_one_length_get_one_bucket():
    assert choose_buckets([[192, 5000]], 180, DOUBLING, BASE) == [184, 256, 512, 1024]


def test_a_few_records_are_not_worth_a_compiled_step():
    assert choose_buckets([[64, 10], [96, 10], [128, 10_000]], 128, DOUBLING, BASE) == [128, 256, 512, 1024]
    assert choose_buckets([[64, 10_000], [96, 10], [128, 10]], 128, DOUBLING, BASE) == [64, 128, 256, 512, 1024]


def test_there_are_never_many_buckets_however_records_are_spread():
    bounds = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096]
    default = [*DOUBLING, 2048, 4096]
    even = [[bound, 4_096_000 // bound] for bound in bounds]  # each holds as many tokens
    chosen = choose_buckets(even, 4096, default, BASE)
    assert len(chosen) == MOST_BUCKETS and chosen[-1] == 4096
    assert _tokens(even, chosen) < _tokens(even, default)


def test_a_bucket_more_must_save_its_price():
    def spread(records):  # padding these records to 96 instead of 64 tokens costs (96 - 64) of 96 each
        return [[64, records], [96, 10_000]]

    def worth(records):
        prices = [forward_cost(length, BASE) for length in (64, 96)]
        return records * (prices[1] - prices[0]) > LEAST_SAVING * (records * prices[0] + 10_000 * prices[1])

    for records in (300, 600, 650, 700, 3000):
        assert (choose_buckets(spread(records), 96, DOUBLING, BASE)[0] == 64) == worth(records)
    assert not worth(300) and worth(3000)


@pytest.mark.parametrize(("longest", "bucket"), [(530, 536), (700, 704), (706, 768), (760, 768)])
def test_beyond_full_attention_buckets_are_whole_blocks(longest, bucket):
    assert choose_buckets([[768, 100]], longest, DOUBLING, BASE) == [bucket, 1024]


def test_records_as_long_as_the_longest_input_end_the_buckets():
    assert choose_buckets([[1024, 100]], 1000, [64, 128, 256, 512, 1000], BASE) == [1000]
    assert choose_buckets([[32, 100]], 30, [30], BASE) == [30]


def test_an_empty_histogram_leaves_the_default():
    assert choose_buckets([], 67, DOUBLING, BASE) == DOUBLING


def test_the_cost_is_linear_beyond_full_attention_and_quadratic_up_to_it():
    attention = {length: forward_cost(length, BASE) - length * 12 * 768**2 for length in (352, 704, 1408, 2816)}
    assert attention[704] == 4 * attention[352]
    assert attention[2816] < 2.1 * attention[1408]
    assert attention[704] == 2 * 768 * 704**2
