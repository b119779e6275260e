"""Whatever a file holds, reading it succeeds or ends with one InputError; what is read can be written and encoded.

A usual run tries some hundred inputs. BIGBIRD_FUZZ_EXAMPLES sets how many each test tries, BIGBIRD_FUZZ_SEED which.
"""

import collections
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bigbird.support.errors import InputError
from bigbird.tasks import pretraining, squad, triviaqa
from bigbird.tasks.classification import glue
from bigbird.tasks.records import BadRecords
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import sentence_piece

EXAMPLES = int(os.environ.get("BIGBIRD_FUZZ_EXAMPLES", "100"))
SEED = int(os.environ.get("BIGBIRD_FUZZ_SEED", "0"))
MANY = 10**6  # bad records allowed, so that reading goes on after the first one

CONTEXT = "In 1904 Ada Kern built the mill by the river. The mill stood until 1931."

# Written into the JSON as they stand, where json.dumps would refuse or change them.
RAW = {
    f"@{number}@": text
    for number, text in enumerate(
        ["1" * 5000, "-1e999", "NaN", "-Infinity", '"\\ud83d"', '"\\u0000"', "1.0", "{}", *("[" * n + "]" * n for n in (9, 480, 940, 985, 3000)), '{"a":' * 480 + "1" + "}" * 480]
    )
}  # fmt: skip

JUNK = st.one_of(
    st.sampled_from(sorted(RAW)),
    st.sampled_from(
        [
            None, True, False, 0, 1, -1, 10**30, 2.5, "", " ", "\ud800", "a\udfffb", "\0", "a\nb", "\u202e\x1b[2J", "é" * 100_000,
            "'" * 400, '"\\' * 300, "\U000e0001" * 300, [], {}, [None], [[]], ["x", 5], {"text": 5}, list(range(3000)),
            "../../etc/passwd", "/etc/passwd", "a/../b", "con\\..\\x", "Web", "Wikipedia", "Ada",
        ]
    ),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
)  # fmt: skip


def _squad_tree():
    answers = [{"text": "Ada Kern", "answer_start": 8}, {"text": "Ada", "answer_start": 8}]
    questions = [
        {"id": "q1", "question": "Who built it?", "answers": answers, "is_impossible": False},
        {"id": "q2", "question": "Who burnt it?", "answers": [], "is_impossible": True},
        {"id": "q3", "question": "When was it?", "answers": [{"text": "1904", "answer_start": 3}]},
    ]
    paragraphs = [{"context": CONTEXT, "qas": questions}, {"context": "x y.", "qas": []}]
    return {"version": "v2.0", "data": [{"title": "Mill", "paragraphs": paragraphs}]}


def _triviaqa_tree():
    answer = {
        "Value": "Ada Kern", "Aliases": ["Ada Kern", "A. Kern"], "NormalizedAliases": ["ada kern"], "HumanAnswers": ["Ada"],
    }  # fmt: skip
    page = {"Filename": "Mill.txt", "Title": "Mill", "DocSource": "Search"}
    entries = [
        {
            "QuestionId": f"q{i}",
            "Question": "Who built it?",
            "Answer": answer,
            "EntityPages": [page],
            "SearchResults": [page],
        }
        for i in range(2)
    ]
    return {"Data": entries, "Domain": "Web", "Version": 1.0}


def _places(tree, path=()):
    """The path of every value of a tree but the tree itself."""
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield (*path, key)
            yield from _places(tree[key], (*path, key))


@st.composite
def trees(draw, make):
    """Bytes of a tree that is right but for one to four values, which are exchanged, gone, doubled or under another key."""
    tree = copy.deepcopy(make())
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        *above, key = draw(st.sampled_from(list(_places(tree))))
        place = tree
        for step in above:
            place = place[step]
        change = draw(st.sampled_from(["exchange"] * 6 + ["remove", "double", "rename"]))
        if change == "exchange":
            place[key] = copy.deepcopy(draw(JUNK))
        elif change == "remove":
            del place[key]
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        else:
            place[draw(st.sampled_from(["", "id", "é" * 50_000, "\ud800", "Data"]))] = place.pop(key)
        if not tree:
            break
    text = json.dumps(tree, ensure_ascii=draw(st.booleans()))
    for name, value in RAW.items():
        text = text.replace(f'"{name}"', value)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw, make):
    """Bytes with some of them changed, gone, or there twice."""
    data = bytearray(make())
    for _ in range(draw(st.sampled_from([1, 1, 2, 8]))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.sampled_from([1, 1, 1, 2, 5, 40]))
        new = draw(st.sampled_from([b"", b"\xff", b"\0", b'"', b"{", b"]", b"\\", b"\\ud800", b"\t", b"\n", b"\r", b"9", b"NaN", b"\xed\xa0\x80", bytes(data[at : at + size]) * 2, b"a" * 3000]))  # fmt: skip
        data[at : at + size] = new
    return bytes(data)


