"""What a run's parameters mean on the day it runs: `{date}` in paths, the registered model to start from, the files as they are.

A schedule keeps one set of parameters for all of its runs. Resolving them is a step of its own, never cached, so that the
steps after it see what is really read: the cache then knows yesterday's data from today's.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import NamedTuple

from bigbird.support.errors import InputError, ServiceError
from bigbird.support.text_files import decode, parse_json_object
from bigbird.text.files import STORED, find_vocabulary
from bigbird_components.model_names import LABEL, REGISTRY, check_model_name
from bigbird_components.preprocess import storage

_DATE = re.compile(r"\{date(?::([^{}]*))?\}")
_PATHS = ("data", "train_file", "validation_file", "test_file", "vocabulary")


class ResolvedInputs(NamedTuple):
    """The parameters, resolved.

    Attributes:
        version: digest of the raw files' names, sizes and times.
        weights_version: the same of the weights; empty without any.
    """

    data: str
    train_file: str
    validation_file: str
    test_file: str
    vocabulary: str
    init_checkpoint: str
    version: str
    weights_version: str


def resolve_inputs(
    paths: Mapping[str, str], init_checkpoint: str, time: str, project: str = "", location: str = ""
) -> ResolvedInputs:
    """Resolves a run's paths.

    Args:
        paths: data, train_file, validation_file, test_file and vocabulary; empty where not given. `{date}` in them
            becomes the day of `time` as 2026-01-31, `{date:%Y%m%d}` any form of it.
        init_checkpoint: as a path, or `registry:NAME`. A run that starts from a registered model takes its vocabulary too,
            unless another is given.
        time: when the run was due, RFC 3339; a placeholder that no backend filled in means now.
        project, location: of the Model Registry.

    Raises:
        InputError: a file is not there, or there is no such registered model.
    """
    day = run_day(time)
    resolved = {name: with_date(paths.get(name, ""), day) for name in _PATHS}
    checkpoint = with_date(init_checkpoint, day)
    if checkpoint.startswith(REGISTRY):
        checkpoint = trained_model(checkpoint.removeprefix(REGISTRY), project, location)
        resolved["vocabulary"] = resolved["vocabulary"] or f"{checkpoint}/{_vocabulary_file(checkpoint)}"
    version = storage.fingerprint([path for path in resolved.values() if path])
    weights = storage.fingerprint([checkpoint]) if checkpoint else ""
    return ResolvedInputs(**resolved, init_checkpoint=checkpoint, version=version, weights_version=weights)


def _vocabulary_file(folder: str) -> str:
    """The name of a trained model's vocabulary."""
    return find_vocabulary(storage.list_names(folder)) or STORED[0]


def run_day(time: str) -> datetime.datetime:
    """The moment that a run is for, in UTC.

    Args:
        time: RFC 3339, or a placeholder that no backend filled in.
    """
    if not time or time.startswith("{{"):
        return datetime.datetime.now(datetime.UTC)
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        raise InputError(f"run time {time!r}: not a time; expected one as 2026-01-31T04:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)


def with_date(path: str, day: datetime.datetime) -> str:
    """A path with `{date}` and `{date:FORMAT}` filled in."""
    return _DATE.sub(lambda match: day.strftime(match[1] or "%Y-%m-%d"), path)


def trained_model(name: str, project: str, location: str) -> str:
    """The trained model's folder behind the default version of a registered model.

    Raises:
        InputError: there is no such model, or its files do not say what they were exported from.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import aiplatform

    check_model_name(name, REGISTRY)
    try:
        found = aiplatform.Model.list(filter=f'display_name="{name}"', project=project, location=location)
        models = [model for model in found if model.labels.get(LABEL[0]) == LABEL[1]]
        if len(models) != 1:
            how_many = f"{len(models)} models" if models else "no model"
            raise InputError(
                f"{REGISTRY}{name}: project {project} has {how_many} of this name in {location} that a run registered; "
                "expected one. Name the weights by their path"
            )
        folder = aiplatform.Model(f"{models[0].resource_name}@default").uri
    except (GoogleAPIError, GoogleAuthError) as error:
        raise ServiceError(
            f"{REGISTRY}{name}: the Model Registry of project {project} in {location} cannot be read ({error}); the steps' service "
            "account needs roles/aiplatform.user"
        ) from None
    file, what = f"{folder}/signature.json", "manifest of the registered SavedModel"
    manifest = parse_json_object(decode(storage.read_bytes(file, what), file, f"the {what}"), file, f"the {what}")
    model = manifest.get("trained_model")
    if not isinstance(model, str) or not model:
        raise InputError(
            f"{REGISTRY}{name}: {folder}/signature.json does not say which trained model it was exported from; "
            "export it with this version of the pipeline, or name the weights by their path"
        )
    return model
