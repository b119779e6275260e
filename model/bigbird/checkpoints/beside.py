"""What lies beside a checkpoint's weights: its encoder's settings and the vocabulary that it was trained with.

Our model folder has config.yaml, a vocabulary and model.json, for its `best` and `checkpoints/step-…` folders too; a
conversion has params.yaml and conversion.json, and a vocabulary where its source had one; the Model Garden keeps
params.yaml in the folder of a run. A BERT has its vocabulary beside it; published BigBird checkpoints have none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from bigbird.checkpoints import names as kinds
from bigbird.checkpoints import places, settings
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.native import STATE_FILE
from bigbird.checkpoints.tensorflow_files import TF_POINTER
from bigbird.config import BigBirdEncoderConfig
from bigbird.manifests import ConversionManifest, DatasetManifest, ModelManifest
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.integrity import check_seal
from bigbird.support.text_files import decode, parse_json, parse_json_object, shown
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.text.files import BYTE_LEVEL_FILES, Examined, Store, examine_vocabulary, find_vocabulary

_log = logging.getLogger(__name__)

RUN_CONFIG_FILE = "config.yaml"
# Where a manifest describes it.
_VOCABULARY_IN = {"model": ("dataset", "vocabulary"), "checkpoint": ("vocabulary",), "dataset": ("vocabulary",)}


class Disk:
    """This machine's files, and those of addresses such as gs://…"""

    def names(self, folder: str) -> set[str]:
        """What a folder holds."""
        if "://" in folder:
            return places.listdir(folder)
        try:
            return {file.name for file in Path(folder).iterdir()}
        except OSError:  # no folder, or one that may not be listed
            return set()

    def read(self, file: str) -> bytes:
        """A file's content."""
        return places.read(file)


@dataclass(frozen=True)
class Carried:
    """The vocabulary that a checkpoint was trained with.

    Attributes:
        folder: the folder that has it, for messages.
        file: the vocabulary; "" where only its digest is known.
        sha256: its digest.
        lower_case: whether text was lower-cased; None where nothing says so.
        own_lower_case: what the vocabulary itself does where nothing is said.
    """

    folder: str
    file: str
    sha256: str
    lower_case: bool | None
    own_lower_case: bool = False


@dataclass(frozen=True)
class HeadFacts:
    """How a checkpoint's head computes, and what its outputs mean.

    Attributes:
        labels: names of the classes, in order; none where nothing says so, or the output is a number.
        kind: single, multi or number; "" where nothing says so.
        head: model_garden, hugging_face or triviaqa; "" where nothing says so.
        pooling: cls or mean, what a classifier's head sees; "" where nothing says so.
        task: whose head it is; None where nothing says so.
        scale: of a number, the mean and standard deviation in which the model gives it; None where nothing says so.
        special_ids: of the vocabulary's special pieces, by the keys of Hugging Face's config.json.
    """

    labels: tuple[str, ...] = ()
    kind: str = ""
    head: str = ""
    pooling: str = ""
    task: kinds.Task | None = None
    scale: tuple[float, float] | None = None
    special_ids: Mapping[str, int] = field(default_factory=dict)


