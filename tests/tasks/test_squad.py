import copy
import json
import random

import numpy as np
import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.records import BadRecords
from bigbird.tasks.squad import WindowOptions, encode_paragraphs, find_files, max_context, parse, window_spans
from bigbird.tasks.squad.family import FEATURES
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

NAMES = "Ada Boris Clara Dmitri Élodie Farid Grete Hanako Imre Jürgen".split()
PLACES = "Aachen Bergen Cádiz Drammen Essen Florence Gdańsk Hanoi İzmir Jaipur".split()


def make_tree(paragraphs=12, seed=0):
    """SQuAD JSON about who moved where when, with odd characters and spaces in it."""
    generator = random.Random(seed)
    made = []
    for p in range(paragraphs):
        context, questions = "", []
        for s in range(generator.randint(3, 9)):
            name, place, year = generator.choice(NAMES), generator.choice(PLACES), str(generator.randint(1900, 2020))
            gap = generator.choice([" ", "  ", "\n", "\u00a0", " – "])
            start = len(context)
            context += f"In {year}, {name} “the €{s}” moved to {place}.{gap}"
            for question, text in (("When", year), ("Who", name), ("Where", place)):
                at = context.index(text, start)
                answer = {"text": text, "answer_start": at}
                questions.append({"id": f"{p}-{s}-{question}", "question": f"{question} in {s}?", "answers": [answer]})
        made.append({"context": context, "qas": questions})
    return {"version": "1.1", "data": [{"title": "Moves", "paragraphs": made}]}


@pytest.fixture(scope="module")
def vocabulary():
    texts = [paragraph["context"] for paragraph in make_tree(40, seed=1)["data"][0]["paragraphs"]]
    return Vocabulary(train_vocabulary([*texts, "When Who Where in ?"], 150))


def read(tree, version_2=False, limit=0, answers=True):
    bad = BadRecords(limit)
    data = tree if isinstance(tree, bytes) else json.dumps(tree, ensure_ascii=False).encode()
    return list(parse(data, "dev.json", version_2, bad, answers=answers)), bad


def one_question(**changes):
    question = {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 4}]} | changes
    question = {key: value for key, value in question.items() if value is not ...}
    return {"data": [{"title": "T", "paragraphs": [{"context": "Yes Ada did.", "qas": [question]}]}]}


# ------------------------------------------------------------------------------------------------------ reading


def test_version_1_is_read():
    (paragraph,), _ = read(one_question())
    assert paragraph == {
        "title": "T",
        "context": "Yes Ada did.",
        "questions": [
            {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 4}], "is_impossible": False}
        ],
    }


@pytest.mark.parametrize(
    "changes", [{"answers": [], "is_impossible": True}, {"answers": []}, {"answers": ..., "is_impossible": True}]
)
def test_version_2_questions_may_have_no_answer(changes):
    (paragraph,), _ = read(
        one_question(plausible_answers=[{"text": "x", "answer_start": 0}], **changes), version_2=True
    )
    assert paragraph["questions"][0]["is_impossible"] is True
    assert paragraph["questions"][0]["answers"] == []


def test_a_test_file_needs_no_answers():
    (paragraph,), _ = read(one_question(answers=...), answers=False)
    assert paragraph["questions"][0]["answers"] == []
    assert paragraph["questions"][0]["is_impossible"] is False


BAD = [
    ({"answers": [{"text": "Ada", "answer_start": 5}]}, False, "has the answer 'Ada' at answer_start 5, where its context has 'da '; that text stands at 4"),
    ({"answers": [{"text": "Eve", "answer_start": 4}]}, False, "that text is nowhere in its context"),
    ({"answers": [{"text": "Ada", "answer_start": -8}]}, False, "at answer_start -8"),
    ({"answers": [{"text": "Ada", "answer_start": 400}]}, False, "at answer_start 400"),
    ({"answers": [{"text": " ", "answer_start": 3}]}, False, "has an empty answer text"),
    ({"answers": [{"text": "Ada"}]}, False, "expected text and answer_start"),
    ({"answers": []}, False, "has no answers; expected answers .questions without are for --task squad_v2"),
    ({"answers": [], "is_impossible": True}, False, "which SQuAD v1.1 does not know; expected --task squad_v2"),
    ({"is_impossible": True}, True, "is marked is_impossible and has answers"),
    ({"answers": [], "is_impossible": False}, True, "has no answers; expected answers, or is_impossible: true"),
    ({"is_impossible": "no"}, True, "has is_impossible 'no'"),
    ({"question": "\n"}, False, "has an empty question"),
    ({"question": ...}, False, "has no question"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "version_2", "message"), BAD)
