"""A checked run: what it is to do, and which of the user's files it reads."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird import storage
from bigbird.checkpoints.beside import whole_folder
from bigbird.config import Experiment
from bigbird.support import integrity
from bigbird.support.errors import InputError
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.registry import family_of_task
from bigbird.text.files import place_of
from bigbird_components.preprocess import storage as files_of_tables
from bigbird_components.preprocess.reading import locate_sources
from bigbird_pipelines.files import LocalFiles, readable_places
from bigbird_pipelines.parameters import PATHS, SPLITS


@dataclass(frozen=True)
class RunPlan:
    """A checked run: the pipeline's parameters, its folder, and the sample to write first, if any."""

    arguments: dict[str, Any]
    folder: Path
    experiment: Experiment
    sample: str | None

    @property
    def inputs(self) -> list[Path]:
        """The user's files and folders on this machine that the steps read."""
        family = family_of_task(self.arguments["task"])
        names = (*(f"{kind}_file" for kind in SPLITS), "vocabulary", *(() if self.sample else ("data",)))
        given = {name: self.arguments.get(name) for name in names}
        named = [place_of(path) if name == "vocabulary" else path for name, path in given.items() if path]
        if not any(map(self.arguments.get, PATHS)):  # the configuration names several for a split
            named += [path for paths in family.named_tables(self.experiment.task).values() for path in paths]
        named = [path for path in named if "://" not in path]
        here = [place for path in named for place in (readable_places(path) if family.own_tables else [Path(path)])]
        here += family.further_folders(here)
        checkpoint = self.experiment.task.init_checkpoint
        if checkpoint and "://" not in checkpoint:  # of several files, with its settings beside it or above
            here.append(Path(whole_folder(checkpoint)))
        return here

    def fingerprint(self) -> str:
        """What tells the files that the steps read from their earlier or later selves.

        Of files here the content counts, which is read in less time than preprocessing takes for it; else see `storage.fingerprint`.

        Raises:
            InputError: one of them is not there.
            ServiceError: a bucket cannot be asked.
        """
        digest, files = hashlib.sha256(), self._files()
        for path in files:
            try:
                version = storage.fingerprint([path]) if "://" in path else integrity.facts_of_file(path)["sha256"]
            except OSError as error:
                raise InputError(
                    f"{path}: is read by this run and cannot be read ({error.strerror}); put it back, or "
                    "make it readable"
                ) from None
            digest.update(os.fsencode(f"{path}\0{version}\n"))
        here = [Path(path) for path in files if "://" not in path]
        for folder in family_of_task(self.arguments["task"]).further_folders(here):
            digest.update(storage.fingerprint([str(folder)]).encode())
        if vocabulary := self.arguments["vocabulary"]:
            digest.update((LocalFiles().digest(vocabulary) or storage.fingerprint([vocabulary])).encode())
        if checkpoint := self.experiment.task.init_checkpoint:
            # Of a folder here only the files, as the runs may lie in it; a model's manifest stands for what is below.
            is_folder = "://" not in checkpoint and Path(checkpoint).is_dir()
            inside = sorted(str(path) for path in Path(checkpoint).iterdir() if path.is_file()) if is_folder else []
            digest.update(storage.fingerprint(inside or [checkpoint]).encode())
        return digest.hexdigest()

    def _files(self) -> list[str]:
        """The files of the user's data, of folders and patterns those that preprocessing reads."""
        if self.sample:
            return []
        family = family_of_task(self.arguments["task"])
        named = {kind: path for kind in SPLITS if (path := self.arguments[f"{kind}_file"])}
        section = family.preprocessing_settings(self.experiment.task).get("section", {})
        inputs = Inputs(self.arguments["data"], named, section)
        if family.reads_tables(inputs):
            return sorted({path for paths in family.find_tables(inputs, files_of_tables).values() for path in paths})
        sources, _ = locate_sources(
            self.arguments["task"], inputs.path or None, {kind: named.get(kind) for kind in SPLITS}
        )
        return [source.path for source in sources]
