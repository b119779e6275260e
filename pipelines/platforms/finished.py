"""Which steps of a run on this machine have ended well, so that the same run, started again, goes on after them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS, check_files, read_json, read_manifest, write_json
from bigbird.support.errors import InputError
from bigbird.support.new_folders import delete
from bigbird.version import provenance

FOLDER = ".finished"
"""Inside the run's folder: a record for each step that ended well."""
RESUMABLE = "model"
"""The output that a step goes on with where it was left; all others are written anew."""


class Finished:
    """The records of one run.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path):
        self._run, self._records = run, run / FOLDER

    def seconds(self, step: str, command: Sequence[str], image: str = "") -> float | None:
        """What the step took, where it ended well with this command in this image and all that it wrote is whole; else None."""
        try:
            record = read_json(self._file(step), "record of a finished step")
            integrity.check_seal(self._file(step), record, "record of a finished step")
            if record["work"] != _work(command, image):
                return None
            integrity.check_files("/", record, "the step is run again")
            for kind, folder in record["folders"].items():
                check_files(folder, kind, read_manifest(folder, kind))
        except (InputError, KeyError, TypeError):
            return None
        return float(record["seconds"])

    def note(
        self, step: str, command: Sequence[str], outputs: Mapping[str, Any], seconds: float, image: str = ""
    ) -> None:
        """Records a step that ended well.

        Args:
            step: its name.
            command: as it was started.
            outputs: of KFP's executor input.
            seconds: what it took.
            image: that it ran in; empty for none.
        """
        paths = [Path(path) for path in output_paths(outputs).values()]
        files = [Path(outputs["outputFile"]), *(path for path in paths if path.is_file())]
        folders = {kind: str(path) for path in paths if (kind := _kind(path)) is not None}
        record = {
            "step": step,
            "seconds": seconds,
            "work": _work(command, image),
            "folders": folders,
            integrity.CHECKSUMS: {str(path).lstrip("/"): integrity.facts_of_file(path) for path in files},
        }
        self._records.mkdir(exist_ok=True)
        write_json(self._file(step), integrity.sealed(record))

    def forget(self, folders: Iterable[Path]) -> None:
        """Forgets all steps, as they read other files, and deletes what they wrote: a model too, which would go on with these."""
        delete(self._records)
        for folder in folders:
            delete(self._run / folder)

    def clear(self, step: str, outputs: Mapping[str, Any]) -> None:
        """Deletes what an earlier start of a step left; a model stays, as training goes on with it."""
        delete(self._file(step))
        delete(Path(outputs["outputFile"]))
        for name, path in output_paths(outputs).items():
            if name != RESUMABLE and Path(path).resolve().is_relative_to(self._run):
                delete(Path(path))

    def _file(self, step: str) -> Path:
        return self._records / f"{step}.json"


def output_paths(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Output -> its file or folder, of KFP's executor input."""
    return {name: given["artifacts"][0]["uri"] for name, given in outputs.get("artifacts", {}).items()}


def _kind(path: Path) -> str | None:
    """Which stage's folder a path is."""
    return next((kind for kind, manifest in MANIFESTS.items() if (path / manifest).is_file()), None)


def _work(command: Sequence[str], image: str) -> str:
    """What tells a step's work from another: its command with all its inputs, and the code and image that do it."""
    words = [
        json.loads(word) if word.startswith("{") else word for word in command
    ]  # KFP's input, in no order of its own
    return hashlib.sha256(json.dumps([words, image, provenance()], sort_keys=True).encode()).hexdigest()
