"""`load_model` and `predict` on what the stages wrote: an export, a trained model, a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bigbird
from bigbird.serving import text_model
from bigbird.support.errors import InputError
from bigbird.tasks.classification.encoding import Layout, lay_out
from bigbird.text.vocabulary import Vocabulary
from bigbird_pipelines.predict import predict_command
from tests.components.conftest import _answer, classified, made_once  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

ROOT = Path(__file__).parents[2]
TEXTS = ["a great bird", "awful river 東京 then  away", "lovely " * 90]


@pytest.fixture(scope="module")
def exported(classified):  # noqa: F811
    return bigbird.load_model(classified / "saved_model")


@pytest.fixture(scope="module")
def run(classified, tmp_path_factory):  # noqa: F811
    """A run's folder, as `bigbird run` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    for name, place in (("model", "train"), ("saved_model", "export")):
        (folder / place).mkdir()
        (folder / place / name).symlink_to(classified / name)
    (folder / "run.json").write_text("{}")
    return folder


def test_a_model_says_what_it_takes(exported):
    assert repr(exported) == "TextModel(task='sst2', fields=('text_a',), labels=['0', '1'])"


def test_the_answers_are_the_commands(exported, classified, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text_a": text}) + "\n" for text in TEXTS), encoding="utf-8")
    predict_command(classified / "saved_model", file)
    answers = exported.predict(TEXTS)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == answers
    assert [answer["label"] for answer in answers] == ["1", "0", "1"]
    for answer in answers:
        assert set(answer) == {"label", "logits", "probabilities"} and set(answer["probabilities"]) == {"0", "1"}
        assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["label"]


def test_a_model_whose_precision_is_slow_here_says_so_and_answers(classified, caplog, monkeypatch):  # noqa: F811
    bigbird.load_model(classified / "saved_model")
    assert not caplog.messages
    monkeypatch.setattr(text_model, "slow_here", lambda precision: f"{precision} is slow")
    assert bigbird.load_model(classified / "saved_model").predict(TEXTS[0])["label"] == "1"
    assert "float32 is slow; `bigbird export --precision float32`" in caplog.text


def test_one_text_has_one_answer_and_a_list_has_a_list(exported):
    answers = exported.predict(TEXTS)
    assert exported.predict(TEXTS[0]) == exported.predict({"text_a": TEXTS[0]}) == answers[0]
    assert exported.predict({"text_a": TEXTS}) == answers
    assert exported.predict([{"text_a": TEXTS[0]}, *TEXTS[1:]]) == answers
    assert exported.predict(iter(TEXTS), batch_size=2) == answers
    assert exported.predict([]) == []


def test_a_trained_model_answers_as_its_export_does(exported, classified):  # noqa: F811
    trained = bigbird.load_model(classified / "model")
    assert repr(trained) == repr(exported)
    for found, expected in zip(trained.predict(TEXTS), exported.predict(TEXTS), strict=True):
        assert found["label"] == expected["label"]
        assert found["logits"] == pytest.approx(expected["logits"], abs=2e-5)


def test_a_run_stands_for_its_export_and_for_its_weights(run, exported, classified):  # noqa: F811
    assert bigbird.predict(run, TEXTS) == exported.predict(TEXTS)
    vocabulary = bigbird.load_vocabulary(run)
    assert vocabulary.serialized == (classified / "model" / "vocab.model").read_bytes()
    model = bigbird.BigBirdClassifier.from_preset(run)
    assert (model.num_classes, model.head) == (2, "model_garden")
    for answer, text in zip(exported.predict(TEXTS), TEXTS, strict=True):
        length = 32 if len(vocabulary.encode([text])[0]) <= 30 else 128  # the run's length buckets
        logits = model(bigbird.encode_texts(vocabulary, [text], length))["logits"].numpy()[0]
        assert logits.tolist() == pytest.approx(answer["logits"], abs=2e-5)
    fresh = bigbird.BigBirdClassifier.from_preset(run, num_classes=5, dropout_rate=0.0)
    assert fresh(bigbird.encode_texts(vocabulary, TEXTS, 128))["logits"].shape == (3, 5)


_ON_JAX = """
import json, sys
import keras
import bigbird
print(json.dumps([keras.backend.backend(), bigbird.predict(sys.argv[1], json.loads(sys.argv[2]))]))
try:
    bigbird.load_model(sys.argv[3])
except bigbird.InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_an_export_answers_whatever_keras_computes_with(exported, classified):  # noqa: F811
    arguments = [str(classified / "saved_model"), json.dumps(TEXTS), str(classified / "model")]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT / "model")}
    done = subprocess.run(
        [sys.executable, "-c", _ON_JAX, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    answered, refused = done.stdout.splitlines()
    assert json.loads(answered) == ["jax", exported.predict(TEXTS)]
    assert "Keras' backend is jax; export it (bigbird export) and load the export" in refused


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("  ", 'the example: text_a is "  "; expected a text that is not empty'),
        (["a", None], "example 1, counted from 0: text_a is null; expected a text"),
        (["a", float("nan")], "example 1, counted from 0: text_a is NaN; expected a text"),
        (["a", b"b"], "example 1, counted from 0: text_a is"),
        ({"text": "a"}, 'the example: has "text"; this model expects text_a'),
        ({"text_a": ["a"], "text_b": []}, "text_a has 1, text_b has 0; expected as many texts for each field"),
    ],
)
def test_what_is_no_example_is_refused(exported, texts, message):
    with pytest.raises(InputError) as error:
        exported.predict(texts)
    assert str(error.value).startswith(message)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"signature\.json"):
        bigbird.load_model(tmp_path)
    with pytest.raises(InputError, match="copy it here first"):
        bigbird.load_model("gs://bucket/runs/reviews")


@pytest.mark.integration
def test_questions_are_answered_from_their_contexts(made_once):  # noqa: F811
    folder = made_once("squad_v2", lambda folder: _answer(folder, "squad_v2", [64, 128]))
    model = bigbird.load_model(folder / "saved_model")
    assert model.fields == ("context", "question") and model.labels is None
    asked = {"question": "which colour was it ?", "context": "a tree . the colour was red . the river"}
    answer = model.predict(asked)
    assert answer["answer"] == asked["context"][answer["start"] : answer["end"]]
    columns = {name: [text, text] for name, text in asked.items()}
    assert model.predict(columns) == model.predict([asked, asked]) == [answer, answer]
    with pytest.raises(InputError, match="this model expects context and question of each example; found a str"):
        model.predict("which colour?")


@pytest.mark.parametrize("length", [8, 24, 64])
def test_texts_are_laid_out_as_records_are(length, classified):  # noqa: F811
    vocabulary = Vocabulary(classified / "model" / "vocab.model")
    others = ["never " * 9, "a tree", "the house"]
    for second in (None, others):
        found = bigbird.encode_texts(vocabulary, TEXTS, length, second)
        pieces = vocabulary.encode(TEXTS)
        pairs = [None] * 3 if second is None else [part.tolist() for part in vocabulary.encode(second)]
        for row, (a, b) in enumerate(zip(pieces, pairs, strict=True)):
            layout = Layout(length, "head", length)
            (record,) = lay_out(a.tolist(), b, layout, vocabulary.cls_id, vocabulary.sep_id)
            size, padding = len(record.ids), [0] * (length - len(record.ids))
            assert found["input_word_ids"][row].tolist() == record.ids + padding
            assert found["input_mask"][row].tolist() == [1] * size + padding
            types = [0] * record.first + [1] * (size - record.first)
            assert found["input_type_ids"][row].tolist() == types + padding
    assert {array.dtype.name for array in found.values()} == {"int32"}


def test_texts_that_do_not_fit_are_refused(classified):  # noqa: F811
    vocabulary = Vocabulary(classified / "model" / "vocab.model")
    with pytest.raises(InputError, match="length is 4; expected at least 8"):
        bigbird.encode_texts(vocabulary, TEXTS, 4)
    with pytest.raises(InputError, match="there are 3 texts and 1 second ones"):
        bigbird.encode_texts(vocabulary, TEXTS, 32, ["a"])
    with pytest.raises(InputError, match="expected a list of texts"):
        bigbird.encode_texts(vocabulary, "a tree", 32)