def head_facts(path: str, checkpoint: Checkpoint, store: Store | None = None) -> HeadFacts:
    """What a checkpoint says of its head: our model.json and config.yaml, a conversion's manifest, or Hugging Face's config.json.

    Args:
        path: what was read.
        checkpoint: as it was read.
        store: where it lies.

    Raises:
        InputError: a file that says so cannot be read.
    """
    if checkpoint.kind != "bigbird":
        told = {theirs: ours for ours, theirs in settings.PROBLEM_TYPES.items()}
        kind = told.get(str(checkpoint.settings.get("problem_type")), "")
        special = {key: checkpoint.settings.get(key) for key in settings.SPECIAL_IDS}
        return HeadFacts(
            _labels(checkpoint),
            kind,
            kinds.head_of(checkpoint.kind),
            "cls",
            checkpoint.task,
            special_ids={key: number for key, number in special.items() if isinstance(number, int)},
        )
    store = store or Disk()
    folder = folders(path, store)[-1]
    names = store.names(folder)
    if RUN_CONFIG_FILE not in names:
        return _facts_of_conversion(folder, names, store)
    manifest = ModelManifest()
    if MANIFESTS["model"] in names:  # of a run that has ended
        file, what = f"{folder}/{MANIFESTS['model']}", "a model's manifest"
        value = parse_json_object(decode(store.read(file), file, what), file, what)
        check_seal(file, value, "model manifest")
        manifest = ModelManifest.checked(value, file)
    file = f"{folder}/{RUN_CONFIG_FILE}"
    task = _section(parse_yaml_mapping(decode(store.read(file), file, "YAML"), file, "a configuration"), "task", file)
    model = _section(task, "model", file)
    labels = manifest.labels or []
    kind = task.get("kind") or ("single" if labels else "number" if manifest.num_classes == 1 else "")
    # TriviaQA's, which has no such key, is a span's with a layer under it.
    head = model.get("head") or ("triviaqa" if "output/kernel" in checkpoint.weights else "model_garden")
    scale = (_number(task, "number_mean", 0.0, file), _number(task, "number_deviation", 1.0, file))
    return HeadFacts(tuple(labels), kind, head, model.get("pooling", "cls"), scale=scale if kind == "number" else None)


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The classes' names in Hugging Face's config.json, in order."""
    named = checkpoint.settings.get("id2label")
    if not isinstance(named, dict):
        return ()
    for key in named:
        if not key.isdecimal() or len(key) > 9:
            raise InputError(
                f"{checkpoint.source}: {checkpoint.settings_file}: id2label has the key {shown(key, 40)}; expected the number of each class, "
                'as in {"0": "no", "1": "yes"}. Correct the file'
            )
    return tuple(str(named[key]) for key in sorted(named, key=int))


def _section(tree: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    """A section of our configuration, empty where it is not there."""
    value = tree.get(key)
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{file}: {key} is {shown(value, 40)}; expected a mapping")
    return value or {}


def _number(task: Mapping[str, Any], key: str, default: float, file: str) -> float:
    value = task.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{file}: task.{key} is {shown(value, 40)}; expected a number")
    return value


def _facts_of_conversion(folder: str, names: set[str], store: Store) -> HeadFacts:
    """What the manifest of a conversion into a checkpoint of ours says of the head."""
    if MANIFESTS["checkpoint"] not in names:
        return HeadFacts()
    file, what = f"{folder}/{MANIFESTS['checkpoint']}", "the manifest of a conversion"
    manifest = ConversionManifest.checked(parse_json(decode(store.read(file), file, what), file, what), file)
    if manifest.head is not None:
        task = manifest.head.task if manifest.head.task in get_args(kinds.Task) else None
        return HeadFacts(head=manifest.head.kind, pooling=manifest.head.pooling, task=cast(kinds.Task | None, task))
    source = manifest["from"]  # an earlier version's: a published head went along as it was
    return HeadFacts() if source == "bigbird" else HeadFacts(head=kinds.head_of(source), pooling="cls")


def folders(path: str, store: Store) -> list[str]:
    """The folder of a checkpoint, and after it the model folder above where the checkpoint is part of one.

    Args:
        path: a checkpoint as `read_checkpoint` takes it.
        store: where it lies.
    """
    folder = path.rstrip("/") or path
    if not store.names(folder):
        folder = _above(folder)
    found = [folder]
    if STATE_FILE in store.names(folder):  # best/ or checkpoints/step-…/
        for above in (_above(folder), _above(_above(folder))):
            if store.names(above) & {RUN_CONFIG_FILE, MANIFESTS["model"]}:
                return [folder, above]
    return found


def _above(folder: str) -> str:
    if "://" not in folder:
        return str(Path(folder).resolve().parent)
    scheme, _, rest = folder.partition("://")
    return f"{scheme}://{rest.rpartition('/')[0] or rest}"  # a bucket has nothing above it


def whole_folder(path: str) -> str:
    """The folder that holds a checkpoint and all that lies beside it."""
    above = folders(path, Disk())[-1]
    file = _settings_file(path, Disk())
    return min(above, file.rpartition("/")[0], key=len) if file else above


def settings_of(path: str, checkpoint: Checkpoint) -> tuple[dict[str, Any], str]:
    """What a checkpoint says of its encoder.

    Args:
        path: what was read.
        checkpoint: as it was read.

    Returns:
        Keys of `task.model.encoder.bigbird`, perhaps few or none; and the files that say so, for messages.

    Raises:
        InputError: a file of settings cannot be read.
    """
    file = _settings_file(path, Disk(), checkpoint.kind)
    said = (
        settings.known(settings.from_params(Disk().read(file).decode("utf-8", "replace"), file), file) if file else {}
    )
    if said and checkpoint.kind == "bigbird":  # params.yaml speaks of attention only where it is dense
        said = {"attention": {"implementation": "auto"}} | said
    if checkpoint.settings or checkpoint.kind in kinds.BERTS:
        said = settings.from_hugging_face(checkpoint.settings, checkpoint.kind) | said
        theirs = checkpoint.settings_file if checkpoint.settings else checkpoint.kind
        file = " and ".join(filter(None, [theirs, file]))
    if said:  # files speak of the epsilon only where it is another than BigBird's
        said = {"layer_norm_epsilon": BigBirdEncoderConfig.model_fields["layer_norm_epsilon"].default} | said
    return said, file


def _settings_file(path: str, store: Store, kind: str = "bigbird") -> str:
    """The nearest params.yaml, or of weights of ours config.yaml; "" where there is none."""
    found = folders(path, store)
    for folder in found:
        for name in (settings.PARAMS_FILE, RUN_CONFIG_FILE) if kind == "bigbird" else (settings.PARAMS_FILE,):
            if name in store.names(folder):
                return f"{folder}/{name}"
    run = _above(found[0])  # the Model Garden keeps its best checkpoints in a folder of the run's
    return f"{run}/{settings.PARAMS_FILE}" if {settings.PARAMS_FILE, TF_POINTER} <= store.names(run) else ""


def vocabulary_of(path: str, store: Store | None = None) -> Carried | None:
    """The vocabulary that a checkpoint was trained with, None where it carries none.

    Args:
        path: a checkpoint as `read_checkpoint` takes it.
        store: where it lies; by default on this machine, or in a bucket.

    Raises:
        InputError: a manifest is not JSON, or its vocabulary is not the file beside it.
    """
    store = store or Disk()
    for folder in folders(path, store):
        names = store.names(folder)
        stated = _stated_vocabulary(folder, names, store)
        lower_case = stated.get("lower_case") if isinstance(stated.get("lower_case"), bool) else None
        found = _vocabulary_beside(folder, names, store)
        if found is not None:
            file, sha256 = found.file, found.sha256
            if stated.get("sha256", sha256) != sha256:
                raise InputError(
                    f"{file}: is not the vocabulary that the weights were trained with; expected SHA-256 "
                    f"{str(stated['sha256'])[:64]}, found {sha256}. Put the model's own file back"
                )
            lower_case = found.lower_case if lower_case is None else lower_case
            return Carried(folder, file, sha256, lower_case, bool(found.lower_case))
        if isinstance(stated.get("sha256"), str):
            return Carried(folder, "", stated["sha256"], lower_case)
    return None


def _vocabulary_beside(folder: str, names: set[str], store: Store) -> Examined | None:
    """A folder's vocabulary. One that is not read says so, and hinders no one from reading the weights."""
    # The one of the published BigBird is left out: it has other bytes than the google-research file of the same pieces.
    found = find_vocabulary(names - {"spiece.model"})
    if not found and not names >= BYTE_LEVEL_FILES:
        return None
    try:
        return examine_vocabulary(f"{folder}/{found}" if found else folder, store)
    except InputError as error:
        _log.warning(f"{error}; the weights are read without it")
        return None


