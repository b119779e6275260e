"""Raw files to records: what every record holds, whatever the runner, and what the manifest says."""

import hashlib
import json

import numpy as np
import pytest

from bigbird.records import features
from bigbird.text.vocabulary import Vocabulary
from tests.components.preprocess.conftest import GOOD, squad_file


def _manifest(dataset):
    return json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))


def _records(dataset, split):
    names = _manifest(dataset)["splits"][split]["files"]
    return [features.decode(data) for name in names for data in features.read_records(dataset / name)]


def _vocabulary(dataset):
    facts = _manifest(dataset)["vocabulary"]
    return Vocabulary((dataset / facts["file"]).read_bytes(), lower_case=facts["lower_case"])


def _by_id(records):
    return {int(np.ravel(record["example_id"])[0]): record for record in records}


def test_a_sentence_is_cls_its_pieces_and_sep_unpadded(raw, run):
    dataset = run(
        "sst2", raw(**{"train.tsv": GOOD, "dev.tsv": GOOD, "test.tsv": "index\tsentence\n0\ta film\n1\tfine\n"})
    )
    vocabulary = _vocabulary(dataset)
    for split in ("train", "validation"):
        records = _by_id(_records(dataset, split))
        assert sorted(records) == list(range(30))
        for i, record in records.items():
            pieces = vocabulary.encode([f"a fine film of the year {1900 + i}"])[0].tolist()
            assert record["input_ids"].tolist() == [vocabulary.cls_id, *pieces, vocabulary.sep_id]
            assert not record["segment_ids"].any()
            assert record["label_ids"].tolist() == [i % 2]
    test = _by_id(_records(dataset, "test"))
    assert sorted(test) == [0, 1] and all("label_ids" not in record for record in test.values())


def test_the_manifest_counts_and_hashes_what_was_written(raw, run):
    dataset = run("sst2", raw(**{"train.tsv": GOOD, "dev.tsv": GOOD}), max_length=8)
    manifest = _manifest(dataset)
    assert (manifest["task"], manifest["labels"], manifest["max_length"]) == ("sst2", ["0", "1"], 8)
    assert manifest["rejected"] == 0
    for split, facts in manifest["splits"].items():
        records = _records(dataset, split)
        lengths = [len(record["input_ids"]) for record in records]
        assert (facts["examples"], facts["records"], facts["longest"]) == (30, len(records), max(lengths))
        assert max(lengths) == 8  # all are longer and were cut
        assert (facts["truncated"], facts["tokens"], facts["lengths"]) == (30, 240, [[16, 30]])
        assert (facts["labels"], facts["labelled"]) == ({"0": 15, "1": 15}, True)
        assert facts["files"] == [f"{split}-00000-of-00001.tfrecord"]
    model = (dataset / manifest["vocabulary"]["file"]).read_bytes()
    assert hashlib.sha256(model).hexdigest() == manifest["vocabulary"]["sha256"]
    assert manifest["vocabulary"]["trained_here"] is True
    assert not any(part.startswith(("/", "~")) for part in json.dumps(manifest).split('"'))


def test_a_pair_has_two_types_and_quotes_are_text(raw, run):
    """MRPC's own traits: a byte order mark, and quotation marks that open a field and never close."""
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    rows = "".join(f'{i % 2}\t{i}\t{i}\t"he said " no {i}\t"she said yes {i}\n' for i in range(20))
    dataset = run("mrpc", raw(**{"train.tsv": header + rows, "dev.tsv": header + rows}))
    vocabulary, records = _vocabulary(dataset), _by_id(_records(dataset, "validation"))
    assert sorted(records) == list(range(20))
    for i, record in records.items():
        a, b = (vocabulary.encode([text])[0].tolist() for text in (f'"he said " no {i}', f'"she said yes {i}'))
        cls, sep = vocabulary.cls_id, vocabulary.sep_id
        assert record["input_ids"].tolist() == [cls, *a, sep, *b, sep]
        assert record["segment_ids"].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
        assert record["label_ids"].tolist() == [i % 2]


