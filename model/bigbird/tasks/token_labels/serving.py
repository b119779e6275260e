"""Spans of raw texts, in the graph.

Texts are cut into windows as `encoding` does, units found as `words` does, and decoded as `decoding` does.

Shapes: B texts, W windows of all texts, P pieces, C characters, U units and S spans of all texts together, T tags, (n) ragged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from bigbird.serving.buckets import Tensors, check_fits, ragged_rows, run_by_bucket, traced_once
from bigbird.serving.signatures import signature
from bigbird.serving.tokenizer import GraphTokenizer, RaggedPieces, repair
from bigbird.serving.windows import max_context
from bigbird.tasks.token_labels.decoding import NEVER, Transitions
from bigbird.tasks.token_labels.encoding import Layout
from bigbird.tasks.token_labels.words import ALONE, JOINER, MARK, SPACE, WORD, character_classes
from bigbird.text.vocabulary import Vocabulary

MEANINGS = {
    "text_a": "the text, as long as you like; UTF-8",
    "input_word_ids": "token ids: [CLS] text [SEP], then 0; any padded length",
    "input_mask": "1 for tokens, then 0 for padding",
    "input_type_ids": "0",
    "spans/start": "first character of each span in the text, from 0; as all of spans/, a column for each span, then padding",
    "spans/end": "one past the last character of each span",
    "spans/label": "of each span; empty for padding, for texts with fewer spans than another of the batch",
    "spans/text": "of each span, text_a[start:end]",
    "spans/score": "of each span, 0 to 1: the mean probability over its words or pieces that they are of its label",
    "logits": "of each token for each tag: O, then B and I of each label, in the order of `labels` in signature.json; 0 for padding",
}


class GraphUnits(NamedTuple):
    """As `words.Units`, of all texts: places among all pieces and all characters, int64[U] each, and the text of each."""

    pieces: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    text: tf.Tensor


class SpanLabeler(tf.Module):
    """A model of spans as a module that `tf.saved_model.save` takes.

    Args:
        model: gives {"logits": float32[W, L, T]}.
        vocabulary: cuts texts into pieces.
        buckets: padded lengths, ascending, tokens.
        layout: how texts are read; `max_length` is at most the longest bucket.
        labels: in the order of their numbers.
        transitions: how tags follow each other.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        *,
        buckets: Sequence[int],
        layout: Layout,
        labels: Sequence[str],
        transitions: Transitions,
    ):
        super().__init__(name="span_labeler")
        self._weights = [variable.value for variable in model.weights]  # what the SavedModel keeps
        self._model = traced_once(lambda features: {"logits": model(features, training=False)["logits"]})
        self._tokenizer = GraphTokenizer(vocabulary)
        self._classes = tf.constant(character_classes())
        check_fits(layout.max_length, buckets)
        self._buckets, self._layout, self._transitions = tuple(buckets), layout, transitions
        self._labels, self._tags = tf.constant(list(labels)), 1 + 2 * len(labels)

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """The functions to save, by signature name."""
        text, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        return {
            "serving_default": signature(self._from_text, {"text_a": text}),
            "ids": signature(self._from_ids, dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), ids)),
        }

    def _from_text(self, text_a: tf.Tensor) -> Tensors:
        text = repair(text_a)
        pieces = self._tokenizer.encode_with_offsets(text)
        points = tf.strings.unicode_decode(text, "UTF-8")  # int32[B, (characters)]
        units = self._units(pieces, points)
        logits = tf.gather(self._piece_logits(pieces.ids), units.pieces)  # (U, T)
        first, last, label, score = _decode(logits, units.text, tf.size(text_a, tf.int64), self._transitions)
        row = tf.gather(units.text, first)
        start, end = tf.gather(units.starts, first), tf.gather(units.ends, last)
        letters = tf.gather(points.flat_values, tf.ragged.range(start, end))
        before = tf.gather(points.row_starts(), row)
        columns = {
            "start": tf.cast(start - before, tf.int32),
            "end": tf.cast(end - before, tf.int32),
            "label": tf.gather(self._labels, label),
            "text": tf.strings.unicode_encode(letters, "UTF-8"),
            "score": score,
        }
        rows = tf.size(text_a, tf.int64)
        return {
            f"spans/{name}": tf.RaggedTensor.from_value_rowids(column, row, rows).to_tensor()
            for name, column in columns.items()
        }

    def _units(self, pieces: RaggedPieces, points: tf.RaggedTensor) -> GraphUnits:
        """The units of all texts; see `words.find_units`."""
        text = points.value_rowids()  # (C,) the text of each character
        classes = tf.gather(self._classes, points.flat_values)
        start = tf.fill([tf.minimum(tf.size(text), 1)], False)
        joined = tf.concat([start, (points.flat_values[:-1] == JOINER) & (text[1:] == text[:-1])], axis=0)
        classes = tf.where(joined & (classes == ALONE), tf.constant(MARK, tf.uint8), classes)
        is_base = (classes == WORD) | (classes == ALONE)
        count = tf.size(classes, tf.int64)
        bases = tf.concat([tf.where(is_base)[:, 0], [count]], axis=0)
        solid = tf.where(is_base | (classes == MARK))[:, 0]
        opens = tf.concat(
            [tf.fill([tf.minimum(count, 1)], True), text[1:] != text[:-1]], axis=0
        )  # the first character of a text
        others = tf.concat([tf.where((classes != MARK) | opens)[:, 0], [count]], axis=0)
        anchors = tf.where(is_base | (classes == SPACE))[:, 0]
        found, of_text = tf.gather(classes, anchors), tf.gather(text, anchors)
        before = tf.concat([tf.fill([tf.minimum(tf.size(found), 1)], tf.constant(SPACE, tf.uint8)), found[:-1]], axis=0)
        joins = tf.concat([tf.fill([tf.minimum(tf.size(found), 1)], False), of_text[1:] == of_text[:-1]], axis=0)
        begins_word = (found == ALONE) | ((found == WORD) & tf.logical_not(joins & (before == WORD)))
        word_starts = tf.scatter_nd(
            tf.boolean_mask(anchors, begins_word)[:, tf.newaxis],
            tf.ones_like(tf.boolean_mask(anchors, begins_word)),
            [count + 1],
        )

        starts, ends = _character_places(pieces)
        first = tf.gather(bases, tf.searchsorted(bases, starts))
        begins = first < ends
        if self._layout.units == "words":
            begins &= tf.gather(word_starts, first) > 0
        at = tf.where(begins)[:, 0]
        places = tf.gather(first, at)
        at = tf.boolean_mask(
            at, tf.concat([tf.constant([-1], tf.int64), places[:-1]], axis=0)[: tf.size(places)] != places
        )
        begins = tf.scatter_nd(at[:, tf.newaxis], tf.fill([tf.size(at)], True), tf.shape(begins, tf.int64))
        of_piece = pieces.ids.value_rowids()
        unit = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        units = tf.gather(of_piece, at)
        # Pieces before a text's first unit follow another text's last one.
        inside = (unit >= 0) & (tf.gather(tf.concat([units, [-1]], axis=0), tf.maximum(unit, 0)) == of_piece)
        last = tf.math.unsorted_segment_max(
            tf.boolean_mask(ends, inside), tf.boolean_mask(unit, inside), tf.size(at, tf.int64)
        )
        solid_ends = tf.concat([[0], solid + 1], axis=0)
        unit_ends = tf.gather(solid_ends, tf.searchsorted(solid, last))
        unit_ends = tf.gather(others, tf.searchsorted(others, unit_ends))
        return GraphUnits(at, tf.gather(first, at), unit_ends, units)

    def _piece_logits(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        """The scores of each piece, from the window where it has most context; float32[P, T]."""
        room = self._layout.room
        stride = min(self._layout.window_stride, room)
        lengths = pieces.row_lengths()
        counts = 1 + (tf.maximum(lengths - room, 0) + stride - 1) // stride  # (B,)
        text = tf.repeat(tf.range(tf.size(counts), dtype=tf.int64), counts)  # (W,)
        start = tf.ragged.range(counts).flat_values * stride  # (W,)
        size = tf.minimum(tf.cast(room, tf.int64), tf.gather(lengths, text) - start)
        first = tf.gather(pieces.row_starts(), text) + start
        piece = tf.ragged.range(first, first + size)  # (W, (n)) index into all pieces
        total = tf.size(pieces.flat_values)
        best = max_context(piece, size, total).flat_values > 0
        logits = self._window_logits(tf.gather(pieces.flat_values, piece))
        position = tf.ragged.range(size).flat_values + 1  # after [CLS]
        where = tf.boolean_mask(tf.stack([piece.value_rowids(), position], axis=1), best)
        order = tf.argsort(tf.boolean_mask(piece.flat_values, best), stable=True)
        return tf.gather_nd(logits, tf.gather(where, order))

    def _window_logits(self, parts: tf.RaggedTensor) -> tf.Tensor:
        """float32[W, L, T] of windows [W, (n)]; L is the longest bucket."""
        cls, sep = (tf.fill([parts.nrows(), 1], id_) for id_ in (self._tokenizer.cls_id, self._tokenizer.sep_id))
        ids = tf.concat([cls, parts, sep], axis=1)
        rows = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
        return self._run(rows, self._buckets[-1])

    def _run(self, rows: dict[str, tf.RaggedTensor], length: tf.Tensor | int) -> tf.Tensor:
        """float32[N, length, T] of rows [N, (n)]; 0 for padding."""

        def step(batch: Tensors) -> Tensors:
            mask = tf.cast(batch["input_mask"], tf.float32)[:, :, tf.newaxis]
            kept = (self._model(batch)["logits"] * mask)[:, :length]
            return {"logits": tf.pad(kept, [[0, 0], [0, length - tf.shape(kept)[1]], [0, 0]])}

        empty = {"logits": tf.zeros([rows["input_word_ids"].nrows(), length, self._tags])}
        return run_by_bucket(rows, self._buckets, step, empty)["logits"]

    def _from_ids(self, input_word_ids: tf.Tensor, input_mask: tf.Tensor, input_type_ids: tf.Tensor) -> Tensors:
        features = {"input_word_ids": input_word_ids, "input_mask": input_mask, "input_type_ids": input_type_ids}
        rows = ragged_rows(features, self._buckets[-1])
        return {"logits": self._run(rows, tf.shape(input_word_ids)[1])}


def _character_places(pieces: RaggedPieces) -> tuple[tf.Tensor, tf.Tensor]:
    """Where each piece begins and ends, among the characters of all texts; int64[P] each."""
    _, offsets = tf.strings.unicode_decode_with_offsets(pieces.text, "UTF-8")  # byte of each character in its text
    sizes = tf.cast(tf.strings.length(pieces.text, unit="BYTE"), tf.int64)
    first = tf.cumsum(sizes, exclusive=True)  # byte of each text among those of all
    places = tf.gather(first, offsets.value_rowids()) + offsets.flat_values
    shift = tf.gather(first, pieces.ids.value_rowids())
    return tuple(  # type: ignore[return-value]  # of two
        tf.cast(tf.searchsorted(places, shift + bounds.flat_values), tf.int64)
        for bounds in (pieces.starts, pieces.ends)
    )


def _decode(
    logits: tf.Tensor, text: tf.Tensor, texts: tf.Tensor, transitions: Transitions
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `decoding.decode`, of all texts.

    Args:
        logits: float32[U, T].
        text: int64[U], of each unit; ascending.
        texts: int64[], how many there are.
        transitions: how tags follow each other.

    Returns:
        First and last unit int64[S], label int64[S] and score float32[S] of each span.
    """
    logs = tf.nn.log_softmax(tf.cast(logits, tf.float64))
    tags = _best_tags(tf.RaggedTensor.from_value_rowids(logs, text, texts), transitions)
    begins, inside = tags % 2 == 1, tags > 0
    span = tf.boolean_mask(tf.cumsum(tf.cast(begins, tf.int64)) - 1, inside)
    first = tf.where(begins)[:, 0]
    label = tf.gather((tags - 1) // 2, first)
    probabilities = tf.exp(tf.boolean_mask(logs, inside))
    of_label = tf.gather(probabilities[:, 1::2] + probabilities[:, 2::2], tf.gather(label, span), batch_dims=1)
    count = tf.size(first, tf.int64)
    score = tf.math.unsorted_segment_mean(of_label, span, count)
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(span), span, count)
    return first, first + sizes - 1, label, tf.cast(score, tf.float32)


def _best_tags(logs: tf.RaggedTensor, transitions: Transitions) -> tf.Tensor:
    """As `decoding.best_tags`, of all texts side by side, the longest deciding how many steps it takes.

    Args:
        logs: float64[B, (n), T].
        transitions: how tags follow each other.

    Returns:
        int64[U], of all units.
    """
    outside_outside, outside_begin, inside_inside, inside_outside, inside_begin = (
        tf.constant(value, tf.float64) for value in transitions
    )
    lengths = logs.row_lengths()
    steps = tf.transpose(logs.to_tensor(), [1, 0, 2])  # (n, B, T)
    longest, tags = tf.shape(steps)[0], logs.flat_values.shape[-1]
    here = tf.transpose(tf.sequence_mask(lengths, longest))  # (n, B)
    same = tf.range(tags, dtype=tf.int64)[tf.newaxis]  # what stands behind padding: the tag itself

    def joined(outside: tf.Tensor, begin: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        """[B], [B, C] and [B, C] in the order of the tags, [B, T]."""
        pairs = tf.reshape(tf.stack([begin, inside], axis=2), [tf.shape(begin)[0], tags - 1])
        return tf.concat([outside[:, tf.newaxis], pairs], axis=1)

    def step(at: tf.Tensor, scores: tf.Tensor, behind: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        outside, begin, inside = scores[:, 0], scores[:, 1::2], scores[:, 2::2]
        is_inside = inside > begin
        reached = tf.where(is_inside, inside, begin)
        label = tf.argmax(reached, axis=1)
        best = tf.reduce_max(reached, axis=1)
        tag = 1 + 2 * label + tf.cast(tf.gather(is_inside, label, batch_dims=1), tf.int64)
        to_outside, to_begin = outside + outside_outside, outside + outside_begin
        before_outside = tf.where(to_outside >= best + inside_outside, tf.zeros_like(tag), tag)
        before_begin = tf.where(to_begin >= best + inside_begin, tf.zeros_like(tag), tag)
        before_inside = same[:, 1::2] + tf.cast(is_inside, tf.int64)
        row = steps[at]
        made = joined(
            row[:, 0] + tf.maximum(to_outside, best + inside_outside),
            row[:, 1::2] + tf.maximum(to_begin, best + inside_begin)[:, tf.newaxis],
            row[:, 2::2] + (reached + inside_inside),
        )
        found = joined(before_outside, tf.zeros_like(before_inside) + before_begin[:, tf.newaxis], before_inside)
        live = here[at][:, tf.newaxis]
        return at + 1, tf.where(live, made, scores), behind.write(at, tf.where(live, found, same))

    def back(at: tf.Tensor, tag: tf.Tensor, chosen: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        before = tf.gather(behind.read(at), tag, batch_dims=1)
        return at - 1, before, chosen.write(at - 1, before)

    padded = tf.concat([steps, tf.zeros([1, tf.shape(steps)[1], tags], tf.float64)], axis=0)  # one unit at least
    first = padded[0]
    scores = joined(
        first[:, 0] + outside_outside,
        first[:, 1::2] + outside_begin,
        tf.fill(tf.shape(first[:, 2::2]), tf.constant(NEVER, tf.float64)),
    )
    rows = tf.shape(steps)[1]
    behind = tf.TensorArray(tf.int64, size=tf.maximum(longest, 1), element_shape=[None, tags], clear_after_read=False)
    behind = behind.write(0, tf.tile(same, [rows, 1]))
    _, scores, behind = tf.while_loop(
        lambda at, *_: at < longest, step, (tf.constant(1), scores, behind), parallel_iterations=1
    )
    last = tf.argmax(scores, axis=1)
    chosen = tf.TensorArray(tf.int64, size=tf.maximum(longest, 1), element_shape=[None])
    chosen = chosen.write(tf.maximum(longest, 1) - 1, last)
    _, _, chosen = tf.while_loop(
        lambda at, *_: at > 0, back, (tf.maximum(longest, 1) - 1, last, chosen), parallel_iterations=1
    )
    return tf.boolean_mask(tf.transpose(chosen.stack())[:, :longest], tf.transpose(here))
