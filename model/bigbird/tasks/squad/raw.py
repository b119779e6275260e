"""Validation straight from SQuAD's JSON, as the Model Garden's command lines have it, without the preprocess stage."""

from __future__ import annotations

import json
from pathlib import Path

from bigbird.config import PLACEHOLDER
from bigbird.manifests import DatasetManifest, SplitFacts, VocabularyFacts
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks import squad
from bigbird.tasks.records import BadRecords
from bigbird.tasks.squad.config import SquadDataConfig
from bigbird.text.vocabulary import Vocabulary
from bigbird.version import provenance

PARAGRAPHS_AT_ONCE = 64


def encode_raw_squad(file: str, data: SquadDataConfig, folder: Path) -> DatasetManifest:
    """Writes a dataset folder that holds a JSON file's validation split.

    Args:
        file: SQuAD JSON.
        data: vocabulary, window sizes and version.
        folder: existing and empty.

    Returns:
        The folder's manifest.

    Raises:
        InputError: the JSON or the vocabulary cannot be used.
    """
    if data.vocab_file in ("", PLACEHOLDER):
        raise InputError(
            f"task.validation_data.input_path is the raw JSON {file}, so task.validation_data.vocab_file must name the "
            f"vocabulary; found {data.vocab_file!r}"
        )
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected SQuAD JSON") from None
    vocabulary = Vocabulary(data.vocab_file, lower_case=data.do_lower_case)
    options = squad.WindowOptions(data.seq_length, data.doc_stride, data.query_length)
    paragraphs = list(squad.parse(content, file, data.version_2_with_negative, BadRecords()))
    (folder / "validation.examples.jsonl").write_text(
        "".join(json.dumps(paragraph, ensure_ascii=False) + "\n" for paragraph in paragraphs), encoding="utf-8"
    )
    lengths = _write_records(folder / "validation-00000-of-00001.tfrecord", paragraphs, vocabulary, options)
    (folder / vocabulary.file).write_bytes(vocabulary.serialized)
    return _manifest(data, vocabulary, paragraphs, lengths).write(folder)


def _write_records(
    path: Path, paragraphs: list[squad.Paragraph], vocabulary: Vocabulary, options: squad.WindowOptions
) -> list[int]:
    """Writes every window; returns their lengths in tokens."""
    lengths, questions = [], 0
    with path.open("wb") as out:
        for start in range(0, len(paragraphs), PARAGRAPHS_AT_ONCE):
            batch = paragraphs[start : start + PARAGRAPHS_AT_ONCE]
            for window in squad.encode_paragraphs(
                batch, vocabulary, options, first_question=questions, evaluation=True
            ):
                out.write(features.frame(features.encode(window.features)))
                lengths.append(window.length)
            questions += sum(len(paragraph["questions"]) for paragraph in batch)
    return lengths


def _manifest(
    data: SquadDataConfig, vocabulary: Vocabulary, paragraphs: list[squad.Paragraph], lengths: list[int]
) -> DatasetManifest:
    return DatasetManifest(
        task="squad_v2" if data.version_2_with_negative else "squad_v1",
        experiment_type="bigbird/squad",
        labels=None,
        metrics=list(squad.METRICS),
        splits={
            "validation": SplitFacts(
                files=["validation-00000-of-00001.tfrecord"],
                records=len(lengths),
                examples=sum(len(paragraph["questions"]) for paragraph in paragraphs),
                tokens=sum(lengths),
                longest=max(lengths),
            )
        },
        max_length=data.seq_length,
        query_length=data.query_length,
        doc_stride=data.doc_stride,
        version_2=data.version_2_with_negative,
        vocabulary=VocabularyFacts(
            file=vocabulary.file,
            kind=vocabulary.kind,
            sha256=vocabulary.sha256,
            size=vocabulary.size,
            lower_case=vocabulary.lower_case,
            settings=vocabulary.settings,
            trained_here=False,
        ),
        rejected=0,
        **provenance(),
    )
