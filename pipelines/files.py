"""The files that a run names: on this machine, or in a bucket, looked up before anything is started."""

from __future__ import annotations

import datetime
import glob
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from bigbird.checkpoints import places
from bigbird.checkpoints.beside import Carried, vocabulary_of
from bigbird.checkpoints.encoders import start_from
from bigbird.checkpoints.reading import NOT_DOWNLOADED, layout_of, nothing_in, place_of
from bigbird.config import Experiment
from bigbird.storage import SERVICES, entry_of, is_reachable, matches_here, names_in_bucket, read_bytes, service_of
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import resolved
from bigbird.tasks.official_files import official_files
from bigbird.tasks.raw_input import TABLE_KEYS, Inputs
from bigbird.tasks.registry import family_of_task
from bigbird.text.files import EXPECTED, examine_vocabulary, find_vocabulary, read_vocabulary
from bigbird_components.model_names import REGISTRY, check_model_name
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.inputs import with_date
from bigbird_pipelines.team_settings import TeamSettings

_VOCABULARY_BYTES = 64 * 2**20
_PATIENCE_S = 20.0  # with a service: minutes, as stages wait, are long for a typing user
_ESCAPED = re.compile(r"\[([*?[])\]")  # how a pattern has a character that is none of its own


class LocalFiles:
    """Files of this machine, by their one absolute name; an address such as gs://… stays as it is."""

    warnings: Sequence[str] = ()

    def folder(self, option: str, path: str, task: str, named: Collection[str]) -> str:
        """A folder that exists."""
        return self._existing(option, path, "folder")

    def file(self, option: str, path: str) -> str:
        """A file that exists."""
        return self._existing(option, path, "file")

    def vocabulary(self, option: str, path: str) -> str:
        """A vocabulary's file, or a folder that holds one."""
        if not path or "://" in path or not Path(path).is_dir():
            return self.file(option, path)
        read_vocabulary(path)
        return str(_canonical(Path(path)))

    def checkpoint(self, option: str, path: str) -> str:
        """A folder, a file, or the common beginning of several files' names."""
        if "://" in path:
            service_of(path)
        if not path or "://" in path:
            return path
        full = _canonical(Path(path))
        if not full.exists() and not any(full.parent.glob(f"{glob.escape(full.name)}.*")):
            raise InputError(
                f"{option} {path}: no such file or folder, and no files whose names begin with it. {NOT_DOWNLOADED}"
            )
        return str(full)

    def check_weights(self, experiment: Experiment) -> int:
        """Checks weights here, but TensorFlow's: its import takes seconds, so that training checks those."""
        path = experiment.task.init_checkpoint
        if not path or "://" in path or path.startswith(REGISTRY):
            return 0
        path = place_of(path)
        if layout_of(path, places.listdir(path), places.exists) in ("tensorflow", "tensorflow_folder"):
            return 0
        return start_from(path, experiment.task)[1].encoder.vocab_size

    def count_pieces(self, vocabulary: str) -> int:
        """The pieces of a vocabulary here."""
        if not vocabulary or "://" in vocabulary:
            return 0
        found = examine_vocabulary(vocabulary)
        return found.kind.count_pieces(found.content, found.file)

    def carried(self, checkpoint: str) -> Carried | None:
        """What lies beside weights here; a bucket is not looked into."""
        return None if "://" in checkpoint else vocabulary_of(checkpoint)

    def digest(self, vocabulary: str) -> str:
        """The SHA-256 of a vocabulary here."""
        return "" if "://" in vocabulary else examine_vocabulary(vocabulary).sha256

    def names(self, path: str) -> list[str]:
        """The names of the files in a folder or of a pattern; else that of the path."""
        if "://" in path:
            return [_last(path)]
        if Path(path).is_dir():
            return storage.list_names(path)
        matches = [] if Path(path).exists() else matches_here(path)
        return [_last(match) for match in sorted(matches)] or [_last(path)]

    def tables(self, task: str, inputs: Inputs) -> Inputs:
        """Tables that exist; their formats and the data section are checked too."""
        found = with_table_paths(inputs, lambda _, path: table_path(path))
        if not any("://" in path for path in table_paths(found)):
            family_of_task(task).find_tables(found, storage)
        return found

    def _existing(self, option: str, path: str, expected: Literal["file", "folder"]) -> str:
        if not path or "://" in path:
            return path
        if not Path(path).exists():
            raise InputError(f"{option} {path}: no such {expected}")
        if Path(path).is_dir() != (expected == "folder"):
            found = "folder" if expected == "file" else "file"
            hint = "; a single file goes to --train-file or --validation-file" if found == "file" else ""
            raise InputError(f"{option} {path}: is a {found}; expected a {expected}{hint}")
        return str(_canonical(Path(path)))


def with_table_paths(inputs: Inputs, changed: Callable[[str, str], str]) -> Inputs:
    """Inputs whose paths are changed, each by the option or key that names it. The section's count where no other is given."""
    path = changed("--data", inputs.path) if inputs.path else ""
    files = {split: changed(f"--{split}-file", file) for split, file in inputs.files.items()}
    section = dict(inputs.section)
    if not (path or files):
        section |= {
            key: [changed(f"task.data.{key}", path) for path in section[key]] for key in TABLE_KEYS if section.get(key)
        }
    return Inputs(path, files, section)


