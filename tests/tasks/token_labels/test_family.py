"""From texts to spans: what evaluation finds in a document is what the exported model, `predict` and the server find."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.checkpoints.native import save_best
from bigbird.config import Experiment, load_experiment, replace
from bigbird.data.dataset import evaluation_dataset
from bigbird.data.record_files import split_files
from bigbird.manifests import ModelManifest
from bigbird.models import build_model
from bigbird.records import features
from bigbird.scoring import Scorer, read_examples
from bigbird.serving.saved_model import Predictor
from bigbird.serving.text_model import load_model
from bigbird.support.errors import InputError
from bigbird.tasks.token_labels.family import FAMILY, _weights
from bigbird.tasks.token_labels.model import tag_loss
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.evaluate.evaluate import compiled, run_model
from bigbird_components.export.export import export
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.register.answers import measure
from tests.components.serve.conftest import RunningServer
from tests.tasks.token_labels.texts import made_up_text

LENGTH = 32
ENCODER = {
    "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64,
    "block_size": 4, "num_rand_blocks": 1, "initializer_range": 0.5,
}  # fmt: skip
WANTED = {"Anna": "PERSON", "安娜": "PERSON", "1904": "DATE", "👩\u200d🚀": "OTHER", "e\u0301te\u0301": "OTHER"}


def document(rng):
    text, spans = made_up_text(rng, 60), []
    for part, label in WANTED.items():
        at = text.find(part)
        while at >= 0:
            spans.append([at, at + len(part), label])
            at = text.find(part, at + len(part))
    return {"text": text, "entities": sorted(spans)}


def made(folder, unit, **task):
    """A dataset of generated documents, the task's configuration and an untrained model."""
    rng = random.Random(f"documents {unit}")
    with (folder / "d.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(document(rng))}\n" for _ in range(80))
    manifest = preprocess(
        "token_labels",
        str(folder / "dataset"),
        str(folder / "d.jsonl"),
        vocabulary_size=200,
        max_length=LENGTH,
        section={"validation_fraction": 0.5},
        window_stride=20,
        units=unit,
    )
    data = {"seq_length": LENGTH, "global_batch_size": 8}
    tree = {
        "model": {"encoder": {"bigbird": ENCODER | {"vocab_size": manifest["vocabulary"]["size"]}}},
        "bucket_lengths": [16, LENGTH],
        "train_data": data,
        "validation_data": data,
        **task,
    }
    config = load_experiment("bigbird/token_labels", overrides=[{"task": tree}]).task
    config = replace(config, **FAMILY.from_dataset(config, manifest, ""))
    keras.utils.set_random_seed(1)
    return manifest, config, build_model(config)


def evaluated(folder, manifest, config, model):
    scorer = Scorer(config, manifest, folder / "dataset", "validation")
    run_model(compiled(model), config, scorer, str(folder / "dataset"), manifest, "validation", "evaluate")
    assert scorer.missing == 0
    return scorer.result()


def check_same(answers, documents):
    """Equal spans in every document, with scores as near as float32 gives them, and texts that stand at their places."""
    assert len(answers) == len(documents)
    for answer, expected in zip(answers, documents, strict=True):
        spans, wanted = answer["spans"], expected.objects()
        assert [{**span, "score": None} for span in spans] == [{**span, "score": None} for span in wanted]
        assert [span["score"] for span in spans] == pytest.approx([span["score"] for span in wanted], abs=1e-4)
        assert all(expected.text[span["start"] : span["end"]] == span["text"] != "" for span in spans)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["words", "pieces"])
def test_the_exported_model_the_server_and_predict_find_what_evaluation_finds(tmp_path, unit):
    manifest, config, model = made(tmp_path, unit)
    evaluation = evaluated(tmp_path, manifest, config, model)
    documents = evaluation.results.documents
    assert max(len(document.records) for document in documents) >= 4  # windows
    assert sum(len(document.found) for document in documents) > 20
    folder = tmp_path / "model"
    folder.mkdir()
    save_best(folder / "best", model, {"step": 1})
    described = Experiment(type="bigbird/token_labels", task=config).to_yaml()
    (folder / "config.yaml").write_text(described, encoding="utf-8")
    (folder / "vocab.model").write_bytes((tmp_path / "dataset" / "vocab.model").read_bytes())
    stated = {"task": "token_labels", "experiment_type": "bigbird/token_labels", "metrics": {}, "best": "best"}
    ModelManifest(**stated, labels=list(config.labels), dataset=manifest).write(folder)
    saved = export(str(folder), str(tmp_path / "saved"), str(tmp_path / "dataset"))
    assert set(saved["signatures"]["serving_default"]["outputs"]) == {
        f"spans/{field}" for field in ("start", "end", "label", "text", "score")
    }

    texts = [document.text for document in documents]
    predictor = Predictor(tmp_path / "saved")
    check_same(list(predictor([{"text_a": text} for text in texts])), documents)
    check_same([next(predictor([{"text_a": text}])) for text in texts[:3]], documents[:3])  # whatever stands beside
    check_same(load_model(tmp_path / "saved").predict(texts), documents)
    check_same(load_model(folder).predict(texts), documents)
    found = measure(predictor, str(tmp_path / "dataset"), manifest, "validation", "f1")
    assert found == pytest.approx(evaluation.metrics["f1"], abs=1e-9)

    server = RunningServer("--model", tmp_path / "saved").until("ready")
    try:
        answers = []
        for start in range(0, len(texts), 10):
            status, body, _ = server.post({"instances": texts[start : start + 10]})
            assert status == 200, body
            answers += body["predictions"]
    finally:
        server.stop()
    check_same(answers, documents)