def _stated_vocabulary(folder: str, names: set[str], store: Store) -> Mapping[str, Any]:
    """What a folder's manifest says of the vocabulary."""
    for kind, keys in _VOCABULARY_IN.items():
        if MANIFESTS[kind] not in names:
            continue
        path = f"{folder}/{MANIFESTS[kind]}"
        value = parse_json(decode(store.read(path), path, f"the {kind} manifest"), path, f"the {kind} manifest")
        if isinstance(value, dict):
            check_seal(path, value, f"{kind} manifest")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict):
            return value
    return {}


def check_vocabulary(path: str, dataset: DatasetManifest | None) -> list[str]:
    """Holds a dataset's vocabulary against the one that a checkpoint's embeddings were trained for.

    Args:
        path: a checkpoint as `read_checkpoint` takes it.
        dataset: the dataset's manifest; None for bare TFRecords.

    Returns:
        A sentence where the two cannot be compared, else nothing.

    Raises:
        InputError: they differ, or text was lower-cased for one of them only.
    """
    carried = vocabulary_of(path)
    if carried is None:
        return ["the checkpoint carries no vocabulary: whether it is the records' cannot be compared"]
    if dataset is None:
        return ["the records carry no vocabulary: whether it is the checkpoint's cannot be compared"]
    found = dataset.vocabulary
    remedy = f"preprocess with --vocabulary {carried.file}" if carried.file else "preprocess with the checkpoint's"
    if found.sha256 != carried.sha256:
        raise InputError(
            f"{path}: was trained with another vocabulary than the dataset's: SHA-256 {carried.sha256} in {carried.folder}, "
            f"{found.sha256} in the dataset of task {dataset.task}. Its embeddings mean nothing there; {remedy}"
        )
    if carried.lower_case not in (None, found.lower_case):
        raise InputError(
            f"{path}: was trained on text {_cased(carried.lower_case)}, but the dataset of task {dataset.task} was made "
            f"{_cased(found.lower_case)}; preprocess {_cased(carried.lower_case)}"
        )
    return []


def _cased(lower_case: object) -> str:
    return "with --lower-case" if lower_case else "with --no-lower-case"
