"""Small trained models by the real stages: texts with accents, odd spaces and contexts of several windows."""

import fcntl
import json
import os
import random
import shutil

import pytest

from bigbird.config import load_experiment

_WORDS = "the a tree house river über naïve 東京 under over then away never often bird ſharp I'm e\u0301tude".split()
_TELLING = {"0": ["awful", "dull", "sad"], "1": ["great", "lovely", "bright"]}
_ENCODER = {
    "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 256, "block_size": 16, "num_rand_blocks": 1,
}  # fmt: skip


def _words(rng, most):
    return [rng.choice(_WORDS) for _ in range(rng.randint(1, most))]


def train_small(experiment_type, stages, length, buckets, steps):
    from bigbird_components.train.train import train

    data = {"seq_length": length, "global_batch_size": 8}
    tree = {
        "task": {
            "model": {"encoder": {"bigbird": _ENCODER}},
            "train_data": data,
            "validation_data": data,
            "bucket_lengths": buckets,
        },
        "trainer": {
            "train_steps": steps,
            "checkpoint_interval": steps,
            "validation_interval": steps,
            "optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 0.01}}},
        },
    }
    train(load_experiment(experiment_type, overrides=[tree]), stages / "model", dataset=str(stages / "dataset"))


def finish(stages):
    from bigbird_components.evaluate.evaluate import evaluate
    from bigbird_components.export.export import export

    evaluate(str(stages / "model"), str(stages / "dataset"), str(stages / "evaluation"))
    export(str(stages / "model"), str(stages / "saved_model"), str(stages / "dataset"))
    return stages


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function (name, what writes into a folder) -> the folder, written by the first of the test processes that needs it."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # each process has a folder of its own in it

    def make(name, write):
        folder, whole = place / f"shared-{name}", place / f"shared-{name}.whole"
        with open(place / f"shared-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it even where the process dies
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed half-way
                folder.mkdir()
                write(folder)
                whole.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def classified(made_once):
    """Folder with dataset, model, evaluation and saved_model of SST-2; lengths of 3 to about 250 tokens, cut at 128."""
    return made_once("sst2", lambda folder: _classify(folder, "sst2", [32, 128], 180))


@pytest.fixture(scope="session", params=["mrpc", "stsb"])
def paired(request, made_once):
    """The same for two texts, each of which may be the longer one: a pair of classes, and a number."""
    return made_once(request.param, lambda folder: _classify(folder, request.param, [128], 60))


_COLUMNS = {
    "sst2": "sentence\tlabel",
    "mrpc": "#1 String\t#2 String\tQuality",
    "stsb": "sentence1\tsentence2\tscore",
}


def _classify(stages, task, buckets, steps):
    from bigbird_components.preprocess.preprocess import preprocess

    rng = random.Random(5)
    (stages / "data").mkdir()
    for split, size in (("train", 120), ("dev", 60)):
        lines = [_COLUMNS[task]]
        for i in range(size):
            texts = []
            for _ in range(_COLUMNS[task].count("\t")):
                words = _words(rng, 120 if rng.random() < 0.4 else 12)
                words.insert(rng.randrange(len(words) + 1), rng.choice(_TELLING[str(i % 2)]))
                texts.append(rng.choice([" ", "  "]).join(words))
            lines.append("\t".join([*texts, str(i % 2)]))
        (stages / "data" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    preprocess(task, str(stages / "dataset"), input=str(stages / "data"), max_length=128, vocabulary_size=120)
    train_small("bigbird/glue", stages, 128, buckets, steps)
    finish(stages)


@pytest.fixture(scope="session", params=["squad_v1", "squad_v2"])
def answered(request, made_once):
    """The same for questions; contexts of up to four windows, and of one short line."""
    buckets = [128] if request.param == "squad_v1" else [64, 128]
    return made_once(request.param, lambda folder: _answer(folder, request.param, buckets))


def _answer(stages, task, buckets):
    from bigbird_components.preprocess.preprocess import preprocess

    rng, version = random.Random(6), task[-2:]
    (stages / "data").mkdir()
    for split, size in (("train", 40), ("dev", 20)):
        articles = [_article(rng, f"{split}-{i}", version == "v2") for i in range(size)]
        file = stages / "data" / f"{split}-{'v1.1' if version == 'v1' else 'v2.0'}.json"
        file.write_text(json.dumps({"version": version, "data": articles}), encoding="utf-8")
    preprocess(
        task,
        str(stages / "dataset"),
        input=str(stages / "data"),
        vocabulary_size=120,
        max_length=128,
        doc_stride=40,
        query_length=16,
    )
    train_small("bigbird/squad", stages, 128, buckets, 60)
    finish(stages)


def _article(rng, name, version_2):
    words = _words(rng, 200 if rng.random() < 0.7 else 6)
    answer = " ".join(rng.choices(["red", "blue", "grün"], k=rng.randint(1, 2)))
    before = "  ".join(words[: len(words) // 2]) + " colour was "
    context = f"{before}{answer} . " + " ".join(words[len(words) // 2 :])
    asked = []
    for i in range(2):
        impossible = version_2 and i == 1
        found = [] if impossible else [{"text": answer, "answer_start": len(before)}]
        asked.append(
            {
                "id": f"{name}-{i}",
                "question": "which colour  was it ?" if not impossible else "who was it ?",
                "answers": found,
                "is_impossible": impossible,
            }
        )
    return {"title": name, "paragraphs": [{"context": context, "qas": asked}]}
