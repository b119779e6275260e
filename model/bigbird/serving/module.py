"""A trained model as the module of its task: what goes into a SavedModel."""

from __future__ import annotations

from typing import Any

from bigbird.config import Experiment, SquadTask, TriviaQATask
from bigbird.serving import classification, question_answering
from bigbird.tasks.glue import TASKS
from bigbird.tasks.squad import WindowOptions
from bigbird.vocabulary import Vocabulary

Module = classification.Classifier | question_answering.Reader


def build_module(model: Any, manifest: dict[str, Any], experiment: Experiment, vocabulary: Vocabulary) -> Module:
    """A model with its tokenizer in front and its decoding behind.

    Args:
        model: as `load_model` gives it.
        manifest: of the model folder; its `dataset` says how the records were made.
        experiment: of the model folder.
        vocabulary: the model's.

    Returns:
        The module; `signatures()` gives the functions to save.
    """
    task, dataset = experiment.task, manifest["dataset"]
    if isinstance(task, SquadTask):
        return question_answering.Reader(
            model,
            vocabulary,
            buckets=task.buckets,
            windows=_windows(dataset),
            n_best_size=task.n_best_size,
            max_answer_length=task.max_answer_length,
            null_threshold=task.null_score_diff_threshold if dataset["version_2"] else None,
        )
    if isinstance(task, TriviaQATask):
        return question_answering.DocumentReader(
            model,
            vocabulary,
            buckets=task.buckets,
            windows=_windows(dataset),
            top_k=task.top_k,
            max_width=task.max_answer_width,
        )
    return classification.Classifier(
        model,
        vocabulary,
        buckets=task.buckets,
        max_length=dataset["max_length"],
        pairs=len(TASKS[manifest["task"]].text_columns) == 2,
        labels=manifest["labels"],
    )


def _windows(dataset: dict[str, Any]) -> WindowOptions:
    return WindowOptions(**{name: dataset[name] for name in ("max_length", "doc_stride", "query_length")})


def meanings(module: Module) -> dict[str, str]:
    """What each input and output of the module's signatures is."""
    return question_answering.MEANINGS if isinstance(module, question_answering.Reader) else classification.MEANINGS
