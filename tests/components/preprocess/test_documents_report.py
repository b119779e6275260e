"""What preprocessing says of a user's own documents: how much is read, what would read more, labels, columns, notices."""

import html
import json
import random
import re

import pytest

from bigbird.support.text_files import shown
from bigbird_components.preprocess.report_page import MOST_LABELS, reading_lines, summary_page
from tests import manifests

WORDS = "red blue bird big small sang over under river tree house then away never often".split()


def facts(documents, *, read=None, records=None, longest=512, labels=None):
    """A split's facts: `documents` is {bound: count}; `read` is (tokens read, tokens not read, documents cut)."""
    total = sum(documents.values())
    tokens, unread, cut = read or (1000, 0, 0)
    return {
        "files": ["f"], "labelled": True, "examples": total, "records": records or total, "tokens": tokens, "longest": longest,
        "truncated": cut, "unread_tokens": unread, "lengths": [[512, records or total]], "labels": labels or {},
        "documents": [[bound, count] for bound, count in documents.items()],
    }  # fmt: skip


def stated(splits, **more):
    return {
        "task": "own", "labels": None, "metrics": ["accuracy"], "splits": splits, "max_length": 512, "long_documents": "head",
        "window_stride": 384, "pairs": False, "kind": "single", "numbers": None, "notices": [],
        "columns": {"text": ["headline", "body"], "text_b": None, "label": "topic"},
        "vocabulary": {"size": 100, "sha256": "0" * 64, "lower_case": False, "trained_here": True}, **more,
    }  # fmt: skip


def manifest(splits, **more):
    return manifests.dataset(**stated(splits, **more))


def words_of(page):
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


LONG = facts({384: 400, 512: 420, 768: 482, 1024: 220, 8192: 80}, read=(707_679, 218_793, 782))


def test_what_is_not_read_and_what_would_read_it():
    told = reading_lines(manifest({"train": LONG, "validation": facts({384: 10})}))
    assert told == [
        "train: 782 of 1,602 documents (49 %) are longer than 512 tokens; 218,793 of all tokens (24 %) are not read",
        "validation: none of 10 documents is longer than 512 tokens; all are read whole",
        "--long-documents windows reads them whole, --max-length 1024 reads 95 % of the documents whole.",
    ]
    page = summary_page(manifest({"train": LONG}), [])
    words = words_of(page)
    assert told[0] in words and told[2] in words
    line = words.index("── read up to 512 ──")
    assert words.index("385–512 420 (26.2%)") < line < words.index("513–768 482 (30.1%)")


@pytest.mark.parametrize(
    ("documents", "cut", "more", "expected"),
    [
        ({512: 10, 768: 10}, 10, {}, "--long-documents windows reads them whole, --max-length 768 reads 100 % of the documents whole."),
        ({512: 996, 768: 3, 6144: 1}, 4, {"pairs": True}, "--max-length 768 reads over 99 % of the documents whole."),
        ({512: 10, 1024: 10, 6144: 20}, 30, {"pairs": True}, "--max-length 1024 reads 50 % of the documents whole."),
        ({512: 10, 8192: 20}, 20, {"pairs": True}, None),  # no published model reads so much
        ({512: 10, 8192: 20}, 20, {}, "--long-documents windows reads them whole."),
    ],
)  # fmt: skip
def test_a_longer_max_length_is_suggested_where_a_model_reads_it(documents, cut, more, expected):
    told = reading_lines(manifest({"train": facts(documents, read=(1000, 100, cut))}, **more))
    assert told[1:] == ([expected] if expected else [])


@pytest.mark.parametrize(("length", "about"), [(512, ""), (500, "at most ")])
def test_windows(length, about):
    split = facts({384: 90, 768: 10}, records=130)
    (told,) = reading_lines(manifest({"train": split}, long_documents="windows", max_length=length))
    assert told == (
        f"train: {about}10 of 100 documents (10 %) are longer than {length} tokens; all are read whole, in 130 windows, "
        "1.3 a document"
    )
    assert f"── windows of {length} ──" in words_of(
        summary_page(manifest({"train": split}, long_documents="windows", max_length=length), [])
    )
    (told,) = reading_lines(manifest({"train": facts({384: 90})}, long_documents="windows"))
    assert told == "train: none of 90 documents is longer than 512 tokens; each is one window"


def test_labels_by_frequency_columns_and_notices():
    counts = {f"label {i}": 200 - i for i in range(100)} | {"<b>\ta " + "long name " * 30: 500}
    splits = {"train": facts({384: 10}, labels=counts), "validation": facts({384: 5}, labels={"label 7": 3})}
    page = summary_page(manifest(splits, labels=sorted(counts), notices=["18 texts <b>twice</b>"]), [])
    assert "<b>\t" not in page and "18 texts &lt;b&gt;twice&lt;/b&gt;" in page
    words = words_of(page)
    assert "single: one label for each document" in words and "labels 101" in words
    assert (
        f"columns of text {shown('headline')}, {shown('body')}" in words
        and f"column of label {shown('topic')}" in words
    )
    table = re.search(r"<h2>Labels</h2>\n<table>(.*?)</table>", page, flags=re.DOTALL)[1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)][1:]
    assert len(rows) == MOST_LABELS and len(html.unescape(rows[0][0])) < 90
    assert rows[0][1:] == ["500", "0"] and rows[1] == ["label 0", "200", "0"] and rows[8] == ["label 7", "193", "3"]
    assert f"and {101 - MOST_LABELS} more labels" in words


def test_a_dataset_without_counted_documents_says_nothing_of_them():
    split = {key: value for key, value in LONG.items() if key not in ("documents", "unread_tokens")}
    plain = stated({"train": split})
    for key in ("kind", "columns", "notices", "long_documents", "pairs", "numbers"):
        del plain[key]
    assert reading_lines(manifests.dataset(**plain)) == []
    words = words_of(summary_page(manifests.dataset(**plain), []))
    assert "How much" not in words and "What was read" not in words and "Notices" not in words


def test_the_stage_prints_and_draws_what_it_counted(tmp_path, run, capsys):
    rng = random.Random(0)
    sizes = [5] * 30 + [60] * 30
    lines = [{"text": " ".join(rng.choices(WORDS, k=size)), "label": "ab"[i % 2]} for i, size in enumerate(sizes)]
    (tmp_path / "table.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    dataset = run("classification", tmp_path / "table.jsonl", max_length=32)
    found = json.loads((dataset / "dataset.json").read_text())
    train = found["splits"]["train"]
    told = (
        f"train: {train['truncated']} of {train['examples']} documents ({100 * train['truncated'] / train['examples']:.0f} %) are "
        f"longer than 32 tokens; {train['unread_tokens']:,} of all tokens "
        f"({100 * train['unread_tokens'] / (train['tokens'] + train['unread_tokens']):.0f} %) are not read"
    )
    assert 20 < train["truncated"] <= 30
    assert told in capsys.readouterr().err.splitlines()
    assert told in words_of((dataset / "report.html").read_text(encoding="utf-8"))


def test_what_a_family_counts_is_told_as_it_is_named():
    made = manifest({"train": facts({256: 10}) | {"counts": {"spans": 1234, "spans lost": 2}}})
    assert reading_lines(made)[-1] == "train: 1,234 spans; 2 spans lost"
    assert "train: 1,234 spans; 2 spans lost." in summary_page(made, [])
    of_one = manifest({"train": facts({256: 10}) | {"counts": {"spans": 1, "words": 20, "words in spans": 1}}})
    assert reading_lines(of_one)[-1] == "train: 1 span; 20 words; 1 word in spans"
