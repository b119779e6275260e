"""TriviaQA: reading, finding answers, windows, decoding, metrics."""

import collections
import json
import random
import re
import string

import numpy as np
import pytest

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks import triviaqa
from bigbird.tasks.records import BadRecords
from bigbird.tasks.squad import WindowOptions
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import sentence_piece

CONTEXT = "Barack Obama was born in Honolulu.\nThe Obamas moved; barack-obama's wife is Michelle. Obama wrote books."


def _entry(**changes):
    answer = {
        "Value": "Barack Obama",
        "Aliases": ["Obama", "Barack_Obama"],
        "NormalizedAliases": ["obama", "barack obama"],
    }
    pages = [{"DocSource": "TagMe", "Filename": "Barack_Obama.txt", "Title": "Barack Obama"}]
    return {"Question": "Who wrote books?", "QuestionId": "tc_1", "Answer": answer, "EntityPages": pages} | changes


def _file(*entries, domain="Wikipedia"):
    return json.dumps({"Data": list(entries), "Domain": domain, "Version": 1.0}).encode()


def _parse(data, task="triviaqa_wikipedia", documents=None, limit=0, **options):
    documents = {"wikipedia/Barack_Obama.txt": CONTEXT.encode(), "web/1/2.txt": b"It was Obama."} | (documents or {})
    bad = BadRecords(limit)
    return list(triviaqa.parse(data, "qa/wikipedia-dev.json", task, documents.get, bad, **options)), bad


def test_a_wikipedia_question_is_one_key_and_a_web_question_one_for_each_document():
    entry = _entry(SearchResults=[{"Filename": "1/2.txt", "Title": "Page"}])
    wikipedia, _ = _parse(_file(entry))
    assert [line["key"] for line in wikipedia] == ["tc_1", "tc_1"]
    assert [line["id"] for line in wikipedia] == ["tc_1--Barack_Obama.txt", "tc_1--1/2.txt"]
    web, _ = _parse(_file(entry, domain="Web"), "triviaqa_web")
    assert [line["key"] for line in web] == ["tc_1--Barack_Obama.txt", "tc_1--1/2.txt"]
    assert web[1]["context"] == "It was Obama." and web[0]["aliases"] == ["obama", "barack obama"]
    human = _entry()
    human["Answer"]["HumanAnswers"] = ["The President Obama!"]
    assert _parse(_file(human))[0][0]["aliases"][-1] == "president obama"
    nothing = _entry()
    nothing["Answer"]["NormalizedAliases"].append("")  # of an alias that is an article alone
    assert "" not in _parse(_file(nothing))[0][0]["forms"]
    unlabelled, _ = _parse(_file(_entry(Answer=None)), answers=False)
    assert unlabelled[0]["aliases"] == unlabelled[0]["forms"] == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; expected TriviaQA's JSON"),
        (b"[1]", "has no list 'Data'"),
        (_file(domain="Wikipedia"), "holds no question"),
        (_file(_entry(), domain="Web"), "is of the domain 'Web'; task triviaqa_wikipedia expects 'Wikipedia'"),
        (_file("x"), "is str; expected an object"),
        (_file(_entry(Question=" ")), "has no Question"),
        (_file(_entry(EntityPages=[])), "names no document"),
        (_file(_entry(Answer={"Value": "x"})), "has no Answer with NormalizedAliases"),
        (_file(_entry(EntityPages=[{"Filename": "../../etc/passwd"}])), "expected a path below the evidence folder"),
        (_file(_entry(EntityPages=[{"Filename": "/etc/passwd"}])), "expected a path below the evidence folder"),
        (_file(_entry(EntityPages=[{"Filename": "None.txt"}])), "evidence/wikipedia/None.txt, which is not there"),
        (_file(_entry(EntityPages=[{"Filename": "bytes.txt"}])), "which is not UTF-8 at byte 1"),
        (_file(_entry(EntityPages=[{"Filename": "empty.txt"}])), "which holds no text"),
        (_file(_entry(), _entry()), "a second time"),
    ],
)
def test_what_cannot_be_used_is_refused(data, message):
    with pytest.raises(InputError, match=re.escape(message)):
        _parse(data, documents={"wikipedia/bytes.txt": b"a\xff", "wikipedia/empty.txt": b" \n"})


def _wrong(key, *values):
    """Entries with a wrong value of a key, which names its place: "Answer.Value", "EntityPages.0.Title"."""
    for value in values:
        entry = json.loads(json.dumps(_entry()))
        *above, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        place = entry
        for part in above:
            place = place[part]
        place[last] = value
        yield entry


