"""The Beam part: shards in, paths of TFRecord files out."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from bigbird_components.preprocess.shards import Encoding, Shard, ShardEncoder


def encode_shards(shards: beam.PCollection[Shard], encoding: Encoding) -> beam.PCollection[str]:
    """Writes every shard's file; gives the paths written."""
    return shards | "Spread" >> beam.Reshuffle() | "Encode" >> beam.ParDo(EncodeShard(encoding))


class EncodeShard(beam.DoFn):
    """`ShardEncoder` as a step of Beam."""

    def __init__(self, encoding: Encoding):
        self._encoder = ShardEncoder(encoding)

    def process(self, element: Shard) -> Iterator[str]:
        """Writes one shard; yields its path."""
        yield self._encoder.encode(element)