def table_paths(inputs: Inputs) -> list[str]:
    """The files, folders and patterns that are read."""
    given = [path for path in (inputs.path, *inputs.files.values()) if path]
    return given or [path for key in TABLE_KEYS for path in inputs.section.get(key, [])]


def table_path(path: str) -> str:
    """A file, folder or pattern of this machine by an absolute name; an address stays as it is."""
    plain = Path(path)
    if "://" in path or not path:
        return path
    parts = plain.parts
    patterns = (number for number, part in enumerate(parts) if glob.has_magic(part))
    first = next((number for number in patterns if not Path(*parts[: number + 1]).is_dir()), None)
    if first is None or plain.exists():
        return str(_canonical(plain))
    base = str(Path(*parts[:first]).resolve())
    return "/".join([glob.escape(base).rstrip("/"), *parts[first:]])


def readable_places(path: str) -> list[Path]:
    """What must be readable so that a file, a folder or a pattern's files are: of a pattern the folder before it."""
    plain = Path(path)
    if plain.exists() or not glob.has_magic(path):
        return [plain]
    parts = plain.parts
    first = next(number for number, part in enumerate(parts) if glob.has_magic(_ESCAPED.sub("", part)))
    folder = Path(*(_ESCAPED.sub(r"\1", part) for part in parts[:first]))
    matches = map(Path, glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [folder, *sorted(match for match in matches if match.is_symlink())]


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _canonical(path: Path) -> Path:
    """Absolute and without links or `..`, so that it is the same inside a container; a file keeps its own name."""
    return resolved(path) if path.is_dir() else resolved(path.parent) / path.name


class RemoteFiles:
    """Files in buckets, looked up by the user's own account.

    Args:
        settings: of the project.
        day: for which `{date}` in a path is looked up.
        registered: whether a run registered a model of a name, as `registry:NAME`; None where the platform has no registry.
        later: whether runs start later, as a schedule's do: what depends on the day or on the registry may not be there yet.
        no_registry: why `registry:NAME` names no weights, where there is no registry.

    Attributes:
        warnings: about what was not there yet.
    """

    def __init__(
        self,
        settings: TeamSettings,
        day: datetime.datetime,
        registered: Callable[[str], bool] | None,
        later: bool = False,
        no_registry: str = "",
    ):
        self._settings, self._day, self._registered, self._later = settings, day, registered, later
        self._no_registry = no_registry
        self._schemes = ("gs",) if registered else tuple(SERVICES)  # Vertex AI's steps have credentials for no other
        self._digests: dict[str, str] = {}  # of the vocabularies that were looked at
        self.warnings: list[str] = []

    def folder(self, option: str, path: str, task: str, named: Collection[str]) -> str:
        """A folder that holds the task's official files, but for the splits whose files are named one by one."""
        address = self._address(option, path)
        if not address:
            return path
        names = self._names(address)
        if not names and self._not_yet(path, f"{option} {path}: {address} holds nothing yet"):
            return path
        if not names:
            raise InputError(f"{option} {path}: {address} holds nothing; expected the folder with the task's files")
        inner = family_of_task(task).inner_folder(task, names)
        names = self._names(f"{address.rstrip('/')}/{inner}") if inner else names
        official_files(task, f"{option} {path}", names, named)
        return path

    def file(self, option: str, path: str) -> str:
        """A file that exists."""
        address = self._address(option, path)
        if address and self._size(address) is None:
            problem = f"{option} {path}: {address}: no such file"
            if not self._not_yet(path, problem):
                raise InputError(problem)
        return path

    def names(self, path: str) -> list[str]:
        """The names of the files in a folder; else that of the path."""
        address = with_date(path, self._day)
        name = _last(address)
        if not is_reachable(address) or re.search(r"[*?[]|\.\w+$", name):
            return [name]
        return sorted(self._names(address, folders=False)) or [name]

    def tables(self, task: str, inputs: Inputs) -> Inputs:
        """Tables that exist, one file, folder or pattern for a split; their formats and the data section are checked too."""
        own = inputs.path or inputs.files
        if not own and any(len(inputs.section.get(key, [])) > 1 for key in TABLE_KEYS):
            raise InputError(
                "task.data: names several files, folders or patterns for a split; expected one, by which a run sees that files have "
                "changed. Give a folder or a pattern such as gs://BUCKET/data/*.csv"
            )
        found = with_table_paths(inputs, self._address)
        try:
            family_of_task(task).find_tables(found, _TablesInBucket(self))  # type: ignore[arg-type]  # none is opened
        except InputError as error:
            if not any(self._not_yet(path, str(error)) for path in table_paths(inputs)):
                raise
        return inputs

    def vocabulary(self, option: str, path: str) -> str:
        """A vocabulary with BigBird's special pieces: a file, or a folder that holds one."""
        from bigbird.text.vocabulary import Vocabulary

        address = self._address(option, path)
        if address:
            size, store = self._size(address), _Bucket(self._names, self._content, self._day)
            inside = find_vocabulary(store.names(address)) if size is None else ""
            if inside:
                address = f"{address.rstrip('/')}/{inside}"
                size = self._size(address)
            if size is None and self._not_yet(path, f"{option} {path}: {address}: no such file"):
                return path
            if size is None or size > _VOCABULARY_BYTES:
                found = "no such file" if size is None else f"has {size:,} bytes"
                raise InputError(f"{option} {path}: {found}; expected {EXPECTED}")
            self._digests[path] = Vocabulary(read_vocabulary(address, store)[1], name=f"{option} {path}").sha256
        return path

    def carried(self, checkpoint: str) -> Carried | None:
        """What lies beside weights in a bucket, on the day of the first run."""
        return vocabulary_of(checkpoint, _Bucket(self._names, self._content, self._day))

    def digest(self, vocabulary: str) -> str:
        """The SHA-256 of a vocabulary that was there when it was looked up."""
        return self._digests.get(vocabulary, "")

    def check_weights(self, experiment: Experiment) -> int:
        """Weights in a bucket are not read before training."""
        del experiment
        return 0

    def count_pieces(self, vocabulary: str) -> int:
        """Needed for weights that were read only."""
        del vocabulary
        return 0

    def checkpoint(self, option: str, path: str) -> str:
        """Weights of a kind that training reads, told by the names of the files; or a registered model."""
        if path.startswith(REGISTRY):
            if self._registered is None:
                raise InputError(f"{option} {path}: {self._no_registry}")
            name = path.removeprefix(REGISTRY)
            check_model_name(name, f"{option} {REGISTRY}NAME, where NAME is")
            if not self._registered(name):
                problem = f"{option} {path}: the project's registry in {self._settings.region} has no such model"
                if not self._later:
                    raise InputError(f"{problem}; a run above its threshold registers one, under --model-name")
                self.warnings.append(f"{problem} yet")
            return path
        address = place_of(self._address(option, path)) if path else ""
        if address:
            names = self._names(address)
            known = layout_of(address, names, lambda file: self._size(file) is not None)
            if known is None and self._not_yet(path, f"{option} {path}: no checkpoint there yet"):
                return path
            if known is None:
                shown = names or self._names(address.rpartition("/")[0])
                raise InputError(f"{option} {nothing_in(path, shown)}")
        return path

    def _address(self, option: str, path: str) -> str:
        """The path with its date filled in; "" for "".

        Raises:
            InputError: it is in no bucket that the steps reach.
        """
        if path and not re.match(rf"({'|'.join(self._schemes)})://[^/]+/.", path):
            found = "" if "://" in path else "is a path of this machine, which the steps cannot see; "
            expected = " or ".join(f"{scheme}://BUCKET/PATH" for scheme in self._schemes)
            raise InputError(
                f"{option} {path}: {found}expected {expected}. Copy it there first, for example with gcloud storage cp -r"
            )
        return with_date(path, self._day)

    def _not_yet(self, path: str, problem: str) -> bool:
        """Whether something may come later; it is warned about then."""
        if self._later and with_date(path, self._day) != path:
            self.warnings.append(problem)
            return True
        return False

    def _size(self, address: str) -> int | None:
        """Bytes of an object; None where there is none."""
        found = entry_of(address, _PATIENCE_S)
        return None if found is None else found.size

    def _content(self, address: str) -> bytes:
        """An object."""
        return read_bytes(address, _PATIENCE_S)

    def _names(self, address: str, folders: bool = True) -> set[str]:
        """Names of what lies directly in a folder: files, and folders where they are wanted."""
        return names_in_bucket(address, folders=folders, patience_s=_PATIENCE_S)


class _TablesInBucket:
    """Buckets as `TaskFamily.find_tables` looks into them."""

    def __init__(self, files: RemoteFiles):
        self._files = files

    def list_names(self, folder: str) -> list[str]:
        """The names of a folder's files."""
        return sorted(self._files._names(folder, folders=False))  # noqa: SLF001 - one thing with it

    def is_file(self, path: str) -> bool:
        """Whether there is a file; a name with a pattern's characters is a pattern, as the stage has it."""
        return not re.search(r"[*?[]", path) and self._files._size(path) is not None  # noqa: SLF001


class _Bucket:
    """Buckets as `bigbird.checkpoints.beside` looks into them: each folder once, `{date}` filled in."""

    def __init__(self, names: Callable[[str], set[str]], content: Callable[[str], bytes], day: datetime.datetime):
        self._list, self._content, self._day = names, content, day
        self._seen: dict[str, set[str]] = {}

    def names(self, folder: str) -> set[str]:
        """What a folder holds."""
        if folder not in self._seen:
            self._seen[folder] = self._list(with_date(folder, self._day))
        return self._seen[folder]

    def read(self, file: str) -> bytes:
        """A file's content."""
        return self._content(with_date(file, self._day))