def test_a_bad_question_is_refused_with_its_id(changes, version_2, message):
    with pytest.raises(
        InputError, match=rf"dev\.json:question q1 \(data\[0\]\.paragraphs\[0\]\.qas\[0\]\): .*{message}"
    ):
        read(one_question(**changes), version_2)


def test_bad_questions_are_skipped_up_to_the_limit_and_kept():
    tree = make_tree(1)
    tree["data"][0]["paragraphs"][0]["qas"][1]["answers"][0]["answer_start"] += 1
    (paragraph,), bad = read(tree, limit=1)
    assert "0-0-Who" not in [question["id"] for question in paragraph["questions"]]
    assert bad.rejected[0]["where"].startswith("question 0-0-Who ")
    assert json.loads(bad.rejected[0]["record"])["id"] == "0-0-Who"


def test_an_id_used_twice_is_refused():
    tree = one_question()
    tree["data"] += copy.deepcopy(tree["data"])
    with pytest.raises(InputError, match=r"question q1 \(data\[1\].*has the id of an earlier question"):
        read(tree)


def test_a_bad_context_is_refused_with_its_place():
    tree = one_question()
    tree["data"][0]["paragraphs"][0]["context"] = "\t"
    with pytest.raises(InputError, match=r"dev\.json:data\[0\]\.paragraphs\[0\]: has an empty context"):
        read(tree)
    del tree["data"][0]["paragraphs"][0]["context"]
    with pytest.raises(InputError, match="has no context"):
        read(tree)


def test_half_a_character_is_refused():
    data = json.dumps(one_question(question="Wh\ud83d?")).encode()
    with pytest.raises(InputError, match=r"has half a character \(\\ud83d\) at position 2 of its question"):
        read(data)


@pytest.mark.parametrize("keep", [30, 100, 160])
def test_truncated_json_is_refused_with_line_and_column(keep):
    data = json.dumps(one_question(), indent=1).encode()[:keep]
    with pytest.raises(InputError, match=r"dev\.json:\d+:\d+: not valid JSON .*truncated"):
        read(data)


def test_broken_utf8_is_refused_with_its_line():
    data = json.dumps(one_question(), indent=1).encode().replace(b"Yes", b"Y\xffs")
    line = data[: data.index(b"\xff")].count(b"\n") + 1
    with pytest.raises(InputError, match=rf"dev\.json:{line}: not UTF-8 at byte \d+ of the file \(0xff\)"):
        read(data)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], r"dev\.json: holds a JSON list; expected SQuAD's object"),
        ({"rows": []}, r"dev\.json: has the keys 'rows'; expected the list 'data'"),
        ({"data": [{"title": "T"}]}, r"dev\.json:data\[0\]: has the keys 'title'; expected the list 'paragraphs'"),
        ({"data": []}, r"dev\.json: holds no question"),
    ],
)
def test_other_json_is_refused(tree, message):
    with pytest.raises(InputError, match=message):
        read(tree)


def test_files_are_found_by_version_and_by_plain_names():
    names = ["train-v1.1.json", "train-v2.0.json", "dev-v1.1.json", "dev-v2.0.json", "evaluate-v2.0.py"]
    assert find_files(names, version_2=False) == {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}
    assert find_files(names, version_2=True) == {"train": "train-v2.0.json", "validation": "dev-v2.0.json"}
    plain = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
    assert find_files(["dev.json", "test.json", "train.json"], version_2=True) == plain


