"""Where vocabularies lie, and of which kind a file is."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bigbird.support.errors import InputError
from bigbird.support.text_files import decode, parse_json

if TYPE_CHECKING:
    from bigbird.text.vocabulary import Vocabulary

TOKENIZER, VOCAB_TXT, TOKENIZER_CONFIG = "tokenizer.json", "vocab.txt", "tokenizer_config.json"

ADDED_TOKENS = "added_tokens.json"  # of vocab.txt, in older folders of transformers
_FAIRSEQ = "sentencepiece.bpe.model"
FILES = ("vocab.model", _FAIRSEQ, "spiece.model", TOKENIZER, VOCAB_TXT)
"""Names that a folder's vocabulary may have, the best first: a tokenizer.json beside a SentencePiece model says the same of
it in another form."""

STORED = ("vocab.model", TOKENIZER)
"""Names under which our own folders keep one, by its kind (`Vocabulary.file`)."""

EXPECTED = (
    "a SentencePiece .model, WordPiece's vocab.txt or tokenizer.json, or a Hugging Face folder that holds one of them"
)

BYTE_LEVEL_FILES = {"vocab.json", "merges.txt"}
"""What a folder with a byte-level BPE vocabulary holds."""
_BYTE_LEVEL = (
    "is a byte-level BPE vocabulary (GPT-2's, RoBERTa's), which is not built; start from a model with a WordPiece or "
    "SentencePiece vocabulary (BERT's, XLM-R's). A run that starts from no weights may leave the vocabulary out to have one trained"
)


class Store(Protocol):
    """Where files lie."""

    def names(self, folder: str) -> set[str]:
        """What a folder holds; nothing where there is no such folder."""

    def read(self, file: str) -> bytes:
        """A file's content."""


class Examined(NamedTuple):
    """What can be said of a vocabulary without cutting text."""

    file: str
    kind: type[Vocabulary]
    sha256: str
    lower_case: bool | None
    """Whether it lower-cases text by itself; None where it says nothing of that."""
    content: bytes
    """`Vocabulary(content)` is the vocabulary."""


class _Here:
    """This machine."""

    def names(self, folder: str) -> set[str]:
        try:
            return {file.name for file in Path(folder).iterdir()}
        except OSError:
            return set()

    def read(self, file: str) -> bytes:
        try:
            return Path(file).read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror}); expected {EXPECTED}") from None


def find_vocabulary(names: Collection[str]) -> str:
    """The name of the vocabulary among a folder's files; "" where there is none."""
    return next((name for name in FILES if name in names), "")


def place_of(path: str) -> str:
    """What must be readable so that a vocabulary is: of a vocab.txt its folder, whose files say how text is treated."""
    return path.rpartition("/")[0] or path if path.rpartition("/")[2] == VOCAB_TXT else path


def read_vocabulary(path: str, store: Store | None = None) -> tuple[str, bytes]:
    """A vocabulary's file, and its content by which `Vocabulary` knows all of it.

    A vocab.txt does not say how text is treated. Where files beside it do, the content is a tokenizer.json made of both.

    Args:
        path: a file, or a folder that holds one.
        store: where it lies; default this machine.

    Raises:
        InputError: there is none, or a file beside it that says how text is treated is damaged.
    """
    store = store or _Here()
    names = store.names(path)
    if names:
        found = find_vocabulary(names)
        if not found and names >= BYTE_LEVEL_FILES:
            raise InputError(f"{path}: {_BYTE_LEVEL}")
        if not found:
            shown = ", ".join(sorted(names)[:10])
            raise InputError(f"{path}: holds no vocabulary; expected {' or '.join(FILES)}, found {shown}")
        path = f"{path.rstrip('/')}/{found}"
    content = store.read(path).removeprefix(codecs.BOM_UTF8)
    folder, _, name = path.rpartition("/")
    if name == _FAIRSEQ:
        _check_class(path, folder or ".", store)
    if name == VOCAB_TXT and content.lstrip()[:1] != b"{":
        content = _with_settings(path, content, folder or ".", store)
    return path, content


