"""A small dataset folder, written as preprocessing writes it, and configurations small enough for a test."""

import json
import random

import pytest

from bigbird.records import features
from bigbird.support.artifacts import write_json
from bigbird.tasks.classification import glue
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

_FILLER = "the a tree house river over under then away never often bird".split()
_TELLING = {"0": ["awful", "dull", "sad"], "1": ["great", "lovely", "bright"]}
_SIZES = {"train": 64, "validation": 24}


def _sentence(rng, label):
    words = [*rng.choices(_FILLER, k=rng.randint(1, 20)), rng.choice(_TELLING[label])]
    rng.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A dataset/ folder of SST-2: a word in each sentence tells its label; at most 32 tokens."""
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", seed=1)


@pytest.fixture(scope="session")
def other_dataset(tmp_path_factory):
    """The same vocabulary and sizes, other sentences."""
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", seed=2)


def write_dataset(folder, seed):
    folder.mkdir()
    vocabulary = Vocabulary(train_vocabulary((_sentence(random.Random(i), str(i % 2)) for i in range(300)), 120))
    rng, splits = random.Random(seed), {}
    for split, size in _SIZES.items():
        examples = [glue.GlueExample(i, _sentence(rng, str(i % 2)), None, str(i % 2)) for i in range(size)]
        encoded = list(glue.encode_examples(examples, glue.GLUE_TASKS["sst2"], vocabulary, 32))
        name = f"{split}-00000-of-00001.tfrecord"
        (folder / name).write_bytes(b"".join(features.frame(record) for record, *_ in encoded))
        lines = "".join(json.dumps(example._asdict()) + "\n" for example in examples)
        (folder / f"{split}.examples.jsonl").write_text(lines, encoding="utf-8")
        longest = max(length for _, length, _ in encoded)
        splits[split] = {"files": [name], "records": size, "examples": size, "longest": longest}
    (folder / "vocab.model").write_bytes(vocabulary.serialized)
    stated = {"file": "vocab.model", "sha256": vocabulary.sha256, "size": vocabulary.size, "lower_case": False}
    manifest = {
        "format": 1, "task": "sst2", "experiment_type": "bigbird/glue", "labels": ["0", "1"], "metrics": ["accuracy"],
        "splits": splits, "max_length": 32, "vocabulary": stated, "rejected": 0,
    }  # fmt: skip
    write_json(folder / "dataset.json", manifest)
    return folder


@pytest.fixture
def settings():
    """Function (further nested settings) -> a configuration tree of a model of a few thousand weights."""

    def build(task=None, trainer=None, runtime=None, encoder=None):
        sizes = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        encoder = sizes | {"max_position_embeddings": 32, "block_size": 16} | (encoder or {})
        data = {"seq_length": 32, "global_batch_size": 8}
        rate = {"polynomial": {"initial_learning_rate": 0.01}}
        return {
            "task": {
                "model": {"encoder": {"bigbird": encoder}},
                "train_data": data,
                "validation_data": data,
                "bucket_lengths": [16, 32],
                **(task or {}),
            },
            "trainer": {
                "train_steps": 12,
                "checkpoint_interval": 4,
                "validation_interval": 6,
                "summary_interval": 3,
                "optimizer_config": {"learning_rate": rate},
                **(trainer or {}),
            },
            "runtime": runtime or {},
        }

    return build
