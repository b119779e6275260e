"""The request that an exported model is checked with: examples of its own dataset, or a few lines where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bigbird.artifacts import check_files
from bigbird.integrity import CHECKSUMS
from bigbird.scoring import read_examples

RECORDED = 4  # examples; enough for several buckets and a batch, few enough to read

WITHOUT_DATASET = {
    "text_a": ["a fine and moving film .", "dull from start to end ."],
    "text_b": ["it is a film .", "it is fun ."],
    "question": ["who built the bridge ?", "what crosses the river ?"],
    "context": ["the bridge over the river was built by anna kern ."] * 2,
}


def recorded_request(
    dataset: str | None, manifest: dict[str, Any] | None, fields: Sequence[str]
) -> dict[str, list[str]]:
    """Texts for each of the model's fields.

    Args:
        dataset: the dataset folder; None gives lines made up here.
        manifest: the dataset's.
        fields: names of the model's inputs, as `text_a` or `question` and `context`.

    Returns:
        field -> texts, as many for each.
    """
    if dataset is not None and manifest is not None:
        for split in manifest["splits"]:
            file = f"{split}.examples.jsonl"
            if (Path(dataset) / file).exists() or file in manifest.get(CHECKSUMS, {}):
                check_files(dataset, "dataset", manifest, [file])
                examples = list(islice(_texts(dataset, split), RECORDED))
                return {name: [example[name] for example in examples] for name in fields}
    return {name: WITHOUT_DATASET[name] for name in fields}


def _texts(dataset: str, split: str) -> Iterator[dict[str, str]]:
    """Each example's fields; a line of a SQuAD split holds a context with all its questions."""
    for line in read_examples(dataset, split):
        if "questions" in line:
            yield from ({"question": asked["question"], "context": line["context"]} for asked in line["questions"])
        else:
            yield line
