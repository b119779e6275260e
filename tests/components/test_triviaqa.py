"""The whole chain on a small TriviaQA of the official layout: raw files, training, evaluation, export."""

import json
import random

import numpy as np
import pytest

from bigbird.config import load_experiment
from bigbird.manifests import DatasetManifest, EvaluationManifest
from bigbird.serving.saved_model import Predictor
from bigbird.support.errors import InputError
from bigbird_components.evaluate.evaluate import evaluate
from bigbird_components.export.export import export
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.register.answers import measure
from bigbird_components.train.train import train

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

NAMES = ["anna kern", "paul weber", "mia lang", "otto braun"]
FILLER = "the old river runs by a mill and trees grow under dark skies while birds sing of rain".split()


def _write_release(root, domain, seed):
    """qa/ and evidence/ with questions whose answers stand after the word "builder"."""
    (root / "qa").mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 60), ("dev", 16)):
        rng, entries = random.Random(f"{seed}{split}"), []
        for number in range(count):
            pages = []
            name = rng.choice(NAMES)
            for place in range(1 + number % 2):
                words = rng.choices(FILLER, k=rng.randint(20, 60))
                words[rng.randrange(len(words)) : 0] = f"builder {name.title() if place else name}".split()
                file = f"{number % 7}/{split}_{number}_{place}.txt"
                path = root / "evidence" / {"wikipedia": "wikipedia", "web": "web"}[domain] / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(" ".join(words))
                pages.append({"Filename": file, "Title": f"Page {place}"})
            answer = {"Value": name.title(), "Aliases": [name.upper()], "NormalizedAliases": [name]}
            source = "EntityPages" if domain == "wikipedia" else "SearchResults"
            entries.append(
                {"QuestionId": f"q{split}{number}", "Question": "who is the builder", "Answer": answer, source: pages}
            )
        tree = {"Data": entries, "Domain": domain.title(), "Split": split, "VerifiedEval": False, "Version": 1.0}
        (root / "qa" / f"{domain}-{split}.json").write_text(json.dumps(tree))


@pytest.fixture(scope="module", params=["wikipedia", "web"])
def chain(request, tmp_path_factory):
    """The folders of each stage; windows of 40 tokens, so that most documents have several."""
    root = tmp_path_factory.mktemp("triviaqa")
    _write_release(root / "release", request.param, 1)
    task = f"triviaqa_{request.param}"
    preprocess(
        task,
        str(root / "dataset"),
        input=str(root / "release"),
        vocabulary_size=90,
        max_length=40,
        doc_stride=20,
        query_length=12,
    )
    encoder = {
        "hidden_size": 48, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 96, "block_size": 16,
        "max_position_embeddings": 40, "dropout_rate": 0.0, "attention_dropout_rate": 0.0, "initializer_range": 0.1,
    }  # fmt: skip
    data = {"seq_length": 40, "global_batch_size": 16}
    tree = {
        "task": {
            "model": {"encoder": {"bigbird": encoder}},
            "train_data": data,
            "validation_data": data,
            "bucket_lengths": [40],
        },
        "trainer": {
            "train_steps": 200,
            "validation_interval": 100,
            "checkpoint_interval": 200,
            "optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 3e-3}}},
        },
    }
    manifest = train(
        load_experiment("bigbird/triviaqa", overrides=[tree]), root / "model", "train_and_eval", str(root / "dataset")
    )
    return root, task, manifest