def test_texts_without_a_span_or_a_letter_are_answered(tmp_path):
    manifest, config, model = made(tmp_path, "words")
    vocabulary = Vocabulary(tmp_path / "dataset" / "vocab.model")
    module = FAMILY.serving_module(model, ModelManifest(dataset=manifest), config, vocabulary)
    texts = ["", " ", "\u200b", "\r\n", "Anna\r\n", "\ufeffAnna Kern 1904 " * 20]
    answers = module.signatures()["serving_default"](text_a=tf.constant(texts))
    starts, labels = answers["spans/start"].numpy(), answers["spans/label"].numpy()
    assert starts.shape == labels.shape and not any(labels[:4].ravel())
    nothing = module.signatures()["serving_default"](text_a=tf.constant([" "]))
    assert nothing["spans/text"].shape == (1, 0)
    ids = {name: np.zeros((2, 9), np.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    ids["input_mask"][:, :5] = 1
    logits = module.signatures()["ids"](**ids)["logits"]
    assert logits.shape == (2, 9, 7) and not logits[:, 5:].numpy().any()

    # The same dataset: its records, its batches, and what a loss counts.
    (file, *_) = split_files(tmp_path / "dataset", manifest, "validation")
    batch = next(iter(evaluation_dataset([file], config)))
    records = {int(record["record_id"][0]): record for record in map(features.decode, features.read_records(file))}
    for i, tags, mask in zip(*(batch[name].numpy() for name in ("record_id", "tag_ids", "input_mask")), strict=True):
        assert tags[mask > 0].tolist() == records[int(i)]["tag_ids"].tolist() and not tags[mask == 0].any()
    lines = list(read_examples(tmp_path / "dataset", "validation"))
    kept = {(line["id"], start): label for line in lines for start, _, label in line["spans"]}
    labels = manifest.labels
    for i, record in records.items():
        for tag, start in zip(record["tag_ids"].tolist(), record["unit_starts"].tolist(), strict=True):
            if start >= 0 and (i >> 16, start) in kept:
                assert tag - 1 == 1 + 2 * labels.index(kept[i >> 16, start])
    # Every unit is read from one window.
    starts = [
        (i >> 16, start) for i, record in records.items() for start in record["unit_starts"].tolist() if start >= 0
    ]
    assert len(starts) == len(set(starts))

    # Weights, and what a configuration must not say.
    weights = _weights("balanced", manifest)
    counts = manifest.splits["train"].labels
    assert weights == pytest.approx({label: sum(counts.values()) / 3 / counts[label] for label in labels})
    with pytest.raises(InputError, match=r"task\.class_weights: has the label 'PERSONS'.*Did you mean 'PERSON'"):
        _weights({"PERSONS": 2.0}, manifest)
    with pytest.raises(InputError, match=r"task\.units is 'pieces', but the dataset's records are made with 'words'"):
        FAMILY.from_dataset(replace(config, units="pieces"), manifest, "")
    with pytest.raises(InputError, match="give a dataset folder, not bare TFRecords"):
        FAMILY.collector(config, None, None, "validation")


def test_the_loss_is_the_mean_over_the_tokens_that_count():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, 4, 5)).astype(np.float32)
    targets = np.array([[0, 1, 5, 0], [2, 2, 2, 2], [0, 0, 0, 0]], np.int32)
    log = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    weights = [1.0, 2.0, 2.0, 0.5, 0.5]
    found = np.asarray(tag_loss(logits, targets, weights))
    first = -(log[0, 1, 0] + 0.5 * log[0, 2, 4]) / 2
    assert found == pytest.approx([first, -2 * log[1, :, 1].mean(), 0.0], abs=1e-6)
    assert np.asarray(tag_loss(logits, targets))[1] == pytest.approx(-log[1, :, 1].mean(), abs=1e-6)
