"""dataset.json: what preprocessing wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictBool, StrictInt

from bigbird.manifests.base import Manifest, Part

Count = StrictInt


class SplitFacts(Part):
    """A split: its files, and what was counted while its records were made."""

    files: list[str] = Field(default_factory=list, description="Names of its TFRecord files, in order.")
    labelled: StrictBool = Field(True, description="Whether its examples have labels; earlier versions do not say.")
    examples: Count = Field(0, description="Rows of GLUE, questions of SQuAD, documents.")
    records: Count = Field(0, description="tf.Examples; several for an example that is read in windows.")
    tokens: Count = Field(0, description="Of all records, special pieces included, padding not.")
    longest: Count = Field(0, description="Tokens of the longest record.")
    truncated: Count = Field(0, description="Examples that lost text.")
    answer_windows: Count = Field(0, description="Windows that hold their question's answer.")
    exact_answers: Count = Field(0, description="Questions of which the answer's pieces hold exactly its text.")
    lost_answers: Count = Field(0, description="Questions whose answer no window holds whole.")
    unread_tokens: Count = Field(0, description="Of documents, tokens that no record holds.")
    lengths: list[list[StrictInt]] = Field(
        default_factory=list,
        description="[upper bound in tokens, records up to it and above the bound before], ascending.",
    )
    labels: dict[str, Count] = Field(default_factory=dict, description="Label -> examples.")
    documents: list[list[StrictInt]] = Field(
        default_factory=list, description="As lengths, of whole documents before anything is cut; [] where not counted."
    )
    counts: dict[str, Count] = Field(default_factory=dict, description="What the task family counts besides, in words.")


class VocabularyFacts(Part):
    """The vocabulary that the records were made with."""

    file: str = Field("vocab.model", description="Its file in the folder.")
    kind: str = Field("sentencepiece", description="sentencepiece, xlm_roberta or wordpiece.")
    sha256: str = Field(description="SHA-256 of its pieces; equal where the ids mean the same.")
    size: Count = Field(description="Pieces.")
    lower_case: StrictBool = Field(description="Whether text is lower-cased before it is cut into pieces.")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="How WordPiece treats text besides: strip_accents (null: as lower_case), handle_chinese_chars, prefix, max_word.",
    )
    trained_here: StrictBool = Field(False, description="Whether it was trained on this dataset's training text.")


class DatasetManifest(Manifest):
    """dataset.json. What a task family says of its records (`TaskFamily.manifest_facts`) are keys besides these."""

    KIND: ClassVar[str] = "dataset"

    task: str = Field(description="The task's name, as `--task` takes it.")
    experiment_type: str | None = Field(None, description="Of the task's family, as bigbird/glue.")
    labels: list[str] | None = Field(None, description="Names of the classes in the order of their ids; None without.")
    metrics: list[str] = Field(default_factory=list, description="Names of the metrics; the first one decides.")
    splits: dict[str, SplitFacts] = Field(description="The splits by name: train, validation, test, or parts of them.")
    max_length: Count = Field(0, description="Most tokens of a record, special pieces included.")
    vocabulary: VocabularyFacts = Field(description="The vocabulary that the records were made with.")
    rejected: Count = Field(0, description="Bad records that were left out, as --max-bad-records allowed.")

    def facts(self) -> dict[str, Any]:
        """What the task family added."""
        return dict(self.model_extra or {})
