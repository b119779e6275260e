"""WordPiece vocabularies as BERT has them: a vocab.txt, or a tokenizer.json of Hugging Face's `tokenizers`.

That library cuts the text. It is given no special pieces, so that the text "[MASK]" is a bracket, a word and a bracket:
text cannot forge what stands for itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from bigbird.support.artifacts import json_bytes
from bigbird.support.errors import InputError
from bigbird.support.text_files import decode, parse_json
from bigbird.text.files import TOKENIZER_CONFIG, VOCAB_TXT
from bigbird.text.vocabulary import Pieces, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer, normalizers

_log = logging.getLogger(__name__)

PAD, UNK, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MARKUP = re.compile(r"\[.+\]")  # special pieces, and BERT's [unused1] and so on
_MOST_PIECES = 10_000_000


class WordPieceSettings(BaseModel):
    """How text is cut, besides the pieces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lower_case: StrictBool | None = Field(
        None, description="Lower-cases text; None: where no piece has a capital letter."
    )
    strip_accents: StrictBool | None = Field(None, description="Removes accents; None: where text is lower-cased.")
    handle_chinese_chars: StrictBool = Field(True, description="Makes each Chinese character a word.")
    prefix: str = Field("##", min_length=1, description="Before a piece that continues a word.")
    max_word: int = Field(100, ge=1, le=1000, strict=True, description="Characters of a word; a longer one is [UNK].")

    @property
    def strips(self) -> bool:
        """Whether accents are removed."""
        return bool(self.lower_case) if self.strip_accents is None else self.strip_accents

    def normalizer(self) -> normalizers.BertNormalizer:
        """What `tokenizers` does to text before it is cut."""
        from tokenizers.normalizers import BertNormalizer

        return BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.handle_chinese_chars,
            strip_accents=self.strips,
            lowercase=bool(self.lower_case),
        )


class WordPieceVocabulary(Vocabulary):
    """WordPiece.

    Args:
        model, lower_case, name: as in `Vocabulary`.

    Raises:
        InputError: the file is damaged, lacks a special piece, or asks for what is not built.
    """

    kind = "wordpiece"
    file = "tokenizer.json"

    def __init__(self, model: str | Path | bytes, lower_case: bool | None = None, *, name: str | None = None):
        del model, name  # read by `Vocabulary.__new__`
        name = self._name
        if self.serialized.lstrip()[:1] == b"{":
            tree = parse_json(decode(self.serialized, name, "JSON in UTF-8"), name, "a tokenizer.json")
            self.pieces, settings = _pieces_of(tree, name), settings_of(tree, name)
        else:
            self.pieces, settings = vocab_txt_pieces(self.serialized, name), WordPieceSettings()
        self.ids = {piece: number for number, piece in enumerate(self.pieces) if piece}
        missing = [piece for piece in SPECIAL if piece not in self.ids]
        if missing:
            raise InputError(
                f"{name}: of {len(self.pieces):,} pieces none is {' or '.join(missing)}; BigBird needs {', '.join(SPECIAL)}. "
                "Give the vocabulary of a BERT. A run that starts from no weights may leave it out to have one trained"
            )
        if lower_case is None and settings.lower_case is None:
            lower_case = not any(_has_capital(piece) for piece in self.pieces)
            _say_case(name, lower_case)
        chosen = settings.lower_case if lower_case is None else lower_case
        self.lower_case = bool(chosen)
        self.rules = settings.model_copy(update={"lower_case": self.lower_case})
        self.settings = self.rules.model_dump(exclude={"lower_case"})
        self.serialized = to_json(self.pieces, self.rules)
        stated = json.dumps([self.pieces, self.settings], ensure_ascii=False, sort_keys=True)
        self.sha256 = hashlib.sha256(stated.encode("utf-8", "surrogatepass")).hexdigest()
        self.size = len(self.pieces)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self.ids[piece] for piece in SPECIAL)
        self.passage_id, self.empty_id = self.sep_id, self.cls_id
        # Special pieces begin a word each; a hole in the numbers is no text.
        self.begins_word = np.array([not piece.startswith(self.rules.prefix) for piece in self.pieces])
        self.is_text = np.array([bool(piece) and not _MARKUP.fullmatch(piece) for piece in self.pieces])

    @classmethod
    def stored(
        cls, content: bytes, name: str, lower_case: bool | None = None, *, hugging_face: bool = False
    ) -> dict[str, bytes]:
        """tokenizer.json; for Hugging Face vocab.txt too, and the files that name class and special pieces."""
        made = cls(content, lower_case, name=name)
        if not hugging_face:
            return {cls.file: made.serialized}
        special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
        stated = made.rules.model_dump()
        config = {theirs: stated[ours] for theirs, ours in _CONFIG_KEYS.items()}
        return {
            cls.file: made.serialized,
            VOCAB_TXT: "".join(f"{piece}\n" for piece in made.pieces).encode(),
            TOKENIZER_CONFIG: json_bytes({"tokenizer_class": "BertTokenizer", **config, **special}),
            "special_tokens_map.json": json_bytes(special),
        }

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        # Shards are encoded in processes of their own. Threads of the library's would compete with them, and do not outlive a fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer, models, pre_tokenizers

        model = models.WordPiece(
            self.ids,
            unk_token=UNK,
            max_input_chars_per_word=self.rules.max_word,
            continuing_subword_prefix=self.rules.prefix,
        )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer, tokenizer.pre_tokenizer = self.rules.normalizer(), pre_tokenizers.BertPreTokenizer()
        return tokenizer

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The pieces of each text, int32[pieces]."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in found]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Pieces]:
        """The pieces of each text with their places in it."""
        located = []
        for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False):
            bounds = np.array(encoding.offsets, np.int32).reshape(-1, 2)
            located.append(Pieces(np.array(encoding.ids, np.int32), bounds[:, 0], bounds[:, 1]))
        return located