def test_the_official_name_comes_first_and_of_several_others_none():
    assert find_files(["train-v1.1 (1).json", "train-v1.1.json"], version_2=False) == {"train": "train-v1.1.json"}
    assert find_files(["train.json", "train-v2.0.json"], version_2=True) == {"train": "train-v2.0.json"}
    assert find_files(["train-v1.0.json"], version_2=False) == {"train": "train-v1.0.json"}
    assert find_files(["train-v1.0.json", "train.json"], version_2=False) == {}


# ------------------------------------------------------------------------------------------------------ windows


def test_windows_step_by_the_stride_and_end_at_the_end():
    assert window_spans(10, 4, 3) == [(0, 4), (3, 7), (6, 10)]
    assert window_spans(11, 4, 3) == [(0, 4), (3, 7), (6, 10), (9, 11)]
    assert window_spans(4, 4, 3) == [(0, 4)]
    assert window_spans(0, 4, 3) == [(0, 0)]
    assert window_spans(9, 4, 100) == [(0, 4), (4, 8), (8, 9)]


def test_the_maximum_context_window_is_the_one_of_the_original_loop():
    for total, room, stride in [(10, 4, 3), (23, 8, 3), (40, 9, 4), (7, 9, 2), (30, 10, 20)]:
        spans = window_spans(total, room, stride)
        ours = max_context(spans, total)
        for position in range(total):
            best, best_score = None, None
            for index, (start, end) in enumerate(spans):
                if start <= position < end:
                    score = min(position - start, end - 1 - position) + 0.01 * (end - start)
                    if best_score is None or score > best_score:
                        best, best_score = index, score
            marked = [
                i for i, (start, end) in enumerate(spans) if start <= position < end and ours[i][position - start]
            ]
            assert marked == [best]


def test_window_options_without_room_for_a_context_are_refused():
    with pytest.raises(InputError, match="max_length 67 leaves no room for a context"):
        WindowOptions(max_length=67)


def test_the_answer_read_back_from_its_positions_is_the_gold_text(vocabulary):
    paragraphs, _ = read(make_tree(30))
    gold = {q["id"]: (p["context"], q["answers"][0]["text"]) for p in paragraphs for q in p["questions"]}
    held = set()
    for options in (WindowOptions(), WindowOptions(max_length=80, doc_stride=24, query_length=16)):
        for window in encode_paragraphs(paragraphs, vocabulary, options, evaluation=True):
            record = window.features
            context, text = gold[record["example_id"].decode()]
            start, end = record["start_positions"][0], record["end_positions"][0]
            assert bool(start) == window.answer == (not record["is_impossible"][0])
            if start:
                held.add(record["example_id"].decode())
                assert context[record["offset_starts"][start] : record["offset_ends"][end]] == text
                assert window.exact
                assert record["paragraph_mask"][start] == record["paragraph_mask"][end] == 1
    assert held == set(gold)


def test_an_answer_inside_a_piece_takes_the_whole_piece_and_is_counted_inexact(vocabulary):
    tree = one_question(answers=[{"text": "d", "answer_start": 5}])
    paragraphs, _ = read(tree)
    (window,) = encode_paragraphs(
        paragraphs, Vocabulary(train_vocabulary(["Yes Ada did."] * 50, 14)), WindowOptions(), evaluation=True
    )
    start, end = window.features["start_positions"][0], window.features["end_positions"][0]
    shown = paragraphs[0]["context"][window.features["offset_starts"][start] : window.features["offset_ends"][end]]
    assert "d" in shown
    assert window.exact == (shown == "d")


def test_spaces_around_an_answer_do_not_move_its_positions(vocabulary):
    spans = []
    for text, at in (("Ada", 4), (" Ada ", 3)):
        paragraphs, _ = read(one_question(answers=[{"text": text, "answer_start": at}]))
        (window,) = encode_paragraphs(paragraphs, vocabulary, WindowOptions())
        spans.append((window.features["start_positions"], window.features["end_positions"]))
    assert spans[0] == spans[1]


