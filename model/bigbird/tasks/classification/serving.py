"""Classification and regression of raw text, in the graph.

Documents are cut as `bigbird.tasks.classification.encoding` cuts them, their windows' logits pooled as `scoring.pool`
does, and answered as `decisions.Decisions` answers.

Shapes: B documents, W records of all documents, C classes, (n) ragged pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bigbird.serving.buckets import Tensors, check_fits, ragged_rows, run_by_bucket, traced_once
from bigbird.serving.signatures import signature
from bigbird.serving.tokenizer import GraphTokenizer, first_pieces, repair
from bigbird.tasks.classification.config import WindowPooling
from bigbird.tasks.classification.decisions import Decisions
from bigbird.tasks.classification.encoding import Layout, head_length
from bigbird.text.vocabulary import Vocabulary

MEANINGS = {
    "text_a": "the text, or the first text of a pair, as long as you like; UTF-8",
    "text_b": "the second text of the pair; UTF-8",
    "input_word_ids": "token ids: [CLS] a [SEP] or [CLS] a [SEP] b [SEP], then 0; any padded length",
    "input_mask": "1 for tokens, then 0 for padding",
    "input_type_ids": "0 up to the first [SEP], 1 after it",
    "label": "the class with the highest probability",
    "labels": "the classes whose probability reaches their threshold, then empty texts",
    "probabilities": "of the classes, in the order of `labels` in signature.json, after the temperature",
    "logits": "of the classes, before the temperature",
    "number": "the predicted number",
    "score": "the predicted number",
}


class Classifier(tf.Module):
    """A classifier as a module that `tf.saved_model.save` takes.

    Args:
        model: gives {"logits": float32[W, C]}.
        vocabulary: cuts the text into pieces.
        buckets: padded lengths, ascending, tokens.
        layout: how a document becomes records; `max_length` is at most the longest bucket.
        pairs: whether an example is two texts.
        labels: names of the classes; none of numbers.
        decisions: how logits become labels; None answers the most probable one, at temperature 1.
        window_pooling: of a document's windows.
        number: what a number's output is called.
        scale: mean and standard deviation in which the model gives numbers.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        *,
        buckets: Sequence[int],
        layout: Layout,
        pairs: bool,
        labels: Sequence[str],
        decisions: Decisions | None = None,
        window_pooling: WindowPooling = "mean",
        number: str = "number",
        scale: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__(name="classifier")
        self._weights = [variable.value for variable in model.weights]  # what the SavedModel keeps
        self._model = traced_once(lambda features: {"logits": model(features, training=False)["logits"]})
        self._tokenizer = GraphTokenizer(vocabulary)
        check_fits(layout.max_length, buckets)
        self._buckets, self._layout, self._window_pooling = tuple(buckets), layout, window_pooling
        self._classes = len(labels) or 1
        self._labels = tf.constant(list(labels)) if labels else None
        self._decisions, self._number, self._scale = decisions, number, scale
        self._pairs = pairs

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """The functions to save, by signature name: of texts string[B], or of ids int32[B, L]; each gives arrays [B, ...]."""
        text, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        return {
            "serving_default": signature(
                self._from_pair if self._pairs else self._from_text,
                dict.fromkeys(("text_a", "text_b")[: 1 + self._pairs], text),
            ),
            "ids": signature(self._from_ids, dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), ids)),
        }

    # ------------------------------------------------------------------------------------------------- records

    def _from_text(self, text_a: tf.Tensor) -> Tensors:
        pieces = self._tokenizer.encode(repair(text_a))
        if self._layout.long_documents != "windows":
            return self._answer(self._logits(self._lay_out(self._cut(pieces, self._layout.max_length - 2))))
        parts, document = self._windows(pieces)
        logits, documents = self._logits(self._lay_out(parts)), tf.size(text_a)
        if self._window_pooling == "mean":
            return self._answer(tf.math.unsorted_segment_mean(logits, document, documents))
        return self._answer(tf.math.unsorted_segment_max(logits, document, documents))

    def _from_pair(self, text_a: tf.Tensor, text_b: tf.Tensor) -> Tensors:
        a, b = (self._tokenizer.encode(repair(text)) for text in (text_a, text_b))
        room = tf.constant(self._layout.max_length - 3, tf.int64)
        # As encoding.truncated_lengths: always from the longer one, from the second when equal.
        keep_a = tf.minimum(a.row_lengths(), tf.maximum((room + 1) // 2, room - b.row_lengths()))
        return self._answer(self._logits(self._lay_out(self._cut(a, keep_a), self._cut(b, room - keep_a))))

    def _from_ids(self, input_word_ids: tf.Tensor, input_mask: tf.Tensor, input_type_ids: tf.Tensor) -> Tensors:
        features = {"input_word_ids": input_word_ids, "input_mask": input_mask, "input_type_ids": input_type_ids}
        return self._answer(self._logits(ragged_rows(features, self._buckets[-1])))

    def _cut(self, pieces: tf.RaggedTensor, room: tf.Tensor | int) -> tf.RaggedTensor:
        """What is read of texts [B, (n)] where `room` pieces fit: one number, or int64[B]."""
        if self._layout.long_documents != "head_tail":
            return first_pieces(pieces, room)
        lengths, room = pieces.row_lengths(), tf.cast(room, tf.int64)
        head = tf.where(lengths > room, head_length(room), lengths)
        tail = tf.where(lengths > room, room - head, tf.zeros_like(lengths))
        ends = pieces.row_limits()
        end_pieces = tf.gather(pieces.flat_values, tf.ragged.range(ends - tail, ends))
        return tf.concat([first_pieces(pieces, head), end_pieces], axis=1)

    def _windows(self, pieces: tf.RaggedTensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Each window's pieces [W, (n)], and the document int64[W] that it is of; as `encoding.windows_of`."""
        room = self._layout.max_length - 2
        stride = min(self._layout.window_stride, room)
        lengths = pieces.row_lengths()
        counts = 1 + (tf.maximum(lengths - room, 0) + stride - 1) // stride  # (B,)
        document = tf.repeat(tf.range(tf.size(counts), dtype=tf.int64), counts)  # (W,)
        start = tf.ragged.range(counts).flat_values * stride  # (W,)
        size = tf.minimum(tf.cast(room, tf.int64), tf.gather(lengths, document) - start)
        first = tf.gather(pieces.row_starts(), document) + start
        return tf.gather(pieces.flat_values, tf.ragged.range(first, first + size)), document

    def _lay_out(self, a: tf.RaggedTensor, b: tf.RaggedTensor | None = None) -> dict[str, tf.RaggedTensor]:
        """[CLS] a [SEP] (b [SEP]) with types 0 and 1."""
        cls, sep = (tf.fill([a.nrows(), 1], id_) for id_ in (self._tokenizer.cls_id, self._tokenizer.sep_id))
        first = tf.concat([cls, a, sep], axis=1)
        second = first[:, :0] if b is None else tf.concat([b, sep], axis=1)
        ids = tf.concat([first, second], axis=1)
        types = tf.concat([tf.zeros_like(first), tf.ones_like(second)], axis=1)
        return {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": types}

    # ------------------------------------------------------------------------------------------------- answers

    def _logits(self, rows: dict[str, tf.RaggedTensor]) -> tf.Tensor:
        """float32[W, C]."""
        empty = {"logits": tf.zeros([rows["input_word_ids"].nrows(), self._classes])}
        return run_by_bucket(rows, self._buckets, self._model, empty)["logits"]

    def _answer(self, logits: tf.Tensor) -> Tensors:
        """float32[B, C] to what the signature gives."""
        decisions = self._decisions
        if self._labels is None:
            mean, deviation = self._scale
            return {self._number: logits[:, 0] * deviation + mean}
        label = tf.gather(self._labels, tf.argmax(logits, axis=1))
        if decisions is None:
            return {"label": label, "probabilities": tf.nn.softmax(logits), "logits": logits}
        scaled = tf.cast(logits, tf.float64) / decisions.temperature  # float64, as Decisions computes
        if decisions.activation == "softmax":
            return {"label": label, "probabilities": tf.cast(tf.nn.softmax(scaled), tf.float32), "logits": logits}
        probabilities = tf.sigmoid(scaled)
        chosen = probabilities >= decisions.threshold_array()
        rows = tf.ragged.boolean_mask(tf.zeros_like(logits, tf.int64) + tf.range(self._classes, dtype=tf.int64), chosen)
        labels = rows.with_flat_values(tf.gather(self._labels, rows.flat_values)).to_tensor("")
        return {"labels": labels, "probabilities": tf.cast(probabilities, tf.float32), "logits": logits}
