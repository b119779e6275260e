"""What all families of classifiers share: head, what is served, what labels weigh."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bigbird.config import Task
from bigbird.manifests import DatasetManifest
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.config import ClassifierTask
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.raw_input import Line

if TYPE_CHECKING:
    from bigbird.tasks.classification.glue.scoring import GlueResults
    from bigbird.tasks.classification.scoring import ClassificationResults


class ClassifierFamily(AnsweringFamily):
    """Classes or a number from one or two texts, `text_a` and `text_b` of a line."""

    made_up_request: ClassVar[Mapping[str, Sequence[str]]] = {
        "text_a": ["a fine and moving film .", "dull from start to end ."],
        "text_b": ["it is a film .", "it is fun ."],
    }

    def texts(self, line: Line) -> Iterable[str]:
        return filter(None, (line["text_a"], line["text_b"]))

    def first_bias(self, config: Task) -> list[float] | None:
        """What the logits' bias starts at, a number for each class; None is 0."""
        return None

    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        from bigbird.models import BigBirdClassifier

        assert isinstance(config, ClassifierTask)  # noqa: S101 - a classifier's
        classes = num_classes or config.model.num_classes
        if not classes:
            raise ValueError("num_classes is not known: set task.model.num_classes or give a dataset folder")
        return BigBirdClassifier(
            config.model.encoder.bigbird,
            classes,
            use_encoder_pooler=config.model.use_encoder_pooler,
            head=config.model.head,
            pooling=config.model.pooling,
            first_bias=self.first_bias(config),
            dtype=dtype,
        )

    def count(self, results: ClassificationResults | GlueResults) -> int:
        return len(results.ids)

    def confusion(self, results: ClassificationResults | GlueResults) -> dict[str, Any] | None:
        from bigbird.tasks.metrics import confusion

        if results.gold is None or not results.labels or results.gold.ndim > 1:
            return None
        counts = confusion(results.gold, results.predicted, len(results.labels))
        return {"labels": list(results.labels), "counts": counts.tolist()}

    def signature_meanings(self) -> Mapping[str, str]:
        from bigbird.tasks.classification.serving import MEANINGS

        return MEANINGS


def resolved_weights(given: Any, manifest: DatasetManifest) -> dict[str, float] | None:
    """Weights by label; `balanced` from the training split's counts.

    Of one label each: examples / (labels * examples with it), as scikit-learn's "balanced". Of several labels, the weight of
    a label where it applies: the root of examples without it / examples with it. (The ratio itself would answer the rarest
    labels everywhere.)

    Raises:
        InputError: a weight is for a label that the dataset does not have, or the labels are numbers.
    """
    if given is None:
        return None
    labels = manifest.labels
    if not labels:
        raise InputError("task.class_weights is set, but the labels are numbers; leave it out")
    if given != "balanced":
        if foreign := [label for label in given if label not in labels]:
            near = difflib.get_close_matches(foreign[0], labels, n=1)
            hint = f" Did you mean {shown(near[0])}?" if near else ""
            raise InputError(
                f"task.class_weights: has the label {shown(foreign[0])}, which the dataset does not have; it has "
                f"{', '.join(map(shown, labels[:20]))}.{hint}"
            )
        return dict(given)
    if "train" not in manifest.splits:
        raise InputError("task.class_weights is balanced, and the dataset has no training split to count labels in")
    train = manifest.splits["train"]
    total, counts = train.examples, {label: train.labels.get(label, 1) for label in labels}
    if manifest.get("kind") == "multi":
        return {label: max(1.0, ((total - counts[label]) / counts[label]) ** 0.5) for label in labels}
    return {label: total / (len(labels) * counts[label]) for label in labels}