@pytest.mark.slow
def test_a_builder_is_found_in_documents_never_seen(chain):
    root, task, manifest = chain
    assert manifest["metrics"]["exact_match"] >= 0.8
    dataset = DatasetManifest.read(root / "dataset")
    assert dataset.experiment_type == "bigbird/triviaqa" and dataset["doc_stride"] == 20
    facts = dataset.splits["train"]
    assert facts.examples == 90 and facts.records > 150 and facts.labels == {"answered": 90}
    result = evaluate(str(root / "model"), str(root / "dataset"), str(root / "evaluation"))
    assert result["metrics"]["exact_match"] == pytest.approx(manifest["metrics"]["exact_match"])
    assert result["examples"] == (16 if task == "triviaqa_wikipedia" else 24)
    predictions = json.loads((root / "evaluation" / "predictions.json").read_text())
    assert all(key.startswith("qdev") and ("--" in key) == (task == "triviaqa_web") for key in predictions)
    assert (root / "evaluation" / "report.html").stat().st_size > 1000


@pytest.mark.slow
def test_the_exported_model_answers_as_evaluation_does(chain):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    root, _, _ = chain
    if not (root / "evaluation").exists():
        evaluate(str(root / "model"), str(root / "dataset"), str(root / "evaluation"))
    export(str(root / "model"), str(root / "saved"), dataset=str(root / "dataset"))
    serve = tf.saved_model.load(str(root / "saved")).signatures["serving_default"]
    documents = [json.loads(line) for line in (root / "dataset" / "validation.examples.jsonl").read_text().splitlines()]
    answers = serve(
        question=tf.constant([line["question"] for line in documents]),
        context=tf.constant([line["context"] for line in documents]),
    )
    best: dict[str, tuple[float, str]] = {}
    for line, text, start, end, score in zip(
        documents, *(answers[name].numpy() for name in ("answer", "start", "end", "score")), strict=True
    ):
        assert line["context"][start:end] == text.decode()
        if line["key"] not in best or score > best[line["key"]][0]:
            best[line["key"]] = (float(score), text.decode())
    predictions = json.loads((root / "evaluation" / "predictions.json").read_text())
    assert {key: text for key, (_, text) in best.items()} == predictions
    nbest = json.loads((root / "evaluation" / "nbest.json").read_text())
    for key, (score, _) in best.items():
        if nbest[key]:
            assert score == pytest.approx(nbest[key][0]["score"], abs=1e-4)
    assert set(answers) == {"answer", "start", "end", "score"}
    predictor, manifest = Predictor(root / "saved"), DatasetManifest.read(root / "dataset")
    for name, value in EvaluationManifest.read(root / "evaluation").metrics.items():
        assert measure(predictor, str(root / "dataset"), manifest, "validation", name) == value


def test_the_loss_is_of_all_answers_together():
    """The formula, and that a window without an answer points at its last token."""
    import tensorflow as tf

    from bigbird.data.parsing import _marks
    from bigbird.models import per_example_loss

    task = load_experiment("bigbird/triviaqa").task
    rng = np.random.default_rng(0)
    starts, ends = rng.normal(size=(2, 3, 8)).astype("float32")
    places = tf.ragged.constant([[2, 5, 2], [], [7]], dtype=tf.int64)
    marks = _marks(places, tf.constant([8, 6, 8], tf.int64), tf.constant(8, tf.int64))
    np.testing.assert_array_equal(marks, np.array([[0, 0, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], [0] * 7 + [1]]))
    outputs = {"start_logits": tf.constant(starts), "end_logits": tf.constant(ends)}
    losses = per_example_loss(task, outputs, {"answer_starts": marks, "answer_ends": marks})
    expected = [
        -sum(
            np.log(np.exp(logits[row])[np.array(marks[row]) > 0].sum() / np.exp(logits[row]).sum())
            for logits in (starts, ends)
        )
        for row in range(3)
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_an_evidence_folder_that_is_not_there_is_said(tmp_path):
    _write_release(tmp_path, "web", 0)
    (tmp_path / "evidence").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="which is not there"):
        preprocess("triviaqa_web", str(tmp_path / "out"), input=str(tmp_path), vocabulary_size=60)
    with pytest.raises(InputError, match=r"expected qa/wikipedia-train\.json"):
        preprocess("triviaqa_wikipedia", str(tmp_path / "out"), input=str(tmp_path), vocabulary_size=60)