_HALF = "a half\udfff"
_NO_TEXT = (5, True, 1.5, ["x"], {"x": 1})


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("QuestionId", "QuestionId"), ("Question", "Question"), ("Answer.Value", "Value"),
        ("EntityPages.0.Filename", "Filename"), ("EntityPages.0.Title", "Title"),
    ],
)  # fmt: skip
def test_a_text_that_is_none_is_a_bad_record_that_names_it(key, name):
    for entry in _wrong(key, *_NO_TEXT):
        found, bad = _parse(_file(entry), limit=1)
        assert found == []
        assert f"has {name} of type " in bad.rejected[0]["problem"]
    (entry,) = _wrong(key, _HALF)
    found, bad = _parse(_file(entry), limit=1)
    assert found == []
    assert bad.rejected[0]["problem"] == f"has half a character (\\udfff) at position 6 of its {name}"


@pytest.mark.parametrize(
    "key", ["EntityPages", "SearchResults", "Answer.Aliases", "Answer.NormalizedAliases", "Answer.HumanAnswers"]
)
def test_a_list_that_is_none_is_a_bad_record_that_names_it(key):
    name = key.rpartition(".")[2]
    for entry in _wrong(key, 5, 0, "", False, {"x": 1}):
        found, bad = _parse(_file(entry), limit=1)
        assert found == []
        assert re.match(rf"has {name} of type \w+; expected a list", bad.rejected[0]["problem"])
    if key.startswith("Answer"):
        for entry in _wrong(key, ["obama", 5], ["obama", None], ["obama", _HALF]):
            found, bad = _parse(_file(entry), limit=1)
            assert found == []
            assert f"{name}[1]" in bad.rejected[0]["problem"]
    else:
        for entry in _wrong(key, [5], [None], ["x.txt"]):
            assert "has a document that is " in _parse(_file(entry), limit=1)[1].rejected[0]["problem"]


def test_messages_and_rejected_records_are_short_however_long_the_values_are():
    long = "x" * 100_000
    entries = [
        *_wrong("QuestionId", [long]),
        *_wrong("EntityPages.0.Filename", f"../{long}", f"{long}\n"),
        *_wrong("Answer", long),
        *_wrong("EntityPages", [long]),
        _entry(QuestionId=long, EntityPages=[long]),
    ]
    for entry in entries:
        with pytest.raises(InputError) as refused:
            _parse(_file(entry))
        assert len(str(refused.value)) < 1000 and "\n" not in str(refused.value)
        (rejected,) = _parse(_file(entry), limit=1)[1].rejected
        assert len(json.dumps(rejected)) < 3000
    with pytest.raises(InputError, match="is of the domain 'xxx") as refused:
        _parse(_file(_entry(), domain=long))
    assert len(str(refused.value)) < 1000


def test_why_a_document_may_not_be_read_is_said():
    def read(path):
        raise InputError("lies elsewhere")

    bad = BadRecords(1)
    assert list(triviaqa.parse(_file(_entry()), "f.json", "triviaqa_wikipedia", read, bad)) == []
    assert bad.rejected[0]["problem"] == "names the document evidence/wikipedia/Barack_Obama.txt, which lies elsewhere"


def test_bad_documents_may_be_skipped():
    pages = [{"Filename": "None.txt"}, {"Filename": "Barack_Obama.txt"}]
    found, bad = _parse(_file(_entry(EntityPages=pages)), limit=1)
    assert [line["title"] for line in found] == [""] and bad.counted == 1


@pytest.fixture(scope="module")
def vocabulary():
    rng, words = random.Random(0), re.findall(r"\w+", CONTEXT)
    return Vocabulary(train_vocabulary([CONTEXT, *(" ".join(rng.choices(words, k=9)) for _ in range(300))], 60))


def test_every_place_that_reads_like_an_alias_is_an_answer(vocabulary):
    (document,), _ = _parse(_file(_entry()))
    (pieces,) = vocabulary.encode_with_offsets([CONTEXT])
    spans = triviaqa.find_answers(CONTEXT, document["forms"], pieces)
    texts = [CONTEXT[pieces.starts[first] : pieces.ends[last]] for first, last in spans]
    assert {triviaqa.normalize_answer(text) for text in texts} == {"obama", "barack obama"}
    places = {int(pieces.starts[first]) for first, _ in spans}
    assert {0, CONTEXT.index("Obama was"), CONTEXT.index("barack-obama"), CONTEXT.index("Obama wrote")} <= places
    assert CONTEXT.index("Obamas") not in places  # inside a longer word


