"""A trained model reads no more of a text than it was trained on."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.serving.model_facts import read_facts
from bigbird.support.artifacts import write_json
from bigbird.tasks.registry import family_of_task
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

WORDS = "ant bee cat dog eel fox gnu hen ibis jay kite lynx mole newt owl pig quail rat seal toad".split()
SIZES = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "block_size": 16}
TASKS = {
    "sst2": ("glue", {"labels": ["0", "1"]}, {}),
    "classification": (
        "classification",
        {"labels": ["0", "1"], "kind": "single", "pairs": False, "long_documents": "windows", "window_stride": 48},
        {"kind": "single", "labels": ["0", "1"], "model": {"num_classes": 2}},
    ),
    "token_labels": (
        "token_labels",
        {"labels": ["A"], "window_stride": 48, "units": "words"},
        {"labels": ["A"]},
    ),
    "squad_v1": ("squad", {"version_2": False, "doc_stride": 48, "query_length": 8}, {}),
    "triviaqa_wikipedia": ("triviaqa", {"doc_stride": 48, "query_length": 8}, {}),
}


class Model:
    """Stands in for a trained model: notes the lengths that it is asked, and scores every row."""

    weights = ()

    def __init__(self, classes):
        self.classes, self.lengths = classes, []

    def __call__(self, features, training):
        ids = tf.cast(features["input_word_ids"], tf.float32)
        self.lengths.append(ids.shape[1])
        if self.classes is None:
            return {"start_logits": ids, "end_logits": ids}
        logits = ids[:, :, tf.newaxis] * tf.range(1.0, self.classes + 1)
        return {"logits": 1.0 + (logits if self.classes == 3 else tf.reduce_mean(logits, axis=1))}


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_vocabulary([" ".join(WORDS)] * 50, 90))


@pytest.fixture(params=TASKS)
def trained(request, vocabulary):
    """A model of each family, trained at 32 tokens on a dataset that allows 64."""
    from bigbird.serving.trained import Trained

    kind, facts, task = TASKS[request.param]
    data = {"seq_length": 32, "global_batch_size": 8}
    model = {"encoder": {"bigbird": SIZES | {"max_position_embeddings": 64}}, **task.get("model", {})}
    tree = {"task": {**task, "model": model, "train_data": data, "validation_data": data, "bucket_lengths": [16, 32]}}
    stated = {"file": "vocab.model", "sha256": vocabulary.sha256, "size": vocabulary.size, "lower_case": False}
    manifest = {"task": request.param, "splits": {}, "max_length": 64, "vocabulary": stated, **facts}
    dataset = DatasetManifest.model_validate(manifest)
    model_manifest = ModelManifest(task=request.param, labels=dataset.labels, dataset=dataset)
    classes = {"token_labels": 3, "squad": None, "triviaqa": None}.get(kind, 2)
    experiment = load_experiment(f"bigbird/{kind}", overrides=[tree])
    family = family_of_task(request.param)
    return Trained("float32", Model(classes), model_manifest, request.param, dataset, experiment, vocabulary, family)


def test_texts_are_cut_to_what_the_model_was_trained_on(trained):
    """A longer row would be in no bucket, and its answer made of zeros."""
    assert trained.max_length == 32
    module = trained.module()
    function = module.signatures()["serving_default"]
    text = tf.constant([" ".join(WORDS[i % 20] for i in range(80))])
    positional, named = function.get_concrete_function().structured_input_signature
    names = list(named) or [spec.name for spec in positional]
    short = tf.constant(["ant bee"])
    answers = function(**{name: short if name == "question" else text for name in names})
    assert max(trained.model.lengths) == 32
    if "logits" in answers:
        assert (np.abs(answers["logits"].numpy()) >= 1).all()
    elif "answer" in answers:
        assert answers["answer"].numpy()[0]
        assert answers["score"].numpy()[0] > 0
    else:
        assert answers["spans/label"].shape[1] > 0
    assert trained.manifest.dataset.max_length == trained.dataset.max_length == 64  # as it was trained


def test_a_layout_above_the_longest_bucket_is_refused(trained):
    with pytest.raises(ValueError, match="texts are cut to 64 tokens; expected at most 32, the longest bucket"):
        trained.family.serving_module(trained.model, trained.manifest, trained.experiment.task, trained.vocabulary)


def test_what_is_said_of_a_model_is_what_it_reads(trained, tmp_path):
    """So that texts which it cuts are counted as such."""
    (tmp_path / "config.yaml").write_text(trained.experiment.to_yaml(), encoding="utf-8")
    trained.manifest.write(tmp_path)
    assert read_facts(tmp_path).dataset.max_length == 32
    exported = {
        "format": 1,
        "task": trained.task,
        "buckets": [16, 32],
        "dataset": trained.dataset.to_json(),
        "signatures": {"serving_default": {"inputs": {}, "outputs": {}}},
    }
    (tmp_path / "export").mkdir()
    write_json(tmp_path / "export" / "signature.json", exported)
    assert read_facts(tmp_path / "export").dataset.max_length == 32