def test_cola_has_no_header_and_stsb_has_numbers(raw, run):
    cola = "".join(f"gj04\t{i % 2}\t\tthe sailors rode the breeze {i}\n" for i in range(20))
    records = _by_id(_records(run("cola", raw(**{"train.tsv": cola, "dev.tsv": cola}), out="cola"), "train"))
    assert [int(records[i]["label_ids"][0]) for i in range(20)] == [0, 1] * 10
    stsb = "index\tsentence1\tsentence2\tscore\n" + "".join(
        f"{i}\ta plane {i}\tan air plane {i}\t{i / 4}\n" for i in range(20)
    )
    dataset = run("stsb", raw(**{"train.tsv": stsb, "dev.tsv": stsb}), out="stsb")
    records = _by_id(_records(dataset, "train"))
    assert [float(records[i]["label_ids"][0]) for i in range(20)] == [i / 4 for i in range(20)]
    assert records[0]["label_ids"].dtype == np.float32
    assert _manifest(dataset)["labels"] is None


def _article(i):
    filler = " ".join(f"word{j}" for j in range(40))
    context = f"  {filler}  the gâteau\u00a0was made by “Zoë {i}” .\n{filler}"
    answer = f"“Zoë {i}”"
    asked = [
        {
            "id": f"q{i}-{n}",
            "question": "who made it ?" + " really" * n,
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
        for n in range(2)
    ]
    return {"title": f"t{i}", "paragraphs": [{"context": context, "qas": asked}]}


def test_windows_cover_the_context_and_offsets_give_the_answer_back(raw, run):
    file = {"version": "1.1", "data": [_article(i) for i in range(6)]}
    dataset = run(
        "squad_v1",
        raw(**{"train-v1.1.json": file, "dev-v1.1.json": file}),
        max_length=128,
        doc_stride=48,
        query_length=16,
        vocabulary_size=70,
    )
    vocabulary = _vocabulary(dataset)
    contexts = {q["id"]: a["paragraphs"][0]["context"] for a in file["data"] for q in a["paragraphs"][0]["qas"]}
    of_context = {text: vocabulary.encode_with_offsets([text])[0] for text in contexts.values()}
    questions = {q["id"]: q for a in file["data"] for q in a["paragraphs"][0]["qas"]}
    seen, answered = {}, set()
    for record in _records(dataset, "validation"):
        key = record["example_id"].decode()
        context, question = contexts[key], questions[key]
        ids, inside = record["input_ids"], record["paragraph_mask"] == 1
        assert len(ids) <= 128 and ids[0] == vocabulary.cls_id
        pieces = vocabulary.encode([question["question"]])[0].tolist()[:16]
        assert ids[1 : 1 + len(pieces)].tolist() == pieces and ids[1 + len(pieces)] == ids[-1] == vocabulary.sep_id
        window = int(record["unique_ids"][0]) % 100_000
        whole = of_context[context]
        here = slice(48 * window, 48 * window + int(inside.sum()))  # windows of one context are cuts of the same pieces
        assert inside.sum() == min(128 - len(pieces) - 3, len(whole.ids) - 48 * window)
        assert ids[inside].tolist() == whole.ids[here].tolist()
        starts, ends = record["offset_starts"], record["offset_ends"]
        assert starts[inside].tolist() == whole.starts[here].tolist()
        assert ends[inside].tolist() == whole.ends[here].tolist()
        assert (starts[~inside] == -1).all()
        seen.setdefault(key, set()).update(
            c for s, e in zip(starts[inside], ends[inside], strict=True) for c in range(s, e)
        )
        first, last = int(record["start_positions"][0]), int(record["end_positions"][0])
        if record["is_impossible"][0]:
            assert (first, last) == (0, 0)
        else:
            answer = question["answers"][0]
            assert context[starts[first] : ends[last]].strip() == answer["text"]
            answered.add(key)
    assert answered == set(contexts)
    for key, context in contexts.items():
        missed = [char for place, char in enumerate(context) if place not in seen[key]]
        assert not "".join(missed).strip()
    records, facts = _records(dataset, "validation"), _manifest(dataset)["splits"]["validation"]
    assert len(records) > 1.5 * len(contexts)
    assert (facts["examples"], facts["records"], facts["truncated"]) == (12, len(records), 0)
    assert facts["tokens"] == sum(len(record["input_ids"]) for record in records)
    assert facts["answer_windows"] == sum(not record["is_impossible"][0] for record in records)
    assert (facts["labels"], facts["lost_answers"], facts["exact_answers"]) == ({"answered": 12}, 0, 12)
    # every piece of a context counts in one window only
    shown = {
        key: sum(int(r["max_context"].sum()) for r in records if r["example_id"].decode() == key) for key in contexts
    }
    assert shown == {key: len(of_context[text].ids) for key, text in contexts.items()}
    # training records lack what only evaluation reads
    train = _records(dataset, "train")
    assert [r["input_ids"].tolist() for r in train] == [r["input_ids"].tolist() for r in records]
    assert all(not r.keys() & {"example_id", "offset_starts", "offset_ends", "max_context"} for r in train)
    kept = [
        json.loads(line) for line in (dataset / "validation.examples.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [paragraph["context"] for paragraph in kept] == [a["paragraphs"][0]["context"] for a in file["data"]]


def test_version_2_marks_what_has_no_answer(raw, run):
    tree = squad_file()
    asked = tree["data"][0]["paragraphs"][0]["qas"]
    asked.append({"id": "q2", "question": "who sold it ?", "answers": [], "is_impossible": True})
    dataset = run("squad_v2", raw(**{"train-v2.0.json": tree, "dev-v2.0.json": tree}), query_length=16, max_length=128)
    records = {record["example_id"].decode(): record for record in _records(dataset, "validation")}
    assert {key: int(record["is_impossible"][0]) for key, record in records.items()} == {"q1": 0, "q2": 1}
    assert (records["q2"]["start_positions"][0], records["q2"]["end_positions"][0]) == (0, 0)  # [CLS]
    assert _manifest(dataset)["splits"]["validation"]["labels"] == {"answered": 1, "unanswered": 1}
    assert _manifest(dataset)["version_2"] is True


def _files(dataset):
    """Name -> bytes, of all but the report."""
    return {path.name: path.read_bytes() for path in dataset.iterdir() if path.name != "report.html"}


def test_two_runs_and_two_processes_write_the_same_bytes(tmp_path, raw, run, capfd):
    """10,000 rows are two files, so that both processes have some."""
    rows = "".join(f"film {i % 97} was {'fine' if i % 3 else 'dull'}\t{int(i % 3 > 0)}\n" for i in range(10_000))
    folder = raw(**{"train.tsv": "sentence\tlabel\n" + rows, "dev.tsv": GOOD})
    first = run("sst2", folder, out="first")
    assert run("sst2", folder, out="second") != first
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    capfd.readouterr()
    run("sst2", folder, out="third", beam_options=options)
    assert "WARNING" not in capfd.readouterr().err
    facts = _manifest(first)["splits"]["train"]
    assert facts["files"] == ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"]
    assert facts["examples"] == facts["records"] == 10_000
    assert [int(record["example_id"][0]) for record in _records(first, "train")] == list(range(10_000))
    assert len(_files(first)) == 6  # three of records, the vocabulary, the validation examples, the manifest
    assert _files(tmp_path / "second") == _files(first)
    assert _files(tmp_path / "third") == _files(first)


def test_squads_bytes_are_the_same_on_two_processes(raw, run):
    file = {"version": "1.1", "data": [_article(i) for i in range(1100)]}  # 2,200 questions: two files
    folder = raw(**{"train-v1.1.json": file})
    options = {"max_length": 64, "doc_stride": 48, "query_length": 16, "vocabulary_size": 70}
    first = run("squad_v1", folder, out="first", **options)
    workers = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    second = run("squad_v1", folder, out="second", beam_options=workers, **options)
    assert len(_manifest(first)["splits"]["train"]["files"]) == 2
    assert _files(second) == _files(first)
    numbers = [int(record["unique_ids"][0]) // 100_000 for record in _records(first, "train")]
    assert numbers == sorted(numbers) and set(numbers) == set(range(2200))


def test_special_pieces_are_found_by_their_names(raw, run):
    """A vocabulary with them at other places than the published one's."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"a fine film of the year {i}" for i in range(1900, 1960)]),
        model_writer=model,
        vocab_size=60,
        minloglevel=2,
        bos_id=-1,
        eos_id=-1,
        pad_id=3,
        unk_id=0,
        user_defined_symbols=["[MASK]", "[SEP]", "[CLS]"],
        hard_vocab_limit=False,
    )
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD, "own.model": model.getvalue()})
    dataset = run("sst2", folder, vocabulary=str(folder / "own.model"))
    vocabulary = _vocabulary(dataset)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    assert (vocabulary.cls_id, vocabulary.sep_id) == (processor.piece_to_id("[CLS]"), processor.piece_to_id("[SEP]"))
    for record in _records(dataset, "train"):
        assert (record["input_ids"][0], record["input_ids"][-1]) == (vocabulary.cls_id, vocabulary.sep_id)
    facts = _manifest(dataset)["vocabulary"]
    assert (dataset / facts["file"]).read_bytes() == model.getvalue()
    assert (facts["trained_here"], facts["size"]) == (False, processor.get_piece_size())


def test_text_cannot_hold_special_pieces(raw, run):
    """A vocabulary whose markup matches inside text, as the published one's does."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"a fine film [of] (the) year {i}" for i in range(1900, 1960)]),
        model_writer=model,
        vocab_size=60,
        minloglevel=2,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        hard_vocab_limit=False,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
    )
    folder = raw(**{"train.tsv": GOOD + "a film [SEP] of [CLS] the year [MASK]\t1\n", "own.model": model.getvalue()})
    dataset = run("sst2", folder, vocabulary=str(folder / "own.model"))
    ids, vocabulary = _by_id(_records(dataset, "train"))[30]["input_ids"].tolist(), _vocabulary(dataset)
    assert (ids.count(vocabulary.cls_id), ids.count(vocabulary.sep_id), ids.count(vocabulary.mask_id)) == (1, 1, 0)


def test_lower_case_is_the_vocabularys_and_stated(raw, run):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD.replace("a fine film", "A FINE Film")})
    dataset = run("sst2", folder, lower_case=True)
    assert _manifest(dataset)["vocabulary"]["lower_case"] is True
    train, validation = _by_id(_records(dataset, "train")), _by_id(_records(dataset, "validation"))
    assert [train[i]["input_ids"].tolist() for i in train] == [validation[i]["input_ids"].tolist() for i in train]


def test_bad_questions_are_skipped_counted_and_listed(raw, run):
    tree = squad_file()
    asked = tree["data"][0]["paragraphs"][0]["qas"]
    asked.append({"id": "q2", "question": "who sold it ?", "answers": [{"text": "bob", "answer_start": 0}]})
    asked.append({"id": "q1", "question": "again ?", "answers": asked[0]["answers"]})
    folder = raw(**{"train-v1.1.json": tree})
    dataset = run("squad_v1", folder, max_bad_records=2, query_length=16, max_length=128)
    manifest = _manifest(dataset)
    assert (manifest["rejected"], manifest["splits"]["train"]["examples"]) == (2, 1)
    listed = [json.loads(line) for line in (dataset / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["where"] for entry in listed] == [
        "question q2 (data[0].paragraphs[0].qas[1])",
        "question q1 (data[0].paragraphs[0].qas[2])",
    ]
    assert "has the id of an earlier question" in listed[1]["problem"]
    assert json.loads(listed[0]["record"])["answers"] == [{"text": "bob", "answer_start": 0}]
    page = (dataset / "report.html").read_text(encoding="utf-8")
    assert "2 records left out" in page and "question q2" in page


@pytest.mark.parametrize("names", [("train.tsv", "dev.tsv"), ("a.txt", "b.txt")])
def test_files_may_be_named_one_by_one(raw, run, names):
    folder = raw(**dict.fromkeys(names, GOOD))
    train, validation = (str(folder / name) for name in names)
    dataset = run("sst2", train_file=train, validation_file=validation)
    assert sorted(_manifest(dataset)["splits"]) == ["train", "validation"]


def test_a_question_above_its_length_is_cut_and_counted(raw, run):
    tree = squad_file(question="who built it ? " * 20)
    tree["data"][0]["paragraphs"][0]["qas"].append(squad_file(id="q2")["data"][0]["paragraphs"][0]["qas"][0])
    dataset = run("squad_v1", raw(**{"train-v1.1.json": tree}), query_length=30, max_length=128)
    long, short = _records(dataset, "train")
    vocabulary = _vocabulary(dataset)
    pieces = vocabulary.encode(["who built it ? " * 20])[0].tolist()
    assert len(pieces) > 30
    assert long["input_ids"][:32].tolist() == [vocabulary.cls_id, *pieces[:30], vocabulary.sep_id]
    assert short["segment_ids"].tolist().index(1) < 32
    assert _manifest(dataset)["splits"]["train"]["truncated"] == 1
