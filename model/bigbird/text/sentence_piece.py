"""SentencePiece models with BigBird's special pieces, as published or trained here.

Cleaning maps each character to one character, so that a position in the cleaned text is the same position in the
original. Its rules are regular expressions that Python's `re` and TensorFlow's RE2 read alike: the exported model
applies the very same ones inside the graph. (One rule needs the vocabulary's characters, too many for RE2; it has the
same effect there by other means, which tests/serving holds.)
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigbird.support.artifacts import json_bytes
from bigbird.support.errors import InputError
from bigbird.text.files import TOKENIZER_CONFIG
from bigbird.text.vocabulary import WHITESPACE, Pieces, Vocabulary

PAD, UNK, CLS, SEP, MASK = "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"

LOWER_CASE_RULES = (("\u0130", "i"), ("\u03a3", "\u03c3"))
"""Replacements to make before lower-casing: the letter that would become two, and the one that depends on its place."""

UNKNOWN_RUN = 1000
"""Most characters in a row without a piece of their own; the next becomes a space. TensorFlow's SentencePiece joins such
a run to one <unk> in quadratic time: a request of a megabyte would take it seconds, one of ten minutes."""

# A user-defined piece of this form is markup, which text must not be able to forge; others (digits, say) are text.
_MARKUP = re.compile(r"<.+>|\[.+\]")
# sentencepiece_model.proto, ModelProto.SentencePiece.Type: normal, unknown, control, user-defined, unused, byte.
_TYPES = range(1, 7)
_NORMAL, _USER_DEFINED, _BYTE = 1, 4, 6
_UNIGRAM = 1  # TrainerSpec.ModelType of sentencepiece_model.proto
_WORD_MARK = "\u2581"  # how SentencePiece writes the space before a word
_REPLACEMENT = "("

# SentencePiece leaves out training sentences above 4192 bytes; longer texts are cut at spaces into parts of about this.
_SENTENCE_CHARACTERS = 1000
_TRAINING_CHARACTERS = 100_000_000

# Where words meet punctuation: no trained piece crosses it, so that an answer "1876" never drags "1876," along.
_WORD_EDGE = re.compile(r"(?<=\w)(?=[^\w ])|(?<=[^\w ])(?=\w)")
_EDGE = "\t"


class SentencePieceVocabulary(Vocabulary):
    """A SentencePiece model.

    Args:
        model, name: as in `Vocabulary`.
        lower_case: lower-cases text before it is cut into pieces; None does not.

    Raises:
        InputError: the file is missing, damaged or no SentencePiece model, or a special piece is not in it.
    """

    kind = "sentencepiece"
    file = "vocab.model"
    hugging_face_lower_cases = False

    def __init__(self, model: str | Path | bytes, lower_case: bool | None = None, *, name: str | None = None):
        import sentencepiece

        del model, name  # read by `Vocabulary.__new__`
        name = self._name
        self.lower_case, self.settings = bool(lower_case), {}
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            model_proto = _model_proto().FromString(self.serialized)
            pieces = _checked(model_proto.pieces, name)
            self._processor.LoadFromSerializedProto(self.serialized)
        except InputError:
            raise
        except (RuntimeError, ValueError, _decode_error()):
            found = f"{len(self.serialized):,} bytes of another format, or cut short" if self.serialized else "empty"
            raise InputError(
                f"{name}: not a SentencePiece model ({found}); expected the .model file that SentencePiece's trainer writes, "
                "or WordPiece's vocab.txt or tokenizer.json"
            ) from None
        self.sha256, _ = self.examine(self.serialized, name)
        ids = self._name_pieces([piece.piece for piece in pieces], name)
        begins, text = (
            np.array([piece.piece.startswith(_WORD_MARK) for piece in pieces]),
            np.array([_is_text(piece.piece, piece.type) for piece in pieces]),
        )
        self.begins_word, self.is_text = np.zeros(self.size, bool), np.zeros(self.size, bool)
        self.begins_word[ids], self.is_text[ids] = begins, text
        self.run_character, self.run_length = _runs(pieces)
        """int32[pieces] each: of pieces such as "7", "77", "777" the character and how many; 0 of all others."""
        # Other kinds of models cut runs in one way only.
        self.orders_runs = model_proto.trainer_spec.model_type == _UNIGRAM and bool((self.run_length > 1).any())
        """Whether neighbouring pieces of one run are ordered, the shorter one first; see `encode`."""
        self.markup_rules = _markup_rules([piece.piece for piece in pieces if piece.type == _USER_DEFINED])
        """(pattern, rewrite) pairs that keep text from containing markup such as "[SEP]"; for `re` and RE2 alike."""
        self.alone = _alone(pieces)
        """Characters that are a piece by themselves, so that text of them is never <unk>, and the space; empty: all are."""
        self._rules = [(re.compile(pattern), rewrite) for pattern, rewrite in self.markup_rules]
        unknown = f"[^{re.escape(self.alone)}]"
        self._unknown_run = re.compile(f"({unknown}{{{UNKNOWN_RUN}}}){unknown}") if self.alone else None
        self._whitespace = re.compile(WHITESPACE)

    ids_of_pieces: np.ndarray | None = None
    """int32[pieces]: the ids of SentencePiece's pieces, where those are not their numbers."""

    @classmethod
    def examine(cls, content: bytes, name: str) -> tuple[str, bool | None]:
        """The digest of any bytes; nothing is said of lower case."""
        del name
        return hashlib.sha256(content).hexdigest(), None

    @classmethod
    def _special_pieces(cls, content: bytes) -> dict[str, str]:
        """Hugging Face's names of the special pieces that there are. [CLS] and [SEP] stand in for a beginning and an end."""
        pieces = set(pieces_of(content))
        begin, end = (piece if piece in pieces else other for piece, other in (("<s>", CLS), ("</s>", SEP)))
        named = {"pad": PAD, "unk": UNK, "cls": CLS, "sep": SEP, "mask": MASK, "bos": begin, "eos": end}
        return {name: piece for name, piece in named.items() if piece in pieces}

    @classmethod
    def stored(
        cls, content: bytes, name: str, lower_case: bool | None = None, *, hugging_face: bool = False
    ) -> dict[str, bytes]:
        """The model; for Hugging Face by its own name too, and the class that reads it.

        Without their names Hugging Face would add pieces that the model lacks, with ids above its last.
        """
        files = super().stored(content, name, lower_case)
        if not hugging_face:
            return files
        special = {f"{key}_token": piece for key, piece in cls._special_pieces(content).items()}
        config = json_bytes({"tokenizer_class": "BigBirdTokenizer", **special})
        return files | {"spiece.model": content, TOKENIZER_CONFIG: config}

    @classmethod
    def count_pieces(cls, content: bytes, name: str) -> int:
        del name
        return len(pieces_of(content))

    @classmethod
    def special_ids(cls, content: bytes, name: str) -> dict[str, int]:
        del name
        pieces, special = pieces_of(content), cls._special_pieces(content)
        return {f"{key}_token_id": pieces.index(special[key]) for key in ("pad", "bos", "eos", "sep") if key in special}

    def _name_pieces(self, pieces: Sequence[str], name: str) -> np.ndarray:
        """Sets the size and the special pieces' ids; gives the id of each piece, int32."""
        ids = {piece: i for i, piece in enumerate(pieces)}
        self.size = len(pieces)
        missing = [piece for piece in (PAD, UNK, CLS, SEP, MASK) if piece not in ids]
        if missing:
            raise InputError(
                f"{name}: of {self.size:,} pieces none is {' or '.join(missing)}; BigBird needs {PAD}, {UNK}, {CLS}, {SEP} "
                "and [MASK]. Give the published gpt2.model, or leave the vocabulary out to have one trained"
            )
        if self._processor.unk_id() != ids[UNK]:
            raise InputError(
                f"{name}: its piece {UNK}, number {ids[UNK]}, is not the one for unknown characters. {_DAMAGED}"
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (ids[p] for p in (PAD, UNK, CLS, SEP, MASK))
        # TriviaQA's, as the published vocabulary has them; others make do with the special pieces there are.
        self.passage_id, self.empty_id = ids.get("<sep_0>", self.sep_id), ids.get("<empty>", self.cls_id)
        return np.arange(self.size, dtype=np.int32)

    def clean(self, text: str) -> str:
        """`text` as it is cut into pieces: the same number of characters, position by position."""
        # Usual texts take a sixth of the time by looking first: what cleaning turns into a space is not printable.
        if not text.isprintable():
            text = self._whitespace.sub(" ", text)
        if self.lower_case:
            for old, new in LOWER_CASE_RULES:
                text = text.replace(old, new)
            text = text.lower()
        for pattern, rewrite in self._rules:
            if pattern.search(text):
                text = pattern.sub(rewrite, text)
        if len(text) > UNKNOWN_RUN and self._unknown_run is not None:
            text = self._unknown_run.sub(r"\1 ", text)
        return text

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The pieces of each text, int32[pieces].

        Neighbouring pieces of one run ("7", "77") come shorter first; see `_ordered_runs`.
        """
        found = self._encode(texts)
        return found if self.ids_of_pieces is None else [self.ids_of_pieces[pieces] for pieces in found]

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """SentencePiece's own numbers of the pieces."""
        if not texts:
            return []
        found = self._processor.encode([self.clean(text) for text in texts], return_type="numpy", num_threads=1)
        if not self.orders_runs:
            return found
        joined = np.concatenate(found)
        ordered = self._ordered_runs(joined, [len(pieces) for pieces in found])
        if ordered is None:
            return found
        return np.split(joined[ordered[0]], np.cumsum([len(pieces) for pieces in found[:-1]]))

    def _ordered_runs(self, ids: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
        """Puts the shorter of neighbouring pieces of one run first; None where they stand so.

        777 is as likely cut into 7 and 77 as into 77 and 7. SentencePiece takes one here and, in the version that
        tensorflow-text is built with, the other; ordered they are the same.

        Args:
            ids: int32[P], pieces of all texts one after the other.
            sizes: pieces of each text.

        Returns:
            int64[P] each: which piece comes next, and for each place where its run begins.
        """
        character, length = self.run_character[ids], self.run_length[ids]
        joins = (character[1:] == character[:-1]) & (character[1:] != 0)
        ends = np.cumsum(sizes)[:-1]
        ends = ends[(ends > 0) & (ends < len(ids))]
        joins[ends - 1] = False  # a text ends there
        if not (joins & (length[1:] < length[:-1])).any():
            return None
        begins = np.concatenate([[True], ~joins])
        run = np.cumsum(begins) - 1
        return np.lexsort((length, run)), np.flatnonzero(begins)[run]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Pieces]:
        """The pieces of each text with their places in it."""
        if not texts:
            return []
        cleaned = [self.clean(text) for text in texts]
        mappings = self._processor.encode(cleaned, return_type="offset_mapping", num_threads=1)
        found = [self._in_order(_trimmed(text, mapping)) for text, mapping in zip(cleaned, mappings, strict=True)]
        if self.ids_of_pieces is None:
            return found
        return [pieces._replace(ids=self.ids_of_pieces[pieces.ids]) for pieces in found]

    def _in_order(self, pieces: Pieces) -> Pieces:
        """The pieces with their runs ordered as `encode` orders them."""
        found = self._ordered_runs(pieces.ids, [len(pieces.ids)]) if self.orders_runs and len(pieces.ids) else None
        if found is None:
            return pieces
        order, first = found
        sizes = (pieces.ends - pieces.starts)[order]
        before = np.cumsum(sizes) - sizes
        starts = (pieces.starts[first] + before - before[first]).astype(np.int32)  # a run's pieces have no gaps
        return Pieces(pieces.ids[order], starts, (starts + sizes).astype(np.int32))


def train_vocabulary(texts: Iterable[str], size: int) -> bytes:
    """Trains a SentencePiece vocabulary: unigram, cased, no normalisation, <pad> 0, <unk> 1, [CLS], [SEP], [MASK].

    The same texts and size give the same bytes.

    Args:
        texts: training texts; beyond 100 million characters the rest is left out.
        size: pieces wanted; fewer where the texts do not hold that many.

    Returns:
        The model's bytes.

    Raises:
        InputError: there is no text, or `size` has no room for the characters in it.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=size,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            pad_piece=PAD,
            unk_piece=UNK,
            control_symbols=[CLS, SEP, MASK],
            pretokenization_delimiter=_EDGE,
            num_threads=4,  # fixed: the sums' order, and so the model's bytes, depend on it
            minloglevel=2,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"no vocabulary of {size:,} pieces can be trained: {_reason(str(error))}") from None
    return model.getvalue()


def _reason(message: str) -> str:
    """What SentencePiece's trainer means, in the words of our options."""
    too_small = re.search(r"required_chars\. (\d+) vs (\d+)", message)
    if too_small:
        return f"the text's characters alone take {too_small[2]}; raise --vocabulary-size"
    if "sentences_.empty()" in message:
        return "there is no text to train on; give training data, or a --vocabulary"
    return f"{message.strip()}; give more text or a --vocabulary"


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    room = _TRAINING_CHARACTERS
    for text in texts:
        words = re.sub(WHITESPACE, " ", text)
        start = 0
        while start < len(words):
            end = start + _SENTENCE_CHARACTERS
            if end < len(words):
                space = words.rfind(" ", start + 1, end)
                end = space if space > 0 else end
            part = words[start:end].strip()
            if part:
                yield _WORD_EDGE.sub(_EDGE, part)
            start = end
        room -= len(text)
        if room <= 0:
            return


def _trimmed(text: str, mapping: dict[str, Any]) -> Pieces:
    """Moves each piece's bounds past the whitespace around it; `text` is clean, so whitespace is the space."""
    ids = np.array(mapping["ids"], np.int32)
    offsets = mapping["offsets"]
    bounds = np.fromiter(chain.from_iterable(offsets), np.int32, 2 * len(offsets)).reshape(-1, 2)
    begins, ends = bounds[:, 0], bounds[:, 1]
    visible = np.frombuffer(text.encode("utf-32-le"), np.uint32) != ord(" ")
    positions = np.arange(len(text), dtype=np.int32)
    # next_visible[i]: the first visible character at or after i; past_visible[i]: one past the last before i.
    next_visible = np.full(len(text) + 1, len(text), np.int32)
    next_visible[:-1] = np.minimum.accumulate(np.where(visible, positions, len(text))[::-1])[::-1]
    past_visible = np.zeros(len(text) + 1, np.int32)
    past_visible[1:] = np.maximum.accumulate(np.where(visible, positions + 1, 0))
    return Pieces(ids, np.minimum(next_visible[begins], ends), np.maximum(past_visible[ends], begins))


_DAMAGED = "The file is damaged, or not written by SentencePiece: copy it anew"


class _Piece(NamedTuple):
    piece: str
    type: int


def _checked(read: Iterable[Any], name: str) -> list[_Piece]:
    """The pieces of a model; `InputError` where one is nothing that SentencePiece writes, though some releases load it."""
    pieces = []
    for number, piece in enumerate(read):
        try:
            text = piece.piece.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"{name}: piece {number} is {piece.piece[:40]!r}, which is not UTF-8. {_DAMAGED}"
            ) from None
        if piece.type not in _TYPES:
            raise InputError(
                f"{name}: piece {number}, {text[:40]!r}, is of type {piece.type}; expected {_TYPES[0]} to {_TYPES[-1]}. {_DAMAGED}"
            )
        if not math.isfinite(piece.score):
            raise InputError(f"{name}: piece {number}, {text[:40]!r}, has the score {piece.score}. {_DAMAGED}")
        pieces.append(_Piece(text, piece.type))
    return pieces


