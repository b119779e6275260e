"""The embedded sample: the same for a seed, long, with its evidence anywhere."""

import csv
import json

import pytest

from pipelines.sample_data import BLAME, FACTS, PRAISE, write_sample


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
