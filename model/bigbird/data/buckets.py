"""The padded lengths of a dataset's batches, chosen from how long its records are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from bigbird.config import BigBirdEncoderConfig

# A bucket is a compiled step (tens of seconds under XLA), so there are few, and each must save so much of the arithmetic
# that would be left if every record were padded to its own bound.
MOST_BUCKETS = 6
LEAST_SAVING = 0.02
MULTIPLE = 8  # tokens; accelerators' tiles


def choose_buckets(
    histogram: Iterable[Sequence[int]], longest: int, default: Sequence[int], encoder: BigBirdEncoderConfig
) -> list[int]:
    """At most `MOST_BUCKETS` lengths for the records there are, then those of `default` that are longer.

    The latter hold no record of the dataset and cost nothing until one comes: a longer one in another split, or a text
    that the exported model is asked about.

    Args:
        histogram: (upper bound in tokens, records up to it and above the bound before), ascending.
        longest: tokens of the longest record.
        default: the lengths without a histogram, ascending, up to the longest input.
        encoder: decides what a padded token costs.

    Returns:
        Ascending; the last is the last of `default`.
    """
    counts: Counter[int] = Counter()
    for bound, records in histogram:
        counts[_padded(min(bound, longest), default[-1], encoder)] += records
    lengths = sorted(length for length, records in counts.items() if records)
    if not lengths:
        return list(default)
    prices = {length: forward_cost(length, encoder) for length in lengths}
    bucket_price = LEAST_SAVING * sum(counts[length] * prices[length] for length in lengths)

    def price(chosen: tuple[int, ...]) -> float:
        held = (next(bucket for bucket in chosen if bucket >= length) for length in lengths)
        padded = sum(counts[length] * prices[bucket] for length, bucket in zip(lengths, held, strict=True))
        return padded + bucket_price * len(chosen)

    options = ((*some, lengths[-1]) for size in range(MOST_BUCKETS) for some in combinations(lengths[:-1], size))
    chosen = min(options, key=price)
    return [*chosen, *(length for length in default if length > chosen[-1])]


def _padded(length: int, most: int, encoder: BigBirdEncoderConfig) -> int:
    """A round length that holds `length` tokens; whole blocks where attention is sparse, which pads to them anyway."""
    rounded = -(-length // MULTIPLE) * MULTIPLE
    if rounded > encoder.full_attention_threshold:
        rounded = -(-length // encoder.block_size) * encoder.block_size
    return min(rounded, most)


def forward_cost(length: int, encoder: BigBirdEncoderConfig) -> int:
    """Multiply-adds of one layer on one input of `length` tokens."""
    width, block = encoder.hidden_size, encoder.block_size
    projections = length * (4 * width * width + 2 * width * encoder.intermediate_size)
    if length <= encoder.full_attention_threshold:
        pairs = length * length
    else:  # all rows of the first and last block, and (5 + r) blocks of keys for each of the others
        pairs = 2 * block * length + (length - 2 * block) * (5 + encoder.num_rand_blocks) * block
    return projections + 2 * width * pairs
