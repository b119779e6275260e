"""Files of predictions: as the official scripts read them, and with the runners-up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bigbird.tasks.squad.scoring import SquadResults


def write_predictions(folder: Path, results: SquadResults) -> list[str]:
    """Writes predictions.json as the official scripts read it, nbest.json, and null_odds.json for version 2.

    Returns:
        The names of the files.
    """
    by_id = [(question.id, answer) for question, answer in zip(results.questions, results.answers, strict=True)]
    files = {
        "predictions.json": {key: answer.text for key, answer in by_id},
        "nbest.json": {key: [asdict(candidate) for candidate in answer.candidates] for key, answer in by_id},
    }
    if results.version_2:
        files["null_odds.json"] = {key: answer.null_odds for key, answer in by_id}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return list(files)
