"""The SavedModel answers raw text as evaluation did, alone, in any batch; and a wrong one is never left behind."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from bigbird.records import features
from bigbird.scoring import read_examples
from bigbird.support.artifacts import read_json, write_manifest
from bigbird.support.errors import InputError
from bigbird.support.integrity import content
from bigbird_components.export import checker as checker_module
from bigbird_components.export.checker import Checker
from bigbird_components.export.export import export

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

BATCH = 7


@pytest.fixture(scope="module")
def loaded():
    """Function (folder) -> SavedModel, loaded once for all tests here."""
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    models = {}

    def load(folder):
        if folder not in models:
            models[folder] = tf.saved_model.load(str(folder))
        return models[folder]

    return load


def _ask(model, **texts):
    answers = model.signatures["serving_default"](**{name: tf.constant(value) for name, value in texts.items()})
    return {name: value.numpy() for name, value in answers.items()}


def test_every_dev_examples_label_and_probabilities_are_evaluations(classified, loaded):
    model = loaded(classified / "saved_model")
    texts = [example["text_a"] for example in read_examples(classified / "dataset", "validation")]
    rows = [line.split("\t") for line in (classified / "evaluation" / "predictions.tsv").read_text().splitlines()]
    header, rows = rows[0], rows[1:]
    assert header == ["id", "prediction", "label", "p(0)", "p(1)"]
    assert len(rows) == len(texts) == 60
    assert len({row[1] for row in rows}) == 2
    for start in range(0, len(texts), BATCH):
        answers = _ask(model, text_a=texts[start : start + BATCH])
        evaluated = rows[start : start + BATCH]
        assert [label.decode() for label in answers["label"]] == [row[1] for row in evaluated]
        expected = np.array([[float(cell) for cell in row[3:]] for row in evaluated])
        np.testing.assert_allclose(answers["probabilities"], expected, atol=2e-6)  # written with six digits


def test_every_dev_pairs_class_or_number_is_evaluations(paired, loaded):
    """Pairs are cut to the length from the longer text, as in preprocessing."""
    model = loaded(paired / "saved_model")
    examples = list(read_examples(paired / "dataset", "validation"))
    lines = (paired / "evaluation" / "predictions.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert len(rows) == len(examples) == 60
    assert read_json(paired / "dataset" / "dataset.json", "manifest")["splits"]["validation"]["truncated"] > 5
    for start in range(0, 60, BATCH):
        batch, evaluated = examples[start : start + BATCH], rows[start : start + BATCH]
        answers = _ask(model, **{name: [example[name] for example in batch] for name in ("text_a", "text_b")})
        if "score" in answers:
            expected = [float(row["prediction"]) for row in evaluated]
            np.testing.assert_allclose(np.clip(answers["score"], 0, 5), expected, atol=6e-4)  # three digits
        else:
            assert [label.decode() for label in answers["label"]] == [row["prediction"] for row in evaluated]
            expected = [[float(row["p(0)"]), float(row["p(1)"])] for row in evaluated]
            np.testing.assert_allclose(answers["probabilities"], expected, atol=2e-6)


def test_every_dev_questions_answer_and_span_are_evaluations(answered, loaded):
    model = loaded(answered / "saved_model")
    asked = [
        (question["id"], question["question"], line["context"])
        for line in read_examples(answered / "dataset", "validation")
        for question in line["questions"]
    ]
    predictions = read_json(answered / "evaluation" / "predictions.json", "predictions")
    nbest = read_json(answered / "evaluation" / "nbest.json", "n-best")
    manifest = read_json(answered / "dataset" / "dataset.json", "manifest")
    windows = sum(
        1
        for name in manifest["splits"]["validation"]["files"]
        for _ in features.read_records(answered / "dataset" / name)
    )
    assert windows > 1.3 * len(asked) == 1.3 * len(predictions)
    for start in range(0, len(asked), BATCH):
        ids, questions, contexts = (list(column) for column in zip(*asked[start : start + BATCH], strict=True))
        answers = _ask(model, question=questions, context=contexts)
        for row, key in enumerate(ids):
            text = answers["answer"][row].decode()
            assert text == predictions[key]
            first, last = answers["start"][row], answers["end"][row]
            assert contexts[row][first:last] == text
            if text:
                best = next(candidate for candidate in nbest[key] if candidate["text"])
                assert (first, last) == (best["start"], best["end"])
                assert answers["score"][row] == pytest.approx(best["score"], abs=1e-4)


def test_an_answer_does_not_depend_on_its_companions_nor_on_the_batch(classified, loaded):
    model = loaded(classified / "saved_model")
    texts = [example["text_a"] for example in read_examples(classified / "dataset", "validation")][:12]
    together = _ask(model, text_a=texts)["logits"]
    alone = np.concatenate([_ask(model, text_a=[text])["logits"] for text in texts])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5)
    assert _ask(model, text_a=tf.zeros([0], tf.string))["logits"].shape == (0, 2)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "x" * 5000, "\u0000", "🦉 ∑ ﷽", "[CLS] [SEP] <s>"])
def test_any_text_gets_an_answer(classified, loaded, text):
    answers = _ask(loaded(classified / "saved_model"), text_a=[text])
    assert np.isfinite(answers["logits"]).all()
    assert answers["probabilities"].sum() == pytest.approx(1.0)


def test_broken_utf8_is_answered_as_its_replacement(classified, loaded):
    model = loaded(classified / "saved_model")
    broken, repaired = _ask(model, text_a=[b"a \xff tree"]), _ask(model, text_a=["a \ufffd tree"])
    np.testing.assert_array_equal(broken["logits"], repaired["logits"])


def test_the_signature_on_ids_gives_what_the_text_gives(classified, loaded):
    model = loaded(classified / "saved_model")
    manifest = read_json(classified / "dataset" / "dataset.json", "manifest")
    (name,) = manifest["splits"]["validation"]["files"]
    texts = [example["text_a"] for example in read_examples(classified / "dataset", "validation")]
    for number, data in enumerate(features.read_records(classified / "dataset" / name)):
        if number >= 10:
            break
        record = features.decode(data)
        ids = np.array(record["input_ids"], np.int32)
        padded = np.pad(ids, (0, 3))[None]  # any padded length
        answers = model.signatures["ids"](
            input_word_ids=tf.constant(padded),
            input_mask=tf.constant(np.pad(np.ones_like(ids), (0, 3))[None]),
            input_type_ids=tf.constant(np.zeros_like(padded)),
        )
        expected = _ask(model, text_a=[texts[int(np.ravel(record["example_id"])[0])]])["logits"]
        np.testing.assert_allclose(answers["logits"].numpy(), expected, rtol=0, atol=1e-5)


def _assert_described(stages, answered_with):
    """That the manifest says how to ask, in a program that runs as it stands: `answered_with` runs it and gives its outputs."""
    signature = read_json(stages / "saved_model" / "signature.json", "signature")
    for described in signature["signatures"].values():
        for side in ("inputs", "outputs"):
            for spec in described[side].values():
                assert spec["meaning"] and spec["dtype"] and spec["shape"][0] is None
    code = f"FOLDER = {str(stages / 'saved_model')!r}\n{signature['example']}"
    assert answered_with(code) == sorted(signature["signatures"]["serving_default"]["outputs"])


def _by_itself(code):
    """In a process that has nothing of this project."""
    command = [sys.executable, "-c", f"{code}\nimport json; print(json.dumps(sorted(answers)))"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def _here(code):
    names = {}
    exec(code, names)
    return sorted(names["answers"])


def test_the_manifest_of_a_classifier_says_how_to_ask_and_its_example_runs(classified):
    _assert_described(classified, _by_itself)


def test_the_manifest_of_a_reader_says_how_to_ask_and_its_example_runs(answered):
    _assert_described(answered, _here)  # the program is the same but for the inputs' names; a process takes seconds


def test_the_recorded_request_is_the_datasets_and_its_answers_are_checked(classified, tmp_path):
    request = read_json(classified / "saved_model" / "request.json", "request")
    texts = [example["text_a"] for example in read_examples(classified / "dataset", "validation")]
    assert request == {"text_a": texts[:4]}
    copy = tmp_path / "saved_model"
    shutil.copytree(classified / "saved_model", copy)
    with Checker() as checker:
        checker.check(copy)
    response = read_json(copy / "response.json", "response")
    response["probabilities"][0][0] += 0.01
    (copy / "response.json").write_text(json.dumps(response))
    with Checker() as checker, pytest.raises(RuntimeError, match="its probabilities is"):
        checker.check(copy)


def test_a_model_is_exported_in_the_precision_that_is_asked_for(classified, tmp_path):
    assert read_json(classified / "saved_model" / "signature.json", "manifest")["precision"] == "float32"
    manifest = export(
        str(classified / "model"), str(tmp_path / "out"), str(classified / "dataset"), precision="bfloat16"
    )
    assert manifest.precision == "bfloat16"
    before, now = (
        read_json(folder / "response.json", "response") for folder in (classified / "saved_model", tmp_path / "out")
    )
    assert now["label"] == before["label"]
    difference = np.abs(np.array(now["logits"]) - np.array(before["logits"])).max()
    assert 1e-5 < difference < 0.1
    with Checker() as checker:  # answers what it was recorded to, in a process of its own
        checker.check(tmp_path / "out")


def test_a_check_that_is_not_asked_for_ends_with_its_block():
    with Checker() as checker:
        process = checker._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_saved_model_that_fails_its_check_is_not_left_behind(classified, tmp_path, monkeypatch):
    failing = tmp_path / "check.py"
    failing.write_text("import sys; sys.exit('its label is wrong')")
    monkeypatch.setattr(checker_module, "CHECK", failing)
    with pytest.raises(RuntimeError, match="its label is wrong"):
        export(str(classified / "model"), str(tmp_path / "out"), str(classified / "dataset"))
    assert list(tmp_path.iterdir()) == [failing]


def test_a_classifiers_graph_is_saved_once_and_without_gradients(classified):
    """Else loading takes several times as long, and what it reads stays in memory as long as the process lives."""
    _check_graph(classified / "saved_model")


def test_a_readers_graph_is_saved_once_and_without_gradients(answered):
    _check_graph(answered / "saved_model")


def _normalizes(function):
    return any(node.op == "Rsqrt" for node in function.node_def)  # of a layer norm


def _check_graph(folder):
    graph = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    nodes = [node for function in graph.graph_def.library.function for node in function.node_def]
    parts = [function for function in graph.graph_def.library.function if _normalizes(function)]
    buckets = read_json(folder / "signature.json", "manifest")["buckets"]
    assert len(parts) == 2 * len(buckets), "embeddings and a layer, which all layers share, once for each length"
    assert len(nodes) > 300 and not [node.name for node in nodes if "_gradient_op_type" in node.attr]
    saved = [re.sub(r"__inference_|_\d+$", "", name) for name in graph.object_graph_def.concrete_functions]
    of_tables = {"_creator", "_initializer", "_destroyer"}  # of a resource
    signatures = read_json(folder / "signature.json", "manifest")["signatures"]
    assert [name for name in saved if name not in of_tables] == ["signature_wrapper"] * len(signatures)


def test_another_datasets_vocabulary_or_task_is_refused(classified, tmp_path):
    shutil.copytree(classified / "dataset", tmp_path / "dataset")
    manifest = read_json(tmp_path / "dataset" / "dataset.json", "manifest")
    for change, message in (
        ({"task": "cola"}, "its task is cola, but the model was trained on sst2"),
        ({"vocabulary": {**manifest["vocabulary"], "sha256": "0" * 64}}, f"its vocabulary is {'0' * 64}"),
    ):
        write_manifest(tmp_path / "dataset", "dataset", content({**manifest, **change}))
        with pytest.raises(InputError, match=message):
            export(str(classified / "model"), str(tmp_path / "out"), str(tmp_path / "dataset"))
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_kept_unless_told_otherwise(classified, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="out"):
        export(str(classified / "model"), str(out))
    assert (out / "mine.txt").read_text() == "keep"


def test_without_a_dataset_the_request_is_made_up_and_the_model_is_the_same_under_its_own_address(
    classified, tmp_path, loaded
):
    export(str(classified / "model"), str(tmp_path / "out"), model_uri="gs://bucket/run/model")
    given, other = (
        read_json(folder / "signature.json", "signature")["trained_model"]
        for folder in (classified / "saved_model", tmp_path / "out")
    )
    assert (given, other) == (str(classified / "model"), "gs://bucket/run/model")
    text = ["a lovely tree"]
    first, second = (_ask(loaded(folder), text_a=text) for folder in (tmp_path / "out", classified / "saved_model"))
    np.testing.assert_allclose(first["logits"], second["logits"], rtol=0, atol=1e-6)


def test_a_model_folder_that_is_not_whole_is_named(tmp_path):
    Path(tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="model"):
        export(str(tmp_path / "model"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
