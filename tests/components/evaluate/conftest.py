"""Small dataset and model folders, written as preprocessing and training write them."""

import json
import random

import pytest

from bigbird.records import features
from bigbird.support.artifacts import write_json
from bigbird.tasks import squad
from bigbird.tasks.classification import glue
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

_WORDS = "the a red green blue bird big small flew sang over under river tree house and then away never often".split()
_ENCODER = {
    "hidden_size": 16,
    "num_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "block_size": 4,
    "type_vocab_size": 2,
    "initializer_range": 0.5,  # scores that differ clearly
}


def _sentence(rng, words):
    return " ".join(rng.choice(_WORDS) for _ in range(words))


@pytest.fixture(scope="session")
def vocabulary():
    rng = random.Random(0)
    return Vocabulary(train_vocabulary((_sentence(rng, 12) for _ in range(200)), 200))


def _manifest(folder, vocabulary, task, splits, **more):
    (folder / "vocab.model").write_bytes(vocabulary.serialized)
    stated = {
        "file": "vocab.model",
        "sha256": vocabulary.sha256,
        "size": vocabulary.size,
        "lower_case": False,
        "trained_here": True,
    }
    manifest = {
        "format": 1,
        "task": task,
        "splits": splits,
        "max_length": 64,
        "vocabulary": stated,
        "rejected": 0,
        **more,
    }
    write_json(folder / "dataset.json", manifest)
    return manifest


def _write_split(folder, split, records, lines):
    name = f"{split}-00000-of-00001.tfrecord"
    (folder / name).write_bytes(b"".join(features.frame(record) for record in records))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{split}.examples.jsonl").write_text(text, encoding="utf-8")
    return {"files": [name], "records": len(records), "examples": len(lines)}


@pytest.fixture(scope="session")
def glue_dataset(vocabulary):
    """Function (folder, task name, examples per split) -> manifest; labels are random, test splits have none."""

    def build(folder, name, sizes, vocabulary=vocabulary):
        folder.mkdir()
        spec, rng, splits = glue.GLUE_TASKS[name], random.Random(1), {}
        for split, size in sizes.items():
            examples = []
            for i in range(size):
                label = None
                if not split.startswith("test"):
                    label = round(rng.uniform(0, 5), 1) if spec.labels is None else rng.choice(spec.labels)
                second = _sentence(rng, rng.randint(1, 8)) if len(spec.text_columns) == 2 else None
                examples.append(glue.GlueExample(i, _sentence(rng, rng.randint(1, 20)), second, label))
            records = [record for record, *_ in glue.encode_examples(examples, spec, vocabulary, 64)]
            splits[split] = _write_split(folder, split, records, [example._asdict() for example in examples])
        labels = None if spec.labels is None else list(spec.labels)
        return _manifest(folder, vocabulary, name, splits, labels=labels, metrics=list(spec.metrics))

    return build


@pytest.fixture(scope="session")
def squad_dataset(vocabulary):
    """Function (folder, version_2, paragraphs) -> manifest; contexts of some 60 words fill several windows."""

    def build(folder, version_2, paragraphs):
        folder.mkdir()
        rng = random.Random(2)
        lines: list[squad.Paragraph] = []
        for i in range(paragraphs):
            context = _sentence(rng, rng.randint(40, 80))
            questions: list[squad.Question] = []
            for j in range(3):
                start = context.index(" ", rng.randrange(len(context) // 2)) + 1
                answer: squad.GoldAnswer = {"text": " ".join(context[start:].split()[:2]), "answer_start": start}
                impossible = version_2 and j == 2
                answers = [] if impossible else [answer]
                entry: squad.Question = {
                    "id": f"{i}-{j}",
                    "question": _sentence(rng, 5),
                    "answers": answers,
                    "is_impossible": impossible,
                }
                questions.append(entry)
            lines.append({"title": f"Article {i}", "context": context, "questions": questions})
        options = squad.WindowOptions(max_length=48, doc_stride=20, query_length=12)
        windows = list(squad.encode_paragraphs(lines, vocabulary, options, evaluation=True))
        split = _write_split(folder, "validation", [features.encode(window.features) for window in windows], lines)
        split["examples"] = 3 * paragraphs
        name = "squad_v2" if version_2 else "squad_v1"
        more = {"version_2": version_2, "labels": None, "metrics": list(squad.METRICS)}
        return _manifest(folder, vocabulary, name, {"validation": split}, **more)

    return build


@pytest.fixture(scope="session")
def untrained_model():
    """Function (folder, dataset manifest) -> Keras model; writes a whole model folder of fresh weights."""

    def build(folder, dataset):
        import keras

        from bigbird.checkpoints.native import save_best
        from bigbird.config import load_experiment
        from bigbird.models import build_model

        squad_task = dataset["task"].startswith("squad")
        labels = dataset["labels"]
        num_classes = None if squad_task else len(labels) if labels else 1
        data = {"seq_length": 64, "global_batch_size": 4} | ({"label_type": "float"} if num_classes == 1 else {})
        encoder = _ENCODER | {"vocab_size": dataset["vocabulary"]["size"]}
        task = {
            "model": {"encoder": {"bigbird": encoder}} | ({} if squad_task else {"num_classes": num_classes}),
            "bucket_lengths": [16, 32, 64],
            "train_data": data,
            "validation_data": data | {"is_training": False, "drop_remainder": False},
        }
        experiment = load_experiment("bigbird/squad" if squad_task else "bigbird/glue", overrides=[{"task": task}])
        keras.utils.set_random_seed(3)
        model = build_model(experiment.task, num_classes=num_classes)
        folder.mkdir()
        save_best(folder / "best", model, {"step": 7})
        (folder / "config.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
        manifest = {
            "format": 1,
            "task": dataset["task"],
            "num_classes": num_classes,
            "best": "best",
            "dataset": dataset,
        }
        write_json(folder / "model.json", manifest | {"parameters": model.count_params(), "steps": 9, "seconds": 1.5})
        return model

    return build
