"""Vocabularies: text to pieces and their place in the text, special pieces by name. Each kind has a module of its own.

`Vocabulary(path)` finds out the kind: a SentencePiece model with BigBird's special pieces (`sentence_piece`), one as XLM-R
has it (`xlm_roberta`), or WordPiece as BERT has it (`word_piece`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

# Inside a character class: Unicode's whitespace and the C0 controls, but for the plain space.
_WHITESPACE_CHARACTERS = "\\x00-\\x1f\\x85\\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

WHITESPACE = f"[{_WHITESPACE_CHARACTERS}]"
"""What counts as a space, as a regular expression of both `re` and TensorFlow's RE2."""

VISIBLE = f"[^ {_WHITESPACE_CHARACTERS}]"
"""Any character that is not whitespace; a text without one is empty."""


class Pieces(NamedTuple):
    """A text's pieces and where each lies in it.

    `starts` and `ends` are positions in the original text with surrounding whitespace left out: `starts[i]` is moved
    right and `ends[i]` left past it, so `text[starts[i]:ends[j]]` is always the same as the stripped text from piece i
    to piece j. A piece of whitespace only therefore has its start after its end.
    """

    ids: np.ndarray
    """int32[pieces]"""
    starts: np.ndarray
    """int32[pieces], characters"""
    ends: np.ndarray
    """int32[pieces], characters"""


class Vocabulary:
    """What cuts text into pieces, with the special pieces that BigBird needs.

    `Vocabulary(...)` makes the class of the file's kind, as `pathlib.Path` does for a system.

    Args:
        model (str | Path | bytes): a file, a folder that holds one (see `bigbird.text.files`), or a file's bytes: a SentencePiece `.model`, a
            WordPiece `vocab.txt` or `tokenizer.json`.
        lower_case (bool | None): lower-cases text before it is cut into pieces; None does as the vocabulary says, which a SentencePiece
            model does not.
        name (str | None): what messages call it; default the file's name.

    Raises:
        InputError: the file is missing, damaged or of a kind that is not read, or a special piece is not in it.

    Example:
        >>> from bigbird import Vocabulary
        >>> vocabulary = Vocabulary("runs/reviews/train/model/vocab.model")
        >>> [pieces.dtype.name for pieces in vocabulary.encode(["a tree"])]
        ['int32']
    """

    kind: ClassVar[str]
    """What manifests call the kind."""
    file: ClassVar[str]
    """The name under which one is stored in a dataset's or a model's folder."""
    hugging_face_lower_cases: ClassVar[bool] = True
    """Whether Hugging Face's tokenizer of this kind can lower-case text."""
    serialized: bytes
    """That file's content; `Vocabulary(serialized)` is the same vocabulary."""
    sha256: str
    """Equal where ids mean the same, but for the lower case of text."""
    lower_case: bool
    settings: dict[str, Any]
    """How text is treated besides the lower case, for the manifest; {} where the kind has no choice."""
    size: int
    """Number of pieces."""
    pad_id: int
    unk_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    passage_id: int
    empty_id: int
    """Ids of what stands before a TriviaQA document, and after it for "no answer"."""
    begins_word: np.ndarray
    """bool[size]: pieces that begin a word."""
    is_text: np.ndarray
    """bool[size]: pieces that stand for text, neither control symbols nor markup nor unknown."""

    def __new__(
        cls, model: str | Path | bytes, lower_case: bool | None = None, *, name: str | None = None
    ) -> Vocabulary:
        from bigbird.text.files import kind_of, read_vocabulary

        del lower_case  # `__init__` takes it
        if isinstance(model, bytes):
            name, content = name or "the vocabulary", model
        else:
            file, content = read_vocabulary(str(model))
            name = name or file
        made = super().__new__(kind_of(content, name) if cls is Vocabulary else cls)
        made._name, made.serialized = name, content
        return made

    _name: str

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The pieces of each text, int32[pieces]."""
        raise NotImplementedError

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Pieces]:
        """The pieces of each text with their places in it."""
        raise NotImplementedError

    @classmethod
    def examine(cls, content: bytes, name: str) -> tuple[str, bool | None]:
        """`sha256` of a file of this kind, and whether it lower-cases text by itself; None where it says nothing of that."""
        made = cls(content, name=name)
        return made.sha256, made.lower_case

    @classmethod
    def stored(
        cls, content: bytes, name: str, lower_case: bool | None = None, *, hugging_face: bool = False
    ) -> dict[str, bytes]:
        """The files, by their names, by which a folder of ours or of Hugging Face's has a vocabulary of this kind."""
        del name, lower_case, hugging_face
        return {cls.file: content}

    @classmethod
    def count_pieces(cls, content: bytes, name: str) -> int:
        """`size` of a file of this kind; 0 where the file does not say."""
        return cls(content, name=name).size

    @classmethod
    def special_ids(cls, content: bytes, name: str) -> dict[str, int]:
        """Ids of special pieces by the keys of Hugging Face's config.json."""
        made = cls(content, name=name)
        return {
            "pad_token_id": made.pad_id,
            "bos_token_id": made.cls_id,
            "eos_token_id": made.sep_id,
            "sep_token_id": made.sep_id,
        }
