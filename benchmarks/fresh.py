"""A classifier with fresh weights: a model folder as training leaves it, and its SavedModel, written by the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import samples

from bigbird.support.precision import Precision


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: of the SavedModel.
        model: the Keras model in it.
        buckets: the lengths it pads to, in tokens.
    """

    folder: Path
    model: Any
    buckets: list[int]


def export_classifier(
    source: samples.Source, folder: Path, max_length: int, encoder: Mapping[str, int], precision: Precision = "float32"
) -> Exported:
    """Preprocesses a few sentences, writes a model folder, exports it.

    Args:
        source: of the sentences and the vocabulary.
        folder: to work in, empty.
        max_length: in tokens.
        encoder: settings of the encoder that are not the base model's.
        precision: what it computes in.
    """
    from bigbird_components.export.export import export

    samples.write_sst2(source, folder / "dev.tsv", 200, seed=1)
    model, buckets = write_classifier(source, folder, max_length, encoder)
    export(str(folder / "model"), str(folder / "saved_model"), str(folder / "dataset"), precision=precision)
    return Exported(folder / "saved_model", model, buckets)


def write_classifier(
    source: samples.Source, folder: Path, max_length: int, encoder: Mapping[str, int]
) -> tuple[Any, list[int]]:
    """Preprocesses `dev.tsv` of the folder into `dataset`, and writes `model` as training does.

    Args:
        source: of the vocabulary.
        folder: to work in.
        max_length: in tokens.
        encoder: settings of the encoder that are not the base model's.

    Returns:
        The Keras model, and the lengths it pads to, in tokens.
    """
    import keras

    from bigbird.checkpoints.native import save_best
    from bigbird.config import load_experiment
    from bigbird.models import build_model
    from bigbird.support.artifacts import read_json, write_json
    from bigbird_components.preprocess.preprocess import preprocess

    vocabulary = folder / "given.model"
    vocabulary.write_bytes(source.vocabulary)
    preprocess(
        "sst2",
        str(folder / "dataset"),
        validation_file=str(folder / "dev.tsv"),
        vocabulary=str(vocabulary),
        max_length=max_length,
    )
    dataset = read_json(folder / "dataset" / "dataset.json", "manifest")
    config = {"vocab_size": dataset["vocabulary"]["size"], **encoder}
    data = {"seq_length": max_length}
    task = {"model": {"encoder": {"bigbird": config}, "num_classes": 2}, "train_data": data, "validation_data": data}
    experiment = load_experiment("bigbird/glue", overrides=[{"task": task}])
    keras.utils.set_random_seed(0)
    model = build_model(experiment.task)
    written = folder / "model"
    written.mkdir()
    save_best(written / "best", model, {"step": 0})
    (written / "config.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    (written / "vocab.model").write_bytes(source.vocabulary)
    manifest = {"format": 1, "task": "sst2", "num_classes": 2, "best": "best", "dataset": dataset}
    write_json(written / "model.json", manifest | {"labels": dataset["labels"], "metrics": {}})
    return model, experiment.task.buckets