def test_a_record_is_cls_question_sep_window_sep(vocabulary):
    paragraphs, _ = read(one_question())
    (window,) = encode_paragraphs(paragraphs, vocabulary, WindowOptions(), evaluation=True)
    query, context = (ids.tolist() for ids in vocabulary.encode(["Who?", "Yes Ada did."]))
    record, sep = window.features, vocabulary.sep_id
    assert record["input_ids"] == [vocabulary.cls_id, *query, sep, *context, sep]
    assert record["segment_ids"] == [0] * (len(query) + 2) + [1] * (len(context) + 1)
    assert record["paragraph_mask"] == [0] * (len(query) + 2) + [1] * len(context) + [0]
    assert record["offset_starts"][: len(query) + 2] == [-1] * (len(query) + 2)
    assert record["offset_ends"][-1] == -1
    assert window.length == len(record["input_ids"])
    assert {
        len(record[name])
        for name in record
        if name not in ("unique_ids", "example_id", "start_positions", "end_positions", "is_impossible")
    } == {window.length}


def test_long_questions_are_cut_and_long_contexts_windowed_within_max_length(vocabulary):
    tree = make_tree(1)
    tree["data"][0]["paragraphs"][0]["qas"][0]["question"] = "Who? " * 100
    paragraphs, _ = read(tree)
    windows = list(
        encode_paragraphs(paragraphs, vocabulary, WindowOptions(max_length=64, doc_stride=16, query_length=20))
    )
    assert max(window.length for window in windows) == 64
    assert [window.question_cut for window in windows if window.first][:2] == [True, False]
    assert windows[0].features["segment_ids"].index(1) == 22


def test_unanswered_questions_point_at_cls(vocabulary):
    paragraphs, _ = read(one_question(answers=[], is_impossible=True), version_2=True)
    (window,) = encode_paragraphs(paragraphs, vocabulary, WindowOptions())
    assert window.features["start_positions"] == window.features["end_positions"] == [0]
    assert window.features["is_impossible"] == [1]
    assert window.answer is None


def test_unlabelled_and_training_records_leave_out_what_they_do_not_need(vocabulary):
    paragraphs, _ = read(one_question())
    (training,) = encode_paragraphs(paragraphs, vocabulary, WindowOptions())
    (unlabelled,) = encode_paragraphs(paragraphs, vocabulary, WindowOptions(), labelled=False, evaluation=True)
    names = {when: {f.name for f in FEATURES if f.when == when} for when in ("always", "labelled", "evaluation")}
    assert set(training.features) == names["always"] | names["labelled"]
    assert set(unlabelled.features) == names["always"] | names["evaluation"]


def test_unique_ids_follow_the_question_number_whatever_the_batches(vocabulary):
    paragraphs, _ = read(make_tree(6))
    options = WindowOptions(max_length=80, doc_stride=24, query_length=16)
    whole = [window.features for window in encode_paragraphs(paragraphs, vocabulary, options)]
    parts, number = [], 0
    for paragraph in paragraphs:
        parts += [
            window.features for window in encode_paragraphs([paragraph], vocabulary, options, first_question=number)
        ]
        number += len(paragraph["questions"])
    assert whole == parts
    ids = [record["unique_ids"][0] for record in whole]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_each_context_piece_is_best_in_exactly_one_window(vocabulary):
    paragraphs, _ = read(make_tree(3))
    options = WindowOptions(max_length=80, doc_stride=24, query_length=16)
    best = {}
    for window in encode_paragraphs(paragraphs, vocabulary, options, evaluation=True):
        question = best.setdefault(window.features["example_id"], [])
        question.append(sum(window.features["max_context"]))
    contexts = dict(zip(range(3), vocabulary.encode([p["context"] for p in paragraphs]), strict=True))
    for identifier, counts in best.items():
        assert sum(counts) == len(contexts[int(identifier.split(b"-")[0])])
    assert np.mean([len(counts) for counts in best.values()]) > 1
