"""Answers to questions as spans of raw contexts.

Shapes: B examples, W windows of all examples, R rows of one step, L tokens, (n) ragged tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bigbird.serving.buckets import Tensors, check_fits, ragged_rows, run_by_bucket, traced_once
from bigbird.serving.signatures import signature
from bigbird.serving.spans import NO_SPAN, BestSpans, best_per_example, best_spans
from bigbird.serving.tokenizer import GraphTokenizer, RaggedPieces, character_span, covers_text, first_pieces, repair
from bigbird.serving.windows import Windows, cut_windows
from bigbird.tasks.squad import WindowOptions
from bigbird.text.vocabulary import Vocabulary

MEANINGS = {
    "question": "UTF-8; what is beyond query_length tokens is left out",
    "context": "the text that holds the answer, as long as you like; UTF-8",
    "input_word_ids": "token ids: [CLS] question [SEP] paragraph [SEP], then 0; any padded length",
    "input_mask": "1 for tokens, then 0 for padding",
    "input_type_ids": "0 up to the first [SEP], 1 after it",
    "paragraph_mask": "1 for the paragraph's tokens",
    "answer": "the answer, context[start:end]; empty where there is none",
    "start": "the answer's first character in the context, from 0",
    "end": "one past the answer's last character",
    "score": "of the best span: start logit + end logit; least float32 where the context has no text",
    "null_score": "of there being no answer: start logit + end logit of [CLS], the least over the windows",
    "start_logits": "of each token as the answer's first; least float32 for padding",
    "end_logits": "of each token as the answer's last; least float32 for padding",
}


ID_INPUTS = ("input_word_ids", "input_mask", "input_type_ids", "paragraph_mask")


class Reader(tf.Module):
    """A span model as a module that `tf.saved_model.save` takes.

    Args:
        model: gives {"start_logits", "end_logits": float32[B, L]}.
        vocabulary: cuts the text into pieces.
        buckets: padded lengths, ascending, tokens.
        windows: how contexts are cut; `max_length` at most the longest bucket.
        n_best_size: starts and ends to pair in each window.
        max_answer_length: most tokens in an answer.
        null_threshold: answers "" where null score - best score is above it; None always answers.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        *,
        buckets: Sequence[int],
        windows: WindowOptions,
        n_best_size: int,
        max_answer_length: int,
        null_threshold: float | None,
    ):
        super().__init__(name="reader")
        self._weights = [variable.value for variable in model.weights]  # what the SavedModel keeps
        self._model = traced_once(lambda features: model(features, training=False))
        self._tokenizer = GraphTokenizer(vocabulary)
        check_fits(windows.max_length, buckets)
        self._buckets, self._options = tuple(buckets), windows
        self._limits = {"n_best_size": n_best_size, "max_answer_length": max_answer_length}
        self._null_threshold = null_threshold
        self._layout: dict[str, Any] = {
            "cls_id": vocabulary.cls_id,
            "sep_id": vocabulary.sep_id,
            "end_id": vocabulary.sep_id,
        }

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """The functions to save, by signature name: of texts string[B], or of ids int32[B, L]; each gives arrays [B, ...]."""
        text, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        return {
            "serving_default": signature(self._from_text, {"question": text, "context": text}),
            "ids": signature(self._from_ids, dict.fromkeys(ID_INPUTS, ids)),
        }

    def _from_text(self, question: tf.Tensor, context: tf.Tensor) -> Tensors:
        context = repair(context)
        pieces = self._tokenizer.encode_with_offsets(context)
        windows = cut_windows(
            first_pieces(self._tokenizer.encode(repair(question)), self._options.query_length),
            pieces.ids,
            covers_text(pieces),
            **self._layout,
            max_length=self._options.max_length,
            doc_stride=self._options.doc_stride,
        )
        spans, window = best_per_example(self._read(windows), windows.example, tf.size(context))
        first, last = (
            tf.gather(windows.first_piece, window) + tf.cast(at, tf.int64) for at in (spans.start, spans.end)
        )
        start, end = _characters(pieces, first, last, self._has_answer(spans))
        answer = tf.strings.substr(context, start, end - start, unit="UTF8_CHAR")
        return {"answer": answer, "start": start, "end": end, "score": spans.score, "null_score": spans.null_score}

    def _read(self, windows: Windows) -> BestSpans:
        """The best span of every window [W]."""

        def step(batch: Tensors) -> Tensors:
            can_start, can_end = batch.pop("can_start") > 0, batch.pop("can_end") > 0
            outputs = self._model(batch)
            return vars(self._pick(batch, outputs["start_logits"], outputs["end_logits"], can_start, can_end))

        count = tf.size(windows.example)
        scores, positions = tf.zeros([count]), tf.zeros([count], tf.int32)
        empty = {"score": scores, "start": positions, "end": positions, "null_score": scores}
        return BestSpans(**run_by_bucket(windows.features, self._buckets, step, empty))

    def _pick(
        self, batch: Tensors, starts: tf.Tensor, ends: tf.Tensor, can_start: tf.Tensor, can_end: tf.Tensor
    ) -> BestSpans:
        """The best span of each row, from its logits float32[R, L]."""
        del batch
        return best_spans(starts, ends, can_start, can_end, **self._limits)

    def _has_answer(self, spans: BestSpans) -> tf.Tensor:
        """bool[B]: there is a span, and it is not to yield to "no answer"."""
        found = spans.score > NO_SPAN
        if self._null_threshold is None:
            return found
        odds = tf.cast(spans.null_score, tf.float64) - tf.cast(spans.score, tf.float64)
        return found & (odds <= self._null_threshold)

    def _from_ids(
        self, input_word_ids: tf.Tensor, input_mask: tf.Tensor, input_type_ids: tf.Tensor, paragraph_mask: tf.Tensor
    ) -> Tensors:
        features = {
            "input_word_ids": input_word_ids,
            "input_mask": input_mask,
            "input_type_ids": input_type_ids,
            "paragraph_mask": paragraph_mask,
        }
        shape = tf.shape(input_word_ids)  # (B, L)

        def step(batch: Tensors) -> Tensors:
            outputs = self._model(batch)
            return {name: _fit(outputs[name], batch["input_mask"], shape[1]) for name in empty}

        empty = {"start_logits": tf.zeros(shape), "end_logits": tf.zeros(shape)}
        return run_by_bucket(ragged_rows(features, self._buckets[-1]), self._buckets, step, empty)


