"""predictions.jsonl: one JSON object a document.

`id`, `file` and `line` name the document; `spans` are the model's, as it answers them; `right`, where that is known, are
those that should have been found, as [start, end, label].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bigbird.tasks.token_labels.scoring import SpanResults


def write_predictions(folder: Path, results: SpanResults) -> list[str]:
    """Writes predictions.jsonl into a folder; gives its name."""
    with (folder / "predictions.jsonl").open("w", encoding="utf-8", newline="") as file:
        for document in results.documents:
            record: dict[str, Any] = {
                "id": document.name,
                "file": document.file,
                "line": document.line,
                "spans": document.objects(),
            }
            if document.gold is not None:
                record["right"] = document.gold
            file.write(f"{json.dumps(record, ensure_ascii=False)}\n")
    return ["predictions.jsonl"]