@st.composite
def tables(draw, spec):
    """A GLUE file's bytes, most of its rows right."""
    good = spec.labels or ("0", "2.5", "5")
    odd = ["", " ", "\u3000", "x" * 50_000, "a\0b", "a\rb", "é\u2028", '"', "nan", "\ufeff"]
    texts = st.sampled_from([*["a mill"] * 20, *odd])
    labels = st.sampled_from([*good * 8, "6", "-1", "nan", "inf", "1e999", "9" * 6000, "", "\u0661", "1_0"])
    columns = list(spec.bare_columns or (*spec.text_columns, spec.label_column, "other"))
    change = draw(st.sampled_from(["none"] * 6 + ["rename"] * 2 + ["repeat"]))
    if change == "rename":
        columns[draw(st.integers(0, len(columns) - 1))] = draw(st.sampled_from(["", "é" * 50_000, "\x1b[2J", *columns]))
    elif change == "repeat":
        columns *= draw(st.sampled_from([2, 1000]))
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        row = [draw(labels) if name == spec.label_column else draw(texts) for name in columns[:6]]
        row += ["x"] * (len(columns) - len(row))
        rows.append(
            row[: draw(st.sampled_from([len(row)] * 9 + [1, 2]))] + draw(st.sampled_from([[]] * 8 + [["more"]]))
        )
    header = [] if spec.bare_columns and draw(st.booleans()) else [columns]
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n"]))
    start = draw(st.sampled_from([b""] * 8 + [b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\n"]))
    return start + end.join("\t".join(row) for row in [*header, *rows]).encode()


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_vocabulary([CONTEXT, "Who built burnt it? When was x y."] * 20, 60))


def _try(strategy, read, encode):
    """Reads many inputs, without and with bad records allowed, and encodes what is read."""
    outcomes = collections.Counter()

    @seed(SEED)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def check(data):
        for limit in (0, MANY):
            bad, message = BadRecords(limit), None
            try:
                found = list(read(data, bad))
                for record in found:
                    json.dumps(record, ensure_ascii=False).encode()
                encode(found)
            except InputError as error:
                message = str(error)
            outcomes["refused" if message is not None else "skipped" if bad.rejected else "read"] += 1
            if message is not None:
                assert 0 < len(message) < 1000
                assert message.isprintable()
            for entry in bad.rejected:
                assert len(json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace")) < 25_000

    check()
    print(dict(outcomes), file=sys.stderr)
    assert outcomes["refused"] > EXAMPLES / 4  # most inputs are bad ones indeed
    assert sum(outcomes.values()) >= 2 * EXAMPLES
    return outcomes


WINDOWS = squad.WindowOptions(max_length=32, doc_stride=16, query_length=8)


@pytest.mark.parametrize("version_2", [False, True])
def test_squad(vocabulary, version_2):
    _try(
        st.one_of(trees(_squad_tree), damaged(lambda: json.dumps(_squad_tree(), indent=1).encode())),
        lambda data, bad: squad.parse(data, "f.json", version_2, bad),
        lambda found: list(squad.encode_paragraphs(found, vocabulary, WINDOWS, evaluation=True)),
    )


@pytest.mark.parametrize("task", triviaqa.TRIVIAQA_TASKS)
def test_triviaqa(vocabulary, task):
    documents = {"wikipedia/Mill.txt": CONTEXT.encode(), "web/Mill.txt": CONTEXT.encode(), "web/Ada": b"\xff"}

    def make():
        return _triviaqa_tree() | {"Domain": triviaqa.TRIVIAQA_TASKS[task]}

    _try(
        st.one_of(trees(make), damaged(lambda: json.dumps(make(), indent=1).encode())),
        lambda data, bad: triviaqa.parse(data, "f.json", task, documents.get, bad),
        lambda found: list(triviaqa.encode_documents(found, vocabulary, WINDOWS, evaluation=True)),
    )


@pytest.mark.parametrize("task", ["cola", "stsb", "mnli", "qqp"])
def test_glue(vocabulary, task):
    spec = glue.GLUE_TASKS[task]
    split = next(iter(spec.splits))
    made = "\n".join(
        ["\t".join(spec.bare_columns or (*spec.text_columns, spec.label_column)), "a\tb\t1\tc"] * 2
    ).encode()
    outcomes = collections.Counter()

    def encode(found):
        outcomes["examples"] += len(found)
        list(glue.encode_examples(found, spec, vocabulary, 16))

    _try(
        st.one_of(tables(spec), tables(spec), damaged(lambda: made)),
        lambda data, bad: glue.parse(data, "f.tsv", spec, split, bad),
        encode,
    )
    assert outcomes["examples"]


def test_pretraining(vocabulary):
    made = f"{CONTEXT}\n{CONTEXT}\n\n{CONTEXT}\n".encode()
    pieces = st.sampled_from(
        [b"", b"\xff", b"\0" * 80, b" \n", "\u3000".encode(), b"\xff\xfe", b"\x1f\x8b", b"<html>", b"\xed\xa0\x80"]
    )
    _try(
        st.one_of(damaged(lambda: made), st.lists(pieces, min_size=1, max_size=3).map(b"\n\n".join)),
        lambda data, bad: pretraining.parse(data, "f.txt"),
        lambda found: list(pretraining.encode_documents([found], vocabulary, 16)),
    )


# Runs in a process of its own, as damage could end it from within SentencePiece. It says each seed before it tries it.
_CHILD = """
import random, sys
from pathlib import Path
from bigbird.support.errors import InputError
from bigbird.text.vocabulary import Vocabulary

path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
model = path.read_bytes()
texts = ["", " ", "In 1904 Ada Kern built it.", "[SEP] <s> \\t x" * 20, "h\\u00e9\\u4e2d \\U0001f600 \\uff41\\ufb01\\u00bd \\u3392"]
done = {"refused": 0, "works": 0}
for seed in range(first, first + count):
    print(seed, flush=True)
    rng, data = random.Random(seed), bytearray(model)
    for _ in range(rng.choice([1, 1, 2, 5])):
        start = rng.choice([0, 0, max(0, len(data) - 300), rng.randrange(len(data))])
        data[min(len(data) - 1, start + rng.randrange(300))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.05:
        del data[rng.randrange(len(data)):]
    try:
        vocabulary = Vocabulary(bytes(data), lower_case=bool(seed % 2), name="v.model")
    except InputError as error:
        assert 0 < len(str(error)) < 1000
        done["refused"] += 1
        continue
    for text, ids, pieces in zip(texts, vocabulary.encode(texts), vocabulary.encode_with_offsets(texts), strict=True):
        assert ids.tolist() == pieces.ids.tolist() and all(0 <= i < vocabulary.size for i in ids.tolist())
        assert all(0 <= place <= len(text) for place in [*pieces.starts.tolist(), *pieces.ends.tolist()])
    done["works"] += 1
print(done["refused"], done["works"])
"""


def _plain_model(**options):
    options = {"normalization_rule_name": "nmt_nfkc", **options}
    return sentence_piece(
        [CONTEXT, "Who built burnt it? When was x y."] * 20,
        400,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
        **options,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: train_vocabulary([CONTEXT] * 20, 60),
        lambda: _plain_model(model_type="bpe", byte_fallback=True),  # with a table of characters to replace, NFKC's
    ],
    ids=["ours", "bpe"],
)
def test_vocabularies(tmp_path, make):
    (tmp_path / "v.model").write_bytes(make())
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, tmp_path / "v.model", str(SEED * 10**6), str(EXAMPLES)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root / "model")},
    )  # fmt: skip
    last = result.stdout.splitlines()[-1:]
    assert result.returncode == 0, f"seed {last}: exit code {result.returncode}: {result.stderr[-2000:]}"
    refused, works = map(int, last[0].split())
    print(f"refused {refused}, works {works}", file=sys.stderr)
    assert refused + works == EXAMPLES and refused > EXAMPLES / 10