def examine_vocabulary(path: str, store: Store | None = None) -> Examined:
    """Which vocabulary a file or a folder holds.

    Args:
        path, store: as in `read_vocabulary`.

    Raises:
        InputError: there is none, or it is of a kind that is not read.
    """
    file, content = read_vocabulary(path, store)
    kind = kind_of(content, file)
    return Examined(file, kind, *kind.examine(content, file), content)


def _with_settings(path: str, content: bytes, folder: str, store: Store) -> bytes:
    """A vocab.txt and what the files beside it say, as a tokenizer.json."""
    from bigbird.text.word_piece import check_added, from_config, settings_of, to_json, vocab_txt_pieces

    names = store.names(folder)
    if ADDED_TOKENS in names:
        file = f"{folder}/{ADDED_TOKENS}"
        check_added(_object(store.read(file), file), vocab_txt_pieces(content, path), file, path)
    for name, read in ((TOKENIZER_CONFIG, from_config), (TOKENIZER, settings_of)):
        if name in names:
            file = f"{folder}/{name}"
            return to_json(vocab_txt_pieces(content, path), read(_object(store.read(file), file), file))
    return content


# They have such a file too, and other ids.
_SHIFTED_OTHERWISE = ("camembert", "barthez", "mbart", "nllb", "m2m_100", "xglm", "plbart")


def _check_class(path: str, folder: str, store: Store) -> None:
    """Refuses a SentencePiece model whose ids are not XLM-R's, where the files beside it say so."""
    names = store.names(folder)
    for name, key in ((TOKENIZER_CONFIG, "tokenizer_class"), ("config.json", "model_type")):
        stated = _object(store.read(f"{folder}/{name}"), f"{folder}/{name}").get(key) if name in names else None
        if isinstance(stated, str) and stated.lower().startswith(_SHIFTED_OTHERWISE):
            raise InputError(
                f"{path}: {folder}/{name} says that {key} is {stated[:60]}; of such vocabularies only XLM-R's is built"
            )


def _object(content: bytes, name: str) -> dict[str, Any]:
    value = parse_json(decode(content, name, "JSON in UTF-8"), name, "a tokenizer's JSON")
    if not isinstance(value, dict):
        raise InputError(f"{name}: holds a {type(value).__name__}; expected a tokenizer's JSON object")
    return value


def kind_of(content: bytes, name: str) -> type[Vocabulary]:
    """The class of a vocabulary's content; `SentencePieceVocabulary`, which says what is wrong, where it is nothing known.

    Raises:
        InputError: it is of a kind that is not read.
    """
    from bigbird.text.sentence_piece import CLS, SEP, SentencePieceVocabulary, pieces_of
    from bigbird.text.word_piece import WordPieceVocabulary, is_vocab_txt
    from bigbird.text.xlm_roberta import FIRST, XlmRobertaVocabulary

    if content.lstrip()[:1] == b"{":
        _check_tokenizer(content, name)
        return WordPieceVocabulary
    if content.startswith(b"#version"):  # merges.txt
        raise InputError(f"{name}: {_BYTE_LEVEL}")
    if is_vocab_txt(content):
        return WordPieceVocabulary
    pieces = pieces_of(content)
    if tuple(pieces[: len(FIRST)]) == FIRST and not {CLS, SEP} & set(pieces):
        return XlmRobertaVocabulary
    return SentencePieceVocabulary


def _check_tokenizer(content: bytes, name: str) -> None:
    """Refuses a JSON file whose model is not WordPiece."""
    value = parse_json(decode(content, name, "JSON in UTF-8"), name, "a tokenizer.json")
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict):
        if isinstance(value, dict) and value and all(isinstance(number, int) for number in value.values()):
            raise InputError(f"{name}: {_BYTE_LEVEL}")  # vocab.json
        return
    kind = model.get("type") or ("BPE" if "merges" in model else "WordPiece")
    if kind == "BPE":
        raise InputError(f"{name}: {_BYTE_LEVEL}")
    if kind != "WordPiece":
        raise InputError(
            f"{name}: its model is {str(kind)[:40]}, expected WordPiece; where that is a SentencePiece model, give its .model file "
            "(sentencepiece.bpe.model, spiece.model) instead"
        )
