"""Classification and regression of raw text.

Shapes: B examples, C classes, L tokens, (n) ragged tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bigbird.serving.buckets import Tensors, ragged_rows, run_by_bucket
from bigbird.serving.tokenizer import GraphTokenizer, first_pieces, repair
from bigbird.vocabulary import Vocabulary

MEANINGS = {
    "text_a": "the sentence, or the first text of a pair; UTF-8",
    "text_b": "the second text of the pair; UTF-8",
    "input_word_ids": "token ids: [CLS] a [SEP] or [CLS] a [SEP] b [SEP], then 0; any padded length",
    "input_mask": "1 for tokens, then 0 for padding",
    "input_type_ids": "0 up to the first [SEP], 1 after it",
    "label": "the class with the highest probability",
    "probabilities": "of the classes, in the order of `labels`",
    "logits": "of the classes, in the order of `labels`",
    "score": "the predicted number",
}


class Classifier(tf.Module):
    """A classifier as a module that `tf.saved_model.save` takes.

    Args:
        model: gives {"logits": float32[B, C]}.
        vocabulary: cuts the text into pieces.
        buckets: padded lengths, ascending, tokens.
        max_length: tokens that an example is cut to; at most the longest bucket.
        pairs: whether an example is two texts.
        labels: names of the classes; None for regression.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        *,
        buckets: Sequence[int],
        max_length: int,
        pairs: bool,
        labels: Sequence[str] | None,
    ):
        super().__init__(name="classifier")
        self._weights = [variable.value for variable in model.variables]  # what the SavedModel keeps
        self._model = lambda features: {"logits": model(features, training=False)["logits"]}
        self._tokenizer = GraphTokenizer(vocabulary)
        self._buckets, self._max_length = tuple(buckets), max_length
        self._labels = None if labels is None else tf.constant(list(labels))
        self._classes = 1 if labels is None else len(labels)
        text, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        inputs = [tf.TensorSpec.from_spec(text, name) for name in ("text_a", "text_b")[: 1 + pairs]]
        function = self._from_pair if pairs else self._from_text
        self._classify_text = tf.function(function, input_signature=inputs, autograph=False)
        names = ("input_word_ids", "input_mask", "input_type_ids")
        self._classify_ids = tf.function(
            self._from_ids, input_signature=[tf.TensorSpec.from_spec(ids, name) for name in names], autograph=False
        )

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """The functions to save, by signature name."""
        return {"serving_default": self._classify_text, "ids": self._classify_ids}

    def _from_text(self, text_a: tf.Tensor) -> Tensors:
        pieces = self._tokenizer.encode(repair(text_a))
        return self._classify(self._layout(first_pieces(pieces, self._max_length - 2)))

    def _from_pair(self, text_a: tf.Tensor, text_b: tf.Tensor) -> Tensors:
        a, b = (self._tokenizer.encode(repair(text)) for text in (text_a, text_b))
        room = tf.constant(self._max_length - 3, tf.int64)
        # As bigbird.tasks.glue.truncated_lengths: always from the longer one, from the second when equal.
        keep_a = tf.minimum(a.row_lengths(), tf.maximum((room + 1) // 2, room - b.row_lengths()))
        return self._classify(self._layout(first_pieces(a, keep_a), first_pieces(b, room - keep_a)))

    def _layout(self, a: tf.RaggedTensor, b: tf.RaggedTensor | None = None) -> dict[str, tf.RaggedTensor]:
        """[CLS] a [SEP] (b [SEP]) with types 0 and 1."""
        cls, sep = (tf.fill([a.nrows(), 1], id_) for id_ in (self._tokenizer.cls_id, self._tokenizer.sep_id))
        first = tf.concat([cls, a, sep], axis=1)
        second = first[:, :0] if b is None else tf.concat([b, sep], axis=1)
        ids = tf.concat([first, second], axis=1)
        types = tf.concat([tf.zeros_like(first), tf.ones_like(second)], axis=1)
        return {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": types}

    def _from_ids(self, input_word_ids: tf.Tensor, input_mask: tf.Tensor, input_type_ids: tf.Tensor) -> Tensors:
        features = {"input_word_ids": input_word_ids, "input_mask": input_mask, "input_type_ids": input_type_ids}
        return self._classify(ragged_rows(features, self._buckets[-1]))

    def _classify(self, rows: dict[str, tf.RaggedTensor]) -> Tensors:
        empty = {"logits": tf.zeros([rows["input_word_ids"].nrows(), self._classes])}
        logits = run_by_bucket(rows, self._buckets, self._model, empty)["logits"]
        if self._labels is None:
            return {"score": logits[:, 0]}
        label = tf.gather(self._labels, tf.argmax(logits, axis=1))
        return {"label": label, "probabilities": tf.nn.softmax(logits), "logits": logits}
