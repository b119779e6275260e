"""Which of a folder's files is which split, where names are official, only look so, or are several."""

import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.official_files import official_files

MNLI = ["train.tsv", "dev_matched.tsv", "dev_mismatched.tsv"]


@pytest.mark.parametrize(
    ("task", "names", "splits"),
    [
        ("squad_v1", ["train-v1.1 (1).json", "train-v1.1.json"], {"train": "train-v1.1.json"}),
        ("squad_v1", ["train-v1.1 (1).json"], {"train": "train-v1.1 (1).json"}),
        ("squad_v2", ["dev-v2.0.json", "dev-v1.1.json", "x.py"], {"validation": "dev-v2.0.json"}),
        ("mnli", [*MNLI, "dev.tsv"], dict(zip(("train", "validation_matched", "validation_mismatched"), MNLI, strict=True))),
        ("ax", ["diagnostic.tsv", "train.tsv"], {"test": "diagnostic.tsv"}),
        ("sst2", ["train.tsv", "dev.csv", "dev"], {"train": "train.tsv"}),
        ("pretraining", ["train.txt", "dev.txt", "validation.txt"], {"train": "train.txt", "validation": "validation.txt"}),
        ("triviaqa_web", ["web-dev.json", "verified-web-dev.json"], {"validation": "web-dev.json"}),
    ],
    ids=str,
)  # fmt: skip
def test_official_names_come_first(task, names, splits):
    assert official_files(task, "folder", names) == splits


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        ("mnli", [*MNLI[:2], "dev.tsv"], "folder: has no dev_mismatched.tsv, but dev.tsv; name the file to read with --validation-file"),
        ("triviaqa_web", ["web-dev.json", "web-train (1).json"], "folder: has no web-train.json, but web-train (1).json; name"),
        ("triviaqa_web", ["web-dev.json", "train.json"], "folder: has no web-train.json, but train.json; name"),
        ("squad_v2", ["dev-v2.0.json", "train-v2.0-a.json", "train.json"], "folder: has no train-v2.0.json, but train-v2.0-a.json, train.json; name"),
        ("sst2", ["a.csv"], "folder: has no file of task sst2; expected train.tsv, dev.tsv, test.tsv; found a.csv"),
        ("sst2", [], "found nothing"),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_be_a_missing_split_is_refused(task, names, message):
    with pytest.raises(InputError) as refused:
        official_files(task, "folder", names)
    assert message in str(refused.value)


def test_a_split_whose_file_is_named_may_be_missing():
    names = ["train_a.tsv", "dev.tsv"]
    assert official_files("sst2", "folder", names, ["train"]) == {"validation": "dev.tsv"}
    with pytest.raises(InputError, match=r"name the file to read with --train-file, rename it to train\.tsv"):
        official_files("sst2", "folder", names, ["validation"])