def is_vocab_txt(content: bytes) -> bool:
    """Whether bytes are the lines of a WordPiece vocabulary."""
    lines = set(content.replace(b"\r", b"").split(b"\n"))
    return UNK.encode() in lines and CLS.encode() in lines


def vocab_txt_pieces(content: bytes, name: str) -> list[str]:
    """The pieces of a vocab.txt, one a line; of equal ones the last counts, as BERT has it, and the others are ""."""
    lines = [line.removesuffix("\r") for line in decode(content, name, "a WordPiece vocabulary in UTF-8").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{name}: is empty; expected the pieces of a WordPiece vocabulary, one a line")
    last = {line: number for number, line in enumerate(lines)}
    for piece in SPECIAL:
        if lines.count(piece) > 1:
            _say_repeated(name, piece, lines.index(piece) + 1, last[piece] + 1)
    return [line if last[line] == number else "" for number, line in enumerate(lines)]


@cache
def _say_repeated(name: str, piece: str, first: int, last: int) -> None:
    """Tells, once of each file, that a special piece is on two lines."""
    _log.warning(
        f"{name}: {piece} is on line {first} and again on line {last}, which counts, as in BERT; the file may be damaged"
    )


@cache
def _say_case(name: str, lower_case: bool) -> None:
    """Tells, once of each file, what its pieces say of the case of text."""
    found, so = ("no piece has", "lower-cased") if lower_case else ("pieces have", "left in its case")
    _log.info(
        f"{name}: {found} capital letters, so text is {so}; do_lower_case in a {TOKENIZER_CONFIG} beside vocab.txt decides otherwise, and so "
        "does an option of `bigbird preprocess`"
    )


def _has_capital(piece: str) -> bool:
    return not _MARKUP.fullmatch(piece) and piece != piece.lower()


def _pieces_of(tree: Any, name: str) -> list[str]:
    """The pieces of a tokenizer.json by their numbers; "" where a number has none."""
    model = _part(tree, "model", name)
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not vocab:
        raise InputError(f"{name}: model.vocab is not there; expected the pieces and their numbers")
    for piece, number in vocab.items():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MOST_PIECES:
            raise InputError(
                f"{name}: model.vocab: piece {piece[:40]!r} has the number {str(number)[:20]}; expected 0 and up"
            )
    pieces = [""] * (max(vocab.values()) + 1)
    for piece, number in vocab.items():
        if pieces[number]:
            raise InputError(
                f"{name}: model.vocab: {pieces[number][:40]!r} and {piece[:40]!r} have the same number, {number}"
            )
        pieces[number] = piece
    added = tree.get("added_tokens") or []
    check_added([_of(token, "content") for token in added], vocab, f"{name}: added_tokens", "model.vocab")
    return pieces


def check_added(added: Collection[Any], pieces: Collection[str], where: str, vocabulary: str) -> None:
    """Refuses tokens that were added to a vocabulary.

    Args:
        added: the tokens.
        pieces: the vocabulary's.
        where: the file that adds them, for the message.
        vocabulary: the vocabulary's own, likewise.

    Raises:
        InputError: one is not in the vocabulary.
    """
    known = frozenset(pieces)
    others = [str(token)[:40] for token in added if not isinstance(token, str) or token not in known]
    if others:
        raise InputError(
            f"{where} has {', '.join(map(repr, others[:5]))}, which {vocabulary} does not have; pieces outside it are not built. Give "
            "the vocabulary that the model was pre-trained with"
        )


def settings_of(tree: Any, name: str) -> WordPieceSettings:
    """What a tokenizer.json says of how text is cut.

    Raises:
        InputError: it says something that is not built.
    """
    model, normalizer = _part(tree, "model", name), _part(tree, "normalizer", name)
    unlike = {
        "normalizer.type": (normalizer.get("type"), "BertNormalizer"),
        "normalizer.clean_text": (normalizer.get("clean_text", True), True),
        "pre_tokenizer.type": (_part(tree, "pre_tokenizer", name).get("type"), "BertPreTokenizer"),
        "model.unk_token": (model.get("unk_token", UNK), UNK),
    }
    for key, (found, built) in unlike.items():
        if found != built:
            raise InputError(f"{name}: {key} is {str(found)[:60]!r}; of WordPiece only {built!r} is built")
    return _settings(
        {
            "lower_case": normalizer.get("lowercase", True),
            "strip_accents": normalizer.get("strip_accents"),
            "handle_chinese_chars": normalizer.get("handle_chinese_chars", True),
            "prefix": model.get("continuing_subword_prefix", "##"),
            "max_word": model.get("max_input_chars_per_word", 100),
        },
        name,
        _JSON_KEYS,
    )


_CONFIG_KEYS = {
    "do_lower_case": "lower_case",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
# Of other classes with a vocab.txt some cut by other rules (BertJapanese's, Bertweet's).
_CONFIG_CLASSES = re.compile(
    r"(Bert|DistilBert|Electra|MobileBert|BigBird|RetriBert|PreTrained|Lxmert|Funnel|LayoutLM)Tokenizer(Fast)?"
)


def from_config(config: Mapping[str, Any], name: str) -> WordPieceSettings:
    """What a tokenizer_config.json says of how text is cut.

    Raises:
        InputError: it is that of another kind of tokenizer.
    """
    kind = config.get("tokenizer_class")
    if isinstance(kind, str) and not _CONFIG_CLASSES.fullmatch(kind):
        raise InputError(
            f"{name}: tokenizer_class is {kind[:60]!r}; of vocabularies in a vocab.txt only BertTokenizer's is built"
        )
    if config.get("do_basic_tokenize", True) is False:
        raise InputError(f"{name}: do_basic_tokenize is false; text that is already cut into words is not built")
    return _settings(
        {ours: config[theirs] for theirs, ours in _CONFIG_KEYS.items() if theirs in config}, name, _CONFIG_KEYS
    )


def to_json(pieces: Sequence[str], settings: WordPieceSettings) -> bytes:
    """A tokenizer.json that `tokenizers` and `transformers` load."""
    ids = {piece: number for number, piece in enumerate(pieces) if piece}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tree = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": piece, **flags} for piece, number in ids.items() if piece in SPECIAL
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.handle_chinese_chars,
            "strip_accents": settings.strip_accents,
            "lowercase": settings.lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": [SEP, ids.get(SEP, 0)], "cls": [CLS, ids.get(CLS, 0)]},
        "decoder": {"type": "WordPiece", "prefix": settings.prefix, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": UNK,
            "continuing_subword_prefix": settings.prefix,
            "max_input_chars_per_word": settings.max_word,
            "vocab": ids,
        },
    }
    return (json.dumps(tree, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass")


# Where a tokenizer.json has them.
_JSON_KEYS = {
    "normalizer.lowercase": "lower_case",
    "normalizer.strip_accents": "strip_accents",
    "normalizer.handle_chinese_chars": "handle_chinese_chars",
    "model.continuing_subword_prefix": "prefix",
    "model.max_input_chars_per_word": "max_word",
}


def _settings(stated: Mapping[str, Any], name: str, keys: Mapping[str, str]) -> WordPieceSettings:
    """The settings that a file states; `keys` has its name of each -> ours."""
    try:
        return WordPieceSettings(**stated)
    except ValidationError as error:
        first = error.errors()[0]
        ours = str(first["loc"][0])
        key = next((theirs for theirs, own in keys.items() if own == ours), ours)
        raise InputError(f"{name}: {key} is {str(first['input'])[:60]!r}: {first['msg'].lower()}") from None


def _part(tree: Any, key: str, name: str) -> dict[str, Any]:
    value = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(value, dict):
        raise InputError(f"{name}: has no {key}; expected the tokenizer.json of a BERT")
    return value


def _of(token: Any, key: str) -> Any:
    return token.get(key) if isinstance(token, dict) else None
