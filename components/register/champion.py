"""What the registered default version, the champion, reaches on the data that the new model was evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from bigbird.support.errors import InputError, ServiceError
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.register.challenger import Challenger
from bigbird_components.register.labels import label_value, metric_label, metric_of, rounded
from bigbird_components.register.model_files import local_folder
from bigbird_components.register.registry import Version


@dataclass(frozen=True)
class ChampionMetric:
    """A champion's metric.

    Attributes:
        version: the champion's number.
        value: six digits.
        found: "recorded", its own run evaluated it on the same examples; "evaluated", it was asked them now.
    """

    version: str
    value: Decimal
    found: Literal["recorded", "evaluated"]

    def labels(self) -> dict[str, str]:
        """What the challenger's version says about it, so that a repeated step can say the same again."""
        return {
            "champion": label_value(self.version),
            "champion_value": metric_label(self.value),
            "champion_found": self.found,
        }


def from_labels(labels: dict[str, str]) -> ChampionMetric | None:
    """The champion that a version was compared with, None for a first version."""
    value = metric_of(labels.get("champion_value", ""))
    if value is None:
        return None
    found: Literal["recorded", "evaluated"] = "recorded" if labels["champion_found"] == "recorded" else "evaluated"
    return ChampionMetric(labels["champion"], value, found)


def champion_metric(champion: Version, challenger: Challenger) -> ChampionMetric:
    """The champion's metric on the challenger's evaluation data.

    Args:
        champion: the default version.
        challenger: the model to register.

    Raises:
        InputError: it cannot be found out; says why, and that nothing was registered.
        ServiceError: its bucket cannot be read.
    """
    recorded = metric_of(champion.labels.get("value", ""))
    try:
        task = champion.labels.get("task", label_value(challenger.task))
        if task != label_value(challenger.task):
            raise InputError(f"it is a model for {task!r}, the new one for {challenger.task!r}")
        if recorded is not None and champion.labels.get("evaluation") == challenger.evaluation:
            return ChampionMetric(champion.version, recorded, "recorded")
        return ChampionMetric(champion.version, rounded(_evaluate(champion, challenger)), "evaluated")
    except (InputError, ServiceError) as error:
        raise type(error)(
            f"{champion}, the default version, cannot be compared with the new model: {error}. Nothing was registered. "
            "Give the alias `default` to a version that can be evaluated, or register under another model name"
        ) from None


def _evaluate(champion: Version, challenger: Challenger) -> float:
    load_tensorflow()
    from bigbird.serving.saved_model import Predictor, open_saved_model
    from bigbird_components.register.answers import measure

    with local_folder(champion.uri) as folder:
        try:
            task = open_saved_model(folder).task
            if task != challenger.task:
                raise InputError(f"it is a model for {task!r}, the new one for {challenger.task!r}")
            predictor = Predictor(folder)
        except InputError as error:  # the folder is a copy that nobody else sees
            reason = str(error).replace(str(folder), champion.uri)
            raise InputError(f"{champion.uri}: cannot be loaded ({reason})") from None
        return measure(predictor, challenger.dataset, challenger.manifest, challenger.split, challenger.metric)
