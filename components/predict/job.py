"""A job's own files, inside the output folder until it is whole: what is answered with what, and which shards are done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, StrictInt

from bigbird import storage
from bigbird.manifests import InputFacts, Part, PredictionsManifest, checked
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.integrity import check_seal, facts_of_file
from bigbird.support.new_folders import check_replaceable
from bigbird.support.text_files import decode, parse_json
from bigbird_components.output_files import make_folder
from bigbird_components.predict.answering import JobFiles, outcome_name
from bigbird_components.predict.rows import RowRange
from bigbird_components.predict.whole_files import is_half_written, new_file, write_json

WORK = "work"
"""The folder of a job's own files, inside its output; gone when that is whole."""
STATE = "job.json"
ENDING = ".summary.json"
"""The manifest, once all answers are in their place and only the job's own files are still to be deleted."""
SUMMARY = MANIFESTS["predictions"]

_IN_WORK = re.compile(r"job\.json|failed\.json|rows\.jsonl|rejected\.jsonl|part-\d+\.jsonl?")
_BESIDE_WORK = re.compile(r"\.?summary\.json|rejected\.jsonl|predictions\.[a-z]+")
_OUTCOME = re.compile(r"part-\d+\.json")


class Identity(Part):
    """What answers depend on: a job goes on only where all of it is the same.

    Attributes are written to job.json.
    """

    version: str = Field(description="Of this project.")
    model_digest: str = Field(description="Of the model's files.")
    input: list[InputFacts] = Field(description="The files.")
    settings: dict[str, Any] = Field(description="What the options say of reading.")


class JobState(Part):
    """job.json."""

    identity: Identity = Field(description="What is answered with what.")
    shards: list[list[StrictInt]] | None = Field(
        description="number, first byte, bytes and rows of each; None until all rows are read."
    )
    rejected: StrictInt = Field(0, description="Bad rows.")
    fields: dict[str, list[str]] = Field(default_factory=dict, description="Input of the model -> its columns.")


def input_facts(paths: Sequence[str]) -> list[InputFacts]:
    """What tells files from other or changed ones.

    Raises:
        InputError: one is gone.
        ServiceError: a bucket cannot be asked.
    """
    found = []
    for path in paths:
        if storage.is_remote(path):
            entry = storage.entry_of(path)
            if entry is None:
                raise InputError(f"{path}: no such object")
            found.append(InputFacts(path=path, bytes=entry.size, digest=entry.md5 or entry.version))
        else:
            facts = facts_of_file(path)
            found.append(InputFacts(path=path, bytes=facts["bytes"], digest=facts["sha256"]))
    return found