def _is_text(piece: str, kind: int) -> bool:
    return kind in (_NORMAL, _BYTE) or (kind == _USER_DEFINED and not _MARKUP.fullmatch(piece))


def _alone(pieces: Iterable[Any]) -> str:
    """The characters of `SentencePieceVocabulary.alone`, sorted; with bytes among the pieces no character is unknown."""
    if any(piece.type == _BYTE for piece in pieces):
        return ""
    single = {piece.piece for piece in pieces if len(piece.piece) == 1 and _is_text(piece.piece, piece.type)}
    return "".join(sorted(single | {" "}))


def _runs(pieces: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Of pieces that are one character once or repeated: the character and how often, int32 each; 0 of others.

    The character is left out (0) where no piece repeats it: nothing can be ordered then.
    """
    texts = [piece.piece if piece.type == _NORMAL else "" for piece in pieces]
    runs = [text if text and text == text[0] * len(text) and text[0] != _WORD_MARK else "" for text in texts]
    repeated = {text[0] for text in runs if len(text) > 1}
    runs = [text if text[:1] in repeated else "" for text in runs]
    characters = [ord(text[0]) if text else 0 for text in runs]
    return np.array(characters, np.int32), np.array(list(map(len, runs)), np.int32)


def _markup_rules(pieces: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """One rule per opening bracket: a piece found in text keeps all but its first character."""
    by_bracket: dict[str, list[str]] = defaultdict(list)
    for piece in sorted(pieces, key=len, reverse=True):
        if _MARKUP.fullmatch(piece):
            by_bracket[piece[0]].append(re.escape(piece[1:]))
    return tuple((f"{re.escape(first)}({'|'.join(rest)})", rf"{_REPLACEMENT}\1") for first, rest in by_bracket.items())


def pieces_of(content: bytes) -> list[str]:
    """The pieces of a model; [] where the bytes are none."""
    try:
        return [piece.piece.decode() for piece in _model_proto().FromString(content).pieces]
    except (ValueError, _decode_error()):
        return []


@cache
def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError


@cache
def _model_proto() -> Any:
    """SentencePiece's ModelProto, the fields read here; text as bytes, to be checked. (Its own module wants one certain protobuf release.)"""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bigbird/sentencepiece.proto", package="bigbird", syntax="proto2")
    piece = file.message_type.add(name="Piece")
    piece.field.add(name="piece", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    piece.field.add(name="score", number=2, type=field.TYPE_FLOAT, label=field.LABEL_OPTIONAL)
    piece.field.add(name="type", number=3, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL, default_value="1")
    trainer = file.message_type.add(name="TrainerSpec")
    trainer.field.add(name="model_type", number=3, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL, default_value="1")
    model = file.message_type.add(name="Model")
    model.field.add(
        name="trainer_spec",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".bigbird.TrainerSpec",
        label=field.LABEL_OPTIONAL,
    )
    model.field.add(
        name="pieces", number=1, type=field.TYPE_MESSAGE, type_name=".bigbird.Piece", label=field.LABEL_REPEATED
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bigbird.Model"))