class DocumentReader(Reader):
    """A TriviaQA model: `question <sep_0> window <empty>`, and a window whose best span is <empty> has no answer.

    Args:
        top_k: starts and ends to pair in each window.
        max_width: most tokens from an answer's first to its last.
        model, vocabulary, buckets, windows: as in `Reader`.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Vocabulary,
        *,
        buckets: Sequence[int],
        windows: WindowOptions,
        top_k: int,
        max_width: int,
    ):
        super().__init__(
            model,
            vocabulary,
            buckets=buckets,
            windows=windows,
            n_best_size=top_k,
            max_answer_length=max_width + 1,
            null_threshold=None,
        )
        self._layout = {"cls_id": None, "sep_id": vocabulary.passage_id, "end_id": vocabulary.empty_id}

    def _from_text(self, question: tf.Tensor, context: tf.Tensor) -> Tensors:
        outputs = super()._from_text(question, context)
        del outputs["null_score"]
        return outputs

    def _pick(
        self, batch: Tensors, starts: tf.Tensor, ends: tf.Tensor, can_start: tf.Tensor, can_end: tf.Tensor
    ) -> BestSpans:
        del can_start, can_end  # every token of the document, and <empty>
        inside = batch["input_type_ids"] > 0
        spans = best_spans(starts, ends, inside, inside, **self._limits)
        empty = tf.reduce_sum(batch["input_mask"], axis=1) - 1  # the last token's position
        score = tf.where(spans.start == empty, NO_SPAN, spans.score)
        return BestSpans(score, spans.start, tf.minimum(spans.end, empty - 1), spans.null_score)


def _characters(
    pieces: RaggedPieces, first: tf.Tensor, last: tf.Tensor, found: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the pieces from `first` to `last` lie in their text; 0 to 0 where there is no answer.

    Args:
        pieces: of B texts.
        first: int64[B], number of the answer's first piece in its text.
        last: int64[B], of its last.
        found: bool[B], whether there is an answer.

    Returns:
        int32[B] twice: first character, one past the last.
    """
    row = pieces.ids.row_starts()
    some = tf.concat([pieces.starts.flat_values, [0]], 0), tf.concat([pieces.ends.flat_values, [0]], 0)  # never empty
    begin, stop = (
        tf.where(found, tf.cast(tf.gather(bytes_, tf.where(found, row + at, 0)), tf.int32), 0)
        for bytes_, at in zip(some, (first, last), strict=True)
    )
    return character_span(pieces.text, begin, stop)


def _fit(logits: tf.Tensor, mask: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """float32[R, bucket] -> float32[R, length], NO_SPAN for padding."""
    kept = tf.where(mask > 0, logits, NO_SPAN)[:, :length]
    return tf.pad(kept, [[0, 0], [0, length - tf.shape(kept)[1]]], constant_values=NO_SPAN)