def test_windows_are_laid_out_and_labelled(vocabulary):
    (document,), _ = _parse(_file(_entry()))
    options = WindowOptions(max_length=26, doc_stride=10, query_length=12)
    windows = list(triviaqa.encode_documents([document], vocabulary, options, first_question=3, evaluation=True))
    (query,), (pieces,) = vocabulary.encode(["Who wrote books?"]), vocabulary.encode_with_offsets([CONTEXT])
    head = min(len(query), 12) + 1
    assert len(windows) > 1 and [window.first for window in windows] == [True] + [False] * (len(windows) - 1)
    seen = set()
    for number, window in enumerate(windows):
        record = window.features
        ids, start = record["input_ids"], 10 * number
        assert window.length == len(ids) == len(record["segment_ids"]) == len(record["offset_starts"]) <= 26
        assert ids[:head] == [*query.tolist()[:12], vocabulary.passage_id] and ids[-1] == vocabulary.empty_id
        assert ids[head:-1] == pieces.ids.tolist()[start : start + len(ids) - head - 1]
        assert record["segment_ids"] == [0] * head + [1] * (len(ids) - head)
        assert record["unique_ids"] == [300_000 + number]
        for first, last in zip(record["answer_starts"], record["answer_ends"], strict=True):
            text = CONTEXT[record["offset_starts"][first] : record["offset_ends"][last]]
            assert triviaqa.normalize_answer(text) in ("obama", "barack obama")
            seen.add((first - head + start, last - head + start))
        assert window.answers == len(record["answer_starts"])
        decoded = features.decode(features.encode(record))
        assert decoded["example_id"] == b"tc_1--Barack_Obama.txt"
    assert seen == set(triviaqa.find_answers(CONTEXT, document["forms"], pieces))


def test_the_published_vocabularys_own_pieces_are_used_where_there_are():
    model = sentence_piece([CONTEXT] * 20, 60, user_defined_symbols=["[CLS]", "[SEP]", "[MASK]", "<sep_0>", "<empty>"])
    vocabulary = Vocabulary(model)
    assert len({vocabulary.passage_id, vocabulary.empty_id, vocabulary.sep_id, vocabulary.cls_id}) == 4


def _brute_force(starts, ends, tokens, top_k, max_width):
    """The Model Garden's rule, pair by pair."""
    best = None
    for start in sorted(range(tokens), key=lambda i: -starts[i])[:top_k]:
        for end in sorted(range(tokens), key=lambda i: -ends[i])[:top_k]:
            score = starts[start] + ends[end]
            if 0 <= end - start <= max_width and (best is None or score > best[2]):
                best = (start, end, score)
    if best is None or best[0] == tokens - 1:
        return None
    return best[0], min(best[1], tokens - 2), best[2]


def test_decoding_agrees_with_trying_every_pair():
    rng, kinds = np.random.default_rng(0), collections.Counter()
    for _ in range(500):
        tokens = int(rng.integers(2, 30))
        starts, ends = rng.normal(size=(2, 32)).astype(np.float32) * 3
        starts[tokens:] = ends[tokens:] = -1e6
        limits = {"top_k": int(rng.integers(1, 9)), "max_width": int(rng.integers(0, 17))}
        found, expected = (
            triviaqa.best_span(starts, ends, tokens, **limits),
            _brute_force(starts, ends, tokens, **limits),
        )
        kinds[found is None] += 1
        assert found == (expected if expected is None else pytest.approx(expected))
    assert kinds[True] > 50 and kinds[False] > 50


class _Official:
    """`triviaqa_evaluation.py` (mandarjoshi90/triviaqa, version 1.0) in other words."""

    @staticmethod
    def normalize(text):
        text = text.replace("_", " ").lower()
        text = "".join(" " if character in set(string.punctuation) | set("‘’´`") else character for character in text)
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    @classmethod
    def f1(cls, prediction, truth):
        first, second = cls.normalize(prediction).split(), cls.normalize(truth).split()
        same = sum((collections.Counter(first) & collections.Counter(second)).values())
        if same == 0:
            return 0
        precision, recall = same / len(first), same / len(second)
        return 2 * precision * recall / (precision + recall)

    @classmethod
    def evaluate(cls, truths, predictions):
        exact = f1 = 0
        for key, aliases in truths.items():
            if key in predictions:
                exact += max(cls.normalize(predictions[key]) == cls.normalize(alias) for alias in aliases)
                f1 += max(cls.f1(predictions[key], alias) for alias in aliases)
        return exact / len(truths), f1 / len(truths)


def test_a_thousand_prediction_files_agree_with_the_official_script():
    rng = random.Random(0)
    parts = [
        "the",
        "A",
        "an",
        "cat",
        "Cat",
        "dog's",
        "U.S.",
        "‘q’",
        "`x`",
        "a_b",
        "É",
        "ß",
        "-",
        "42",
        "中",
        "\u200b",
        "",
    ]

    def text():
        return rng.choice([" ", "_", ""]).join(rng.choices(parts, k=rng.randint(0, 5)))

    for _ in range(1000):
        truths = {f"q{i}": [text() for _ in range(rng.randint(1, 4))] for i in range(rng.randint(1, 10))}
        predictions = {key: rng.choice([text(), *golds]) for key, golds in truths.items() if rng.random() < 0.9}
        scores = triviaqa.scores(predictions, truths)
        assert np.mean(list(scores.values()), axis=0) == pytest.approx(_Official.evaluate(truths, predictions))
