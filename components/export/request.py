"""The request that an exported model is checked with: examples of its own dataset, or a few lines where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from bigbird.manifests import DatasetManifest
from bigbird.scoring import read_examples
from bigbird.tasks.family import AnsweringFamily

RECORDED = 4  # examples; enough for several buckets and a batch, few enough to read


def recorded_request(
    family: AnsweringFamily, dataset: str | None, manifest: DatasetManifest | None, fields: Sequence[str]
) -> dict[str, list[str]]:
    """Texts for each of the model's fields.

    Args:
        family: of the model.
        dataset: the dataset folder; None gives the family's made-up lines.
        manifest: the dataset's.
        fields: names of the model's inputs, as `text_a` or `question` and `context`.

    Returns:
        field -> texts, as many for each.
    """
    if dataset is not None and manifest is not None:
        for split in manifest.splits:
            file = f"{split}.examples.jsonl"
            if (Path(dataset) / file).exists() or file in (manifest.checksums or {}):
                manifest.check_files(dataset, [file])
                requests = (asked for line in read_examples(dataset, split) for asked in family.requests(line))
                examples = list(islice(requests, RECORDED))
                return {name: [example[name] for example in examples] for name in fields}
    return {name: list(family.made_up_request[name]) for name in fields}
