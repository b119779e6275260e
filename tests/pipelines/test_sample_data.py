"""The embedded sample: the same for a seed, long, with its evidence anywhere."""

import csv
import json

import numpy as np
import pytest

from bigbird.config import load_experiment
from bigbird.scoring import Scorer
from bigbird.tasks.classification.glue.sample import BLAME, PRAISE
from bigbird.tasks.squad.sample import FACTS
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_pipelines.local_runs.sample_data import write_sample


def _rows(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("kind", ["glue", "squad"])
def test_a_seed_decides_every_byte(tmp_path, kind):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        write_sample(kind, tmp_path / name, seed)
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert (tmp_path / "one" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_glue_documents_are_long_balanced_and_decided_anywhere(tmp_path):
    write_sample("glue", tmp_path / "data", 0)
    train, dev = (_rows(tmp_path / "data" / f"{split}.tsv") for split in ("train", "dev"))
    assert not {row["sentence"] for row in train} & {row["sentence"] for row in dev}
    for rows in (train, dev):
        assert sum(row["label"] == "1" for row in rows) * 2 == len(rows)
    places = []
    for row in train + dev:
        words = row["sentence"].split()
        assert len(words) > 700  # pieces are shorter than words: 1,000 tokens and more
        telling = [i / len(words) for i, word in enumerate(words) if word in (PRAISE if row["label"] == "1" else BLAME)]
        other = [word for word in words if word in (BLAME if row["label"] == "1" else PRAISE)]
        assert len(telling) == 3 and not other
        places += telling
    quarters = [sum(q / 4 <= place < (q + 1) / 4 for place in places) / len(places) for q in range(4)]
    assert all(share == pytest.approx(0.25, abs=0.03) for share in quarters)


def test_squad_answers_stand_where_they_are_said_to_and_anywhere(tmp_path):
    write_sample("squad", tmp_path / "data", 0)
    places, texts = [], set()
    for split in ("train", "dev"):
        tree = json.loads((tmp_path / "data" / f"{split}-v1.1.json").read_text(encoding="utf-8"))
        for article in tree["data"]:
            for paragraph in article["paragraphs"]:
                assert len(paragraph["context"].split()) > 700
                assert len(paragraph["qas"]) == len(FACTS)
                for asked in paragraph["qas"]:
                    (answer,) = asked["answers"]
                    start = answer["answer_start"]
                    assert paragraph["context"][start : start + len(answer["text"])] == answer["text"]
                    places.append(start / len(paragraph["context"]))
                    texts.add(answer["text"])
    assert len(texts) > 40
    quarters = [sum(q / 4 <= place < (q + 1) / 4 for place in places) / len(places) for q in range(4)]
    assert all(share == pytest.approx(0.25, abs=0.05) for share in quarters)


def _lengths(dataset, texts):
    model = (dataset / "vocab.model").read_bytes()
    return [len(pieces) for pieces in Vocabulary(model).encode(texts)]


@pytest.mark.parametrize("seed", [0, 1])
def test_glue_documents_have_1000_to_2000_tokens_and_a_constant_answer_is_right_half_the_time(tmp_path, seed):
    data, dataset = write_sample("glue", tmp_path / "data", seed), tmp_path / "dataset"
    manifest = preprocess("sst2", str(dataset), input=str(data), max_length=2048)
    assert {split: facts["examples"] for split, facts in manifest["splits"].items()} == {
        "train": 512,
        "validation": 128,
        "test": 16,
    }
    assert all(facts["truncated"] == 0 for facts in manifest["splits"].values())
    lengths = _lengths(
        dataset, [row["sentence"] for split in ("train", "dev", "test") for row in _rows(data / f"{split}.tsv")]
    )
    assert 1000 <= min(lengths) < 1100 and 1750 < max(lengths) <= 2000
    assert np.std(lengths) > 150  # spread, not all alike
    for split in ("train", "validation"):
        assert manifest["splits"][split]["labels"] == {"0": manifest["splits"][split]["examples"] // 2} | {
            "1": manifest["splits"][split]["examples"] // 2
        }
    scorer = Scorer(load_experiment("bigbird/glue").task, manifest, dataset, "validation")
    scorer.add(np.arange(128), {"logits": np.tile(np.float32([0, 1]), (128, 1))})
    result = scorer.result()
    assert result.metrics == result.baseline == {"accuracy": 0.5}


def test_squad_documents_are_one_window_of_1536_that_holds_every_answer_exactly(tmp_path):
    data, dataset = write_sample("squad", tmp_path / "data", 0), tmp_path / "dataset"
    tree = json.loads((data / "train-v1.1.json").read_text(encoding="utf-8"))
    contexts = [paragraph["context"] for article in tree["data"] for paragraph in article["paragraphs"]]
    (tmp_path / "own.model").write_bytes(train_vocabulary(contexts, 8000))
    manifest = preprocess(
        "squad_v1",
        str(dataset),
        validation_file=str(data / "dev-v1.1.json"),
        vocabulary=str(tmp_path / "own.model"),
        max_length=1536,
    )
    facts = manifest["splits"]["validation"]
    assert facts["examples"] == facts["records"] == facts["exact_answers"] == facts["answer_windows"] == 160
    assert (facts["lost_answers"], facts["truncated"]) == (0, 0)
    lengths = _lengths(dataset, contexts)
    assert min(lengths) >= 1000 and max(lengths) <= 1536 - 3 - 16