class Output:
    """The output folder of a job, locked by who made this.

    Args:
        folder: here or in a bucket.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self.work = storage.join(folder, WORK)

    def path(self, name: str) -> str:
        """A file of it."""
        return storage.join(self.folder, name)

    def begin(self, identity: Identity, to: str, overwrite: bool) -> JobState | None:
        """Makes it ready: what an earlier start of the same job left is kept, all else is refused or replaced.

        What is refused stays as it is: nothing is deleted before that is settled.

        Args:
            identity: of the job.
            to: how answers are to be written.
            overwrite: whether answers, another job or files of a job that cannot be read are to be replaced.

        Returns:
            Where the job stands; None where it had come to its end but for the deletion of its own files, which is made
            up for.

        Raises:
            InputError: it holds another job, answers, or files that no job wrote.
        """
        names = self._names()
        if WORK in names and not self._is_folder(self.work):
            raise InputError(
                f"{self.work}: is a file; expected no such name, or the folder of a job's own files. Move it away, or give another "
                "output folder"
            )
        ended = self._ended() if ENDING in names else None
        if ended is not None:
            self.end()
            if not overwrite and _same(ended.job, identity) and ended.files == [f"predictions.{to}"]:
                return None
            names = self._names()
        state = self._state(overwrite) if WORK in names else None
        if state is not None and _same(digest_of(state.identity), identity):
            self._delete_half_written()
            return self._readable(state)
        begun = state is not None and state.shards is not None
        if state is not None and begun and not overwrite:
            raise InputError(
                f"{self.folder}: holds an unfinished job whose {_difference(state.identity, identity)} differs; give the same options again to "
                "go on with it, give another folder, or pass --overwrite to begin anew"
            )
        if not begun:
            check_replaceable(self.folder, [name for name in names if name != WORK], overwrite)
            if WORK in names and not all(_is_ours(name, _IN_WORK) for name in storage.list_names(self.work)):
                raise InputError(f"{self.work}: holds files that no job of ours wrote; give an empty or new folder")
        if WORK in names:
            storage.delete([self.work])
        self._delete_half_written()
        make_folder(self.work)
        state = JobState(identity=identity, shards=None)
        self.save(state)
        return state

    @staticmethod
    def _is_folder(path: str) -> bool:
        return not storage.is_file(path) if storage.is_remote(path) else Path(path).is_dir()

    def _delete_half_written(self) -> None:
        """Deletes what killed processes left of files that they were writing."""
        if storage.is_remote(self.folder):
            return
        for folder, ours in ((self.folder, _BESIDE_WORK), (self.work, _IN_WORK)):
            for name in storage.list_names(folder):
                if is_half_written(name, ours):
                    storage.delete([storage.join(folder, name)])

    def _readable(self, state: JobState) -> JobState:
        """The state of a job that goes on, without what was written before a power cut and is not there whole.

        A bucket's objects appear whole or not at all.
        """
        if storage.is_remote(self.folder) or state.shards is None:
            return state
        for name in filter(_OUTCOME.fullmatch, storage.list_names(self.work)):
            try:
                _read_json(storage.join(self.work, name))
            except InputError:  # its rows are answered again
                storage.delete([storage.join(self.work, name)])
        rows = Path(JobFiles("", "", self.work).rows)
        if rows.is_file() and rows.stat().st_size == sum(size for _, _, size, _ in state.shards):
            return state
        return JobState(identity=state.identity, shards=None)  # the table is read again

    def abandon(self) -> None:
        """Deletes a job of which nothing is answered; the folder too where nothing else is in it."""
        storage.delete([self.work])
        if not storage.is_remote(self.folder) and not storage.list_names(self.folder):
            Path(self.folder).rmdir()

    def save(self, state: JobState) -> None:
        """Writes where the job stands."""
        write_json(storage.join(self.work, STATE), state.to_json())

    def answered(self, shards: Sequence[RowRange]) -> set[int]:
        """The numbers of the shards whose answers are there."""
        names = set(storage.list_names(self.work))
        return {shard.number for shard in shards if outcome_name(shard.number) in names}

    def clear(self) -> None:
        """Deletes the answers of an earlier job, the manifest first."""
        for name in sorted(self._names() - {WORK}, key=lambda name: name != SUMMARY):
            if name == SUMMARY or name == "rejected.jsonl" or name.startswith("predictions."):
                storage.delete([self.path(name)])

    def whole(self, manifest: bytes) -> None:
        """Makes the folder whole: the manifest is kept, the job's own files go, the manifest gets its name."""
        with new_file(self.path(ENDING)) as file:
            file.write(manifest)
        self.end()

    def end(self) -> None:
        """Does the last steps, as often as it is interrupted between them."""
        if WORK in self._names():
            storage.delete([self.work])
        with new_file(self.path(SUMMARY)) as file:
            file.write(storage.read_bytes(self.path(ENDING)))
        storage.delete([self.path(ENDING)])

    def _names(self) -> set[str]:
        """What the folder holds but for what killed processes left of files that they were writing."""
        names = storage.list_names(self.folder, folders=True)
        return {name for name in names if not is_half_written(name, _BESIDE_WORK)}

    def _ended(self) -> PredictionsManifest | None:
        """The manifest of a job of which only its own files are to be deleted; None where the file is no such manifest."""
        path = self.path(ENDING)
        try:
            value = _read_json(path)
            manifest = PredictionsManifest.checked(value, path)
            check_seal(path, value, "manifest")
        except InputError:
            return None
        return manifest

    def summary(self) -> PredictionsManifest:
        """The manifest of a whole folder."""
        path = self.path(SUMMARY)
        return PredictionsManifest.checked(_read_json(path), path)

    def _state(self, overwrite: bool) -> JobState | None:
        """Where the job in the folder stands; None where there is none, or none that can be read and it is to be replaced."""
        path = storage.join(self.work, STATE)
        if not storage.exists(path):
            return None
        remedy = "pass --overwrite to begin anew"
        try:
            return checked(JobState, _read_json(path, f"; {remedy}"), path, remedy)
        except InputError:
            if overwrite:
                return None
            raise


def _is_ours(name: str, ours: re.Pattern[str]) -> bool:
    return ours.fullmatch(name) is not None or is_half_written(name, ours)


def _read_json(path: str, hint: str = "") -> Any:
    what = "a file of JSON that answering a table wrote"
    return parse_json(decode(storage.read_bytes(path), path, what), path, what, hint=hint)


def digest_of(identity: Identity) -> str:
    """The same for the same job."""
    return hashlib.sha256(json.dumps(identity.to_json(), sort_keys=True).encode()).hexdigest()


def _same(digest: Any, identity: Identity) -> bool:
    return bool(digest == digest_of(identity))


def _difference(old: Identity, new: Identity) -> str:
    """What two jobs differ in."""
    for name, words in (("model_digest", "model"), ("input", "input"), ("version", "version of this project")):
        if old[name] != new[name]:
            return words
    before, after = old.settings, new.settings
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"setting of {' and '.join(names)}"
