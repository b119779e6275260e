"""Masked-language-model pre-training: plain text into documents, documents packed into full records.

A file holds documents separated by blank lines; a document's line ends count as spaces. Records are filled to the last
token: `[CLS] end of a document [SEP] whole document [SEP] beginning of the next [SEP]`. Which tokens are masked is
drawn while training (`masking`), anew in every pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.records import foreign_format, has_text
from bigbird.text.vocabulary import Vocabulary

TASK = "pretraining"
METRICS = ("masked_lm_accuracy", "masked_lm_loss", "perplexity")

FILES = {"train": ("train.txt",), "validation": ("validation.txt", "dev.txt"), "test": ("test.txt",)}
"""Split -> the names that its file may have."""


def find_files(names: Iterable[str]) -> dict[str, str]:
    """split -> file name, of the names expected among a folder's file names."""
    present = set(names)
    found = {split: next((name for name in options if name in present), None) for split, options in FILES.items()}
    return {split: name for split, name in found.items() if name}


def parse(data: bytes, file: str) -> Iterator[str]:
    """Reads one file's documents.

    Args:
        data: the file's bytes; UTF-8, with or without a byte order mark.
        file: its name, for messages.

    Raises:
        InputError: the file is another format, not UTF-8 or without text; names the line.
    """
    foreign = foreign_format(data)
    if foreign:
        raise InputError(f"{file}:1: {foreign}")
    found, lines = False, []
    for number, raw in enumerate((*data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), b""), 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{file}:{number}: not UTF-8 at byte {error.start} of the line (0x{raw[error.start]:02x}); "
                "expected plain text in UTF-8"
            ) from None
        if has_text(line):
            lines.append(line.strip())
        elif lines:
            yield " ".join(lines)
            found, lines = True, []
    if lines:
        yield " ".join(lines)
    elif not found:
        raise InputError(f"{file}: holds no text; expected documents in UTF-8, separated by blank lines")


def encode_documents(
    documents: Iterable[Sequence[str]], vocabulary: Vocabulary, max_length: int, *, first_record: int = 0
) -> Iterator[tuple[bytes, int]]:
    """Packs documents into records of `max_length` tokens, or of one less where only a separator would have fitted; the last may be shorter.

    Args:
        documents: batches of them; some hundred at once is fast.
        max_length: tokens, special pieces included.
        first_record: the first record's number, its example_id.

    Yields:
        (tf.Example, its length in tokens).
    """
    pieces = (ids for batch in documents for ids in vocabulary.encode(batch))
    for number, body in enumerate(pack(pieces, vocabulary.sep_id, max_length - 2), first_record):
        input_ids = [vocabulary.cls_id, *body, vocabulary.sep_id]
        record: dict[str, features.Value] = {
            "input_ids": input_ids,
            "segment_ids": [0] * len(input_ids),
            "example_id": [number],
        }
        yield features.encode(record), len(input_ids)


def pack(documents: Iterable[np.ndarray], separator: int, room: int) -> Iterator[list[int]]:
    """Runs of `room` pieces: documents one after the other, a separator between two.

    A run is a piece short where only a separator would have fitted; the last one may be shorter.

    Args:
        documents: int[pieces] each.
        separator: the piece between two documents.
        room: pieces of a run.
    """
    run: list[int] = []
    for document in documents:
        ids, at = document.tolist(), 0
        while at < len(ids):
            if len(run) >= room - 1 and run:  # no place for a separator and a piece
                yield run
                run = []
            if run:
                run.append(separator)
            taken = ids[at : at + room - len(run)]
            run += taken
            at += len(taken)
    if run:
        yield run
