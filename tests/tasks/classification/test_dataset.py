import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigbird.support.errors import InputError
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import read_dataset
from bigbird.tasks.records import BadRecords, has_text
from tests.tasks.classification.table_examples import Example, examples, examples_of


def table(labels, texts=None, header="text,label"):
    """CSV with a text of its own for each label."""
    texts = texts or [f"text {number}" for number in range(len(labels))]
    return "\n".join([header, *(f"{text},{label}" for text, label in zip(texts, labels, strict=True))]) + "\n"


def refused(dataset, **options):
    with pytest.raises(InputError) as told:
        dataset(**options)
    assert len(str(told.value)) < 1000
    return str(told.value)


def notices(found):
    assert all(len(notice.message) < 500 and notice.remedy for notice in found.notices)
    return [(notice.message, notice.count) for notice in found.notices]


# ---------------------------------------------------------------------------------------------- kinds


def test_one_label_in_each_record_is_found_told_and_split(write, dataset):
    path = write("a.csv", table(["pos", "neg", "pos", "neg", "pos"] * 20))
    found = dataset(files=path)
    assert (found.kind, found.labels) == ("single", ["neg", "pos"])
    assert found.kind_told == (
        "'label' holds one label in each record, 2 different ones; if that is wrong, set kind to multi or number (--kind)"
    )
    assert found.sizes == {"train": 90, "validation": 10}
    assert found.label_counts == {"train": {"neg": 36, "pos": 54}, "validation": {"neg": 4, "pos": 6}}
    assert found.labelled == {"train", "validation"}
    assert found.notices == []
    found_examples = examples(found)
    assert len(found_examples) == 100
    assert found_examples[0] == ("train", Example("a.csv:2", path, 2, "text 0", None, "pos"))
    assert [example.line for example in examples_of(found, "validation")] == [
        example.line for split, example in found_examples if split == "validation"
    ]
    assert dataset(files=path, kind="single").kind_told == ""


@given(
    st.lists(st.text().filter(lambda text: "\0" not in text and has_text(text)), min_size=2, max_size=20, unique=True)
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_are_the_bytes_that_pythons_json_writes(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("lines") / "a.parquet"
    pq.write_table(pa.table({"text": texts, "label": ["a"] * len(texts), "id": texts}), path)
    section = TableData(files=str(path), id="id", kind="multi", label_separator=",", validation_fraction=0)
    for _, line, _ in read_dataset(section, BadRecords(), BytesIO()).lines():
        assert line == json.dumps(json.loads(line), ensure_ascii=False).encode() + b"\n"
        assert json.loads(line)["text_a"] in texts


def test_a_file_whose_name_is_no_utf_8_is_read_and_named_by_its_escape(write, dataset):
    path = write("a\udcff.csv", table(["pos", "neg"] * 20))
    (_, first), *_ = examples(dataset(files=path))
    assert (first.name, first.file) == ("a\\udcff.csv:2", path.replace("\udcff", "\\udcff"))


def test_a_label_keeps_its_zeros_and_numbers_are_sorted_by_value(write, dataset):
    assert dataset(files=write("a.csv", table(["007", "08"] * 20))).labels == ["007", "08"]
    assert dataset(files=write("b.csv", table(["10", "9", "1"] * 20))).labels == ["1", "9", "10"]


def test_several_labels_with_a_separator(write, dataset):
    rows = ["b; a", "", "a;c;a", " ;b", "c"] * 20
    found = dataset(files=write("a.csv", table(rows)), label_separator=";", validation_fraction=0)
    assert (found.kind, found.labels, found.sizes) == ("multi", ["a", "b", "c"], {"train": 100})
    assert (
        "'label' holds several labels in each record, 3 different ones; if that is wrong, set kind to single or number"
        in found.kind_told
    )
    assert [example.label for _, example in examples(found)][:5] == [["a", "b"], [], ["a", "c"], ["b"], ["c"]]
    assert found.label_counts == {"train": {"a": 40, "b": 40, "c": 40}}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_lists_are_several_labels(write, tmp_path, dataset, form):
    labels = [["b", "a"], [], ["a"], ["c"]] * 20
    texts = [f"t{number}" for number in range(80)]
    if form == "jsonl":
        path = write(
            "a.jsonl", "".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in zip(texts, labels, strict=True))
        )
    else:
        path = str(tmp_path / "a.parquet")
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    found = dataset(files=path)
    assert (found.kind, found.labels, found.sizes) == ("multi", ["a", "b", "c"], {"train": 72, "validation": 8})
    assert [example.label for _, example in examples(found)] == [sorted(names) for names in labels]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"{number / 7:.3f}" for number in range(60)], "number"),
        ([str(3 * number) for number in range(150)], "number"),
        ([str(number / 2) for number in range(3000)], "number"),
        ([str(number % 77) for number in range(500)], "single"),
        ([f"{number % 9 / 2}" for number in range(100)], "single"),
        ([f"{number % 300:03d}" for number in range(1000)], "single"),
    ],
)
def test_numbers_with_many_values_are_a_number(write, dataset, values, kind):
    found = dataset(files=write("a.csv", table(values)))
    assert found.kind == kind
    labels = [example.label for _, example in examples(found)]
    assert labels == [float(value) if kind == "number" else value for value in values]
    if kind == "number":
        assert found.labels == [] and found.label_counts == {}
        assert (
            "holds numbers with many different values, so a number is learnt; if that is wrong, set kind to single"
            in found.kind_told
        )


@pytest.mark.parametrize("order", [1, -1])
def test_a_column_that_counts_the_records_is_no_label(write, dataset, order):
    path = write("a.csv", table([str(number) for number in range(10, 310)][::order]))
    message = refused(dataset, files=path)
    assert message == (
        "column 'label' counts the records: it has the 300 numbers from 10 to 309, each once; expected labels. Name the label's "
        "column with label (--label), or set kind to number (--kind number) if that is what is to be learnt"
    )
    assert dataset(files=path, kind="number").kind == "number"


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("other", ["n/a", "?", "1e999"])
def test_another_splits_label_that_is_no_number_is_told_where_training_holds_numbers(write, dataset, split, other):
    train = write("train.csv", table([f"{number / 7:.3f}" for number in range(60)]))
    more = write("more.csv", table(["0.5", other]))
    with pytest.raises(
        InputError, match=r"more\.csv:3: has '.*' in column 'label', which holds numbers in the training split"
    ):
        dataset(**{"train": train, split: more})


def test_numbers_are_read_where_the_kind_is_number(write, dataset):
    found = dataset(files=write("a.csv", table(["1", " 2.5 ", "-3e1", "04"] * 5)), kind="number")
    assert [example.label for _, example in examples(found)][:4] == [1.0, 2.5, -30.0, 4.0]


def test_json_numbers_and_truth_values_as_labels(write, dataset):
    lines = [{"text": f"t{i}", "label": [0, 1, 1.0, 2][i % 4]} for i in range(40)]
    found = dataset(files=write("a.jsonl", "\n".join(map(json.dumps, lines))))
    assert (found.kind, found.labels) == ("single", ["0", "1", "2"])
    lines = [{"text": f"t{i}", "label": i % 2 == 0} for i in range(40)]
    assert dataset(files=write("b.jsonl", "\n".join(map(json.dumps, lines)))).labels == ["false", "true"]


def test_whole_numbers_that_parquet_keeps_with_a_fraction(tmp_path, dataset):
    pq.write_table(pa.table({"text": [f"t{i}" for i in range(40)], "label": [0.0, 1.0] * 20}), tmp_path / "a.parquet")
    assert dataset(files=str(tmp_path / "a.parquet")).labels == ["0", "1"]


# ---------------------------------------------------------------------------------------------- splits


def test_named_splits(write, dataset):
    train, dev, test = (
        write(f"{name}.csv", table(["a", "b"] * size, [f"{name} {i}" for i in range(2 * size)]))
        for name, size in [("x", 10), ("y", 4), ("z", 3)]
    )
    found = dataset(train=train, validation=dev, test=test)
    assert found.sizes == {"train": 20, "validation": 8, "test": 6}
    assert {(split, example.file) for split, example in examples(found)} == {
        ("train", train),
        ("validation", dev),
        ("test", test),
    }


def test_what_is_not_named_is_cut_from_training(write, dataset):
    train, test = (write(f"{name}.csv", table(["a", "b"] * 50, [f"{name} {i}" for i in range(100)])) for name in "xz")
    assert dataset(train=train, test=test).sizes == {"train": 90, "validation": 10, "test": 100}
    assert dataset(train=train, test_fraction=0.2).sizes == {"train": 70, "validation": 10, "test": 20}
    assert dataset(train=train, validation_fraction=0).sizes == {"train": 100}


def test_a_test_split_without_labels(write, dataset):
    train = write("x.csv", table(["a", "b"] * 20))
    for name, content in (
        ("t.csv", "text\none\ntwo\n"),
        ("u.csv", "text,label\none,\ntwo, \n"),
        ("v.jsonl", '{"text": "one"}\n{"text": "two", "label": null}'),
    ):
        found = dataset(train=train, test=write(name, content))
        assert [example.label for example in examples_of(found, "test")] == [None, None]
        assert found.labelled == {"train", "validation"}
        assert set(found.label_counts) == {"train", "validation"}
    assert dataset(
        train=write("n.csv", table(["1", "2"] * 20)), kind="number", test=write("w.csv", "text\none\n")
    ).labelled == {"train", "validation"}
    multi = dataset(train=train, label_separator=";", test=write("s.csv", "text\none\n"))
    assert [example.label for example in examples_of(multi, "test")] == [None]


def test_a_test_split_with_some_labels_is_refused(write, dataset):
    train, test = write("x.csv", table(["a", "b"] * 20)), write("t.csv", "text,label\none,a\ntwo,\nthree,b\n")
    message = refused(dataset, train=train, test=test)
    assert message.startswith(
        f"{test}:3: has no label in column 'label', like 1 of 3 records of the test split; expected a label in all"
    )


def test_groups_stay_together(write, dataset):
    lines = ["text,label,author", *(f"t{i},{'ab'[i % 2]},author {i % 20}" for i in range(200))]
    found = dataset(files=write("a.csv", "\n".join(lines)), group="author", test_fraction=0.1)
    where = {}
    for split, example in examples(found):
        where.setdefault((example.line - 2) % 20, set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())
    assert found.sizes == {"train": 160, "validation": 20, "test": 20}


def test_equal_texts_stay_together_without_groups(write, dataset):
    texts = [f"text {i // 2}" for i in range(200)]
    found = dataset(files=write("a.csv", table(["a", "a", "b", "b"] * 50, texts)))
    splits = {}
    for split, example in examples(found):
        splits.setdefault(example.text_a, set()).add(split)
    assert all(len(where) == 1 for where in splits.values())
    assert found.sizes == {"train": 180, "validation": 20}
    assert found.notices == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=30, max_size=60),
    seed=st.integers(0, 99),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_split_does_not_depend_on_the_order_of_records_and_files(tmp_path_factory, labels, seed, shuffle):
    if len(set(labels)) < 2:
        labels = [*labels, "a", "b"]
    folder = tmp_path_factory.mktemp("order")
    rows = [(f"text {i}", label) for i, label in enumerate(labels)]

    def splits(names, rows):
        for number, name in enumerate(names):
            part = rows[number :: len(names)]
            (folder / name).write_text(table([label for _, label in part], [text for text, _ in part]))
        section = TableData(files=[str(folder / name) for name in names], seed=seed, test_fraction=0.2)
        return {example.text_a: split for split, example in examples(read_dataset(section, BadRecords(), BytesIO()))}

    first = splits(["a.csv"], rows)
    shuffle.shuffle(rows)
    assert splits(["z.csv", "b.csv", "c.csv"], rows) == first
    assert len(first) == len(labels)


def test_too_few_records_to_cut_from(write, dataset):
    path = write("a.csv", table(["a", "b"]))
    message = refused(dataset, files=path)
    assert message.startswith(f"{path}: has too few records (2) to cut validation from")
    assert message.endswith(
        "Name the validation split's files with validation (--validation-file), or set validation_fraction (--validation-fraction) to 0"
    )
    assert dataset(files=path, validation_fraction=0).sizes == {"train": 2}


def test_files_of_one_name_are_told_apart(write, tmp_path, dataset):
    for folder in ("x", "y"):
        write(f"{folder}/a.csv", table(["a", "b"], [f"{folder} 1", f"{folder} 2"]))
    found = dataset(files=f"{tmp_path}/*/a.csv", validation_fraction=0)
    assert [example.name for _, example in examples(found)] == [
        f"{tmp_path}/{name}" for name in ("x/a.csv:2", "x/a.csv:3", "y/a.csv:2", "y/a.csv:3")
    ]


def test_an_empty_file_among_others_is_read_past(write, dataset):
    first, second = write("a.csv", "text,label\n"), write("b.csv", table(["a", "b"] * 10))
    found = dataset(files=[first, second])
    assert sum(found.sizes.values()) == 20


def test_pairs_and_names(write, dataset):
    lines = ["n,premise,hypothesis,label", *(f"{i},p{i // 2},h{i},{'ab'[i % 2]}" for i in range(40))]
    found = dataset(files=write("a.csv", "\n".join(lines)), text="premise", text_b="hypothesis", id="n")
    assert [example.name for _, example in examples(found)] == [str(i) for i in range(40)]
    assert examples(found)[0][1][3:] == ("p0", "h0", "a")


# ---------------------------------------------------------------------------------------------- mistakes


def test_all_bad_records_are_counted_before_they_are_refused(write, dataset):
    lines = ["text,label", "one,a", ",a", "two,", "three", "four,b", " ,b", "five,a,x"]
    path = write("a.csv", "\n".join(lines))
    message = refused(dataset, files=path)
    assert message == (
        f"{path}:3: has an empty text in column 'text'; expected text\n"
        f"{path}:4: has no label in column 'label'; expected a label\n"
        f"{path}:5: has 1 value; expected 2, separated by a comma: 'text', 'label'\n"
        "and 2 more. 5 bad records. Correct them, or skip such records with --max-bad-records 5"
    )
    assert "5 bad records, of at most 4" in refused(dataset, files=path, limit=4)
    found = dataset(files=path, limit=5, validation_fraction=0)
    assert [example.text_a for _, example in examples(found)] == ["one", "four"]
    assert [record["where"] for record in found.rejected] == ["3", "4", "5", "7", "8"]


def test_records_that_are_all_bad_are_not_to_be_skipped(write, dataset):
    path = write("a.csv", "text,label\n,a\n,b\n")
    assert refused(dataset, files=path).endswith(
        "2 bad records. No record can be used: see that format, delimiter and the columns are right"
    )


def test_very_many_bad_records_end_the_pass(write, dataset):
    path = write("a.csv", "text,label\n" + "one\n" * 20_000)
    message = refused(dataset, files=path)
    assert "10,001 bad records at least" in message and message.endswith("with --max-bad-records and a larger number")


def test_a_file_without_records(write, dataset):
    path = write("a.csv", "text,label\n")
    assert (
        refused(dataset, files=path)
        == f"{path}: has a header and no records, or nothing; expected records of the train split"
    )
    bad = write("b.csv", "text,label\n,a\n")
    assert f"{bad}: every record was rejected" in refused(dataset, files=bad, limit=1)


def test_a_label_that_training_has_not(write, dataset):
    train, dev = (
        write("x.csv", table(["a", "b"] * 3)),
        write("y.csv", table(["a", "c", "b", "c"], ["1", "2", "3", "4"])),
    )
    message = refused(dataset, train=train, validation=dev)
    assert message == (
        f"{dev}:3: has the label 'c' in column 'label', which is in 2 validation records and in none of training; training has "
        "'a', 'b'. Correct it, or add training records with it"
    )


@pytest.mark.parametrize("value", ["three", "nan", "inf", "-Infinity", "1_000", "3,5", "0x10", "1e999"])
def test_a_value_that_is_no_number(write, dataset, value):
    path = write("a.csv", f'text,label\none,1\ntwo,"{value}"\nthree,2\n')
    message = refused(dataset, files=path, kind="number")
    assert message.startswith(
        f"{path}:3: has {value!r} in column 'label'; expected a finite number, as kind is number, such as 3 or 3.5"
    )
    assert dataset(files=path, kind="number", limit=1, validation_fraction=0).sizes == {"train": 2}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_json_numbers_that_are_none(write, dataset, value):
    path = write(
        "a.jsonl", f'{{"text": "a", "label": 1}}\n{{"text": "b", "label": {value}}}\n{{"text": "c", "label": 2}}\n'
    )
    shown = "nan" if value == "NaN" else "inf"
    assert f"{path}:2: has the label {shown} in column 'label'; expected a label or a finite number" in refused(
        dataset, files=path
    )
    assert f"{path}:2: has {shown} in column 'label'; expected a finite number" in refused(
        dataset, files=path, kind="number"
    )


def test_numbers_in_place_of_labels_are_refused(write, dataset):
    path = write("a.csv", table([f"{number}.5" for number in range(300)]))
    assert refused(dataset, files=path, kind="single") == (
        "column 'label' has 300 different numbers in 300 training records, such as '0.5', '1.5', '2.5' and 297 more; expected labels "
        "that many records share, as kind is single. Set kind to number (--kind number)"
    )


def test_numbers_that_are_names_may_be_many(write, dataset):
    path = write("a.csv", table([str(number % 300) for number in range(3000)]))
    assert len(dataset(files=path, kind="single").labels) == 300


def test_a_mistake_among_many_numbers(write, dataset):
    for size in (50, 5000):
        path = write(
            "a.csv",
            table([f"{number}.5" for number in range(7)] + ["n/a"] + [f"{number}.25" for number in range(size)]),
        )
        message = refused(dataset, files=path)
        assert message.startswith(f"{path}:9: has 'n/a' in column 'label', which holds ")
        assert "set kind to number (--kind number) and skip such records with --max-bad-records" in message
        assert dataset(files=path, kind="number", limit=1).kind == "number"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ('"1"', "1", "has a number in column 'label', 1, and a text at {path}:1; expected one type of value"),
        ("1", '"1"', "has a text in column 'label', '1', and a number at {path}:1"),
        ("1", "true", "has a truth value in column 'label', True, and a number at {path}:1"),
        ('"a"', '["a"]', "has a list in column 'label', ['a'], and a text at {path}:1"),
        ('["a"]', '"a"', "has 'a' in column 'label'; expected a list of labels, as kind is multi"),
        ('"a"', '{"x": 1}', "has an object in column 'label', {{'x': 1}}; expected a label"),
        ('["a"]', "[1, null]", "has None among the labels in column 'label'"),
        ('["a"]', '[["b"]]', "has ['b'] among the labels in column 'label'"),
    ],
)
def test_values_of_several_types(write, dataset, first, second, message):
    path = write("a.jsonl", f'{{"text": "t", "label": {first}}}\n{{"text": "u", "label": {second}}}\n')
    assert f"{path}:2: {message.format(path=path)}" in refused(dataset, files=path)


def test_kinds_that_do_not_fit_the_values(write, dataset):
    lists = write("a.jsonl", '{"text": "t", "label": ["a"]}\n')
    for kind in ("single", "number"):
        assert f"{lists}:1: has a list in column 'label', ['a']; expected a" in refused(dataset, files=lists, kind=kind)
    plain = write("b.csv", table(["a", "b"]))
    message = refused(dataset, files=plain, kind="multi")
    assert (
        f"{plain}:2: has 'a' in column 'label'; expected a list of labels, as kind is multi. Name what stands between"
        in message
    )


def test_a_column_that_is_no_label(write, dataset):
    path = write("a.csv", table([f"name {number}" for number in range(50)]))
    assert "column 'label' has 50 different values in 50 training records, such as 'name 0'" in refused(
        dataset, files=path
    )
    long = write("c.csv", table(["word " * 200] * 30))
    assert f"{long}:2: has a label of 1,000 characters in column 'label', 'word word" in refused(dataset, files=long)
    many = write("b.csv", table([f"name {number}" for number in range(10_001)]))
    assert f"{many}:10002: column 'label' has more than 10,000 different labels, such as 'name 0'" in refused(
        dataset, files=many
    )


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"] * 30, {}, "column 'label' has only the label 'a' in the training split; expected two or more different labels"),
        ([""] * 30, {"label_separator": ";"}, "column 'label' has no label in the training split; expected a label in some of the records"),
        (["5"] * 30, {"kind": "number"}, "column 'label' has the number 5 in all training records; expected different ones"),
    ],
)  # fmt: skip
def test_labels_that_teach_nothing(write, dataset, labels, options, message):
    assert message in refused(dataset, files=write("a.csv", table(labels)), **options)


def test_ids_that_are_not_different(write, dataset):
    first = write("a.csv", "id,text,label\n1,one,a\n2,two,b\n")
    second = write("b.csv", "id,text,label\n3,three,a\n2,four,b\n1,five,a\n")
    assert refused(dataset, files=[first, second], id="id") == (
        f"{second}:3: has the same id in column 'id' as the record at {first}:3; expected another id for each record. Correct it, "
        "or leave id (--id) out: records are then named by file and line"
    )
    assert dataset(train=first, validation=write("c.csv", "id,text,label\n1,x,a\n"), id="id").sizes == {
        "train": 2,
        "validation": 1,
    }


def test_the_tables_are_read_once(write, dataset):
    path = write("a.csv", table(["a", "b"] * 10))
    found = dataset(files=path)
    Path(path).unlink()
    assert len(examples(found)) == 20
    assert examples(found) == examples(found)


# ---------------------------------------------------------------------------------------------- notices


def test_labels_with_one_record(write, dataset):
    found = dataset(files=write("a.csv", table(["a", "b"] * 20 + ["c", "d"])))
    assert notices(found) == [
        ("2 labels with one training record: 'c', 'd'", 2),
        ("2 labels of training without a validation record: 'c', 'd'", 2),
    ]
    assert found.label_counts["train"]["c"] == 1


def test_labels_that_differ_by_case_or_blanks(write, dataset):
    found = dataset(files=write("a.csv", table(["Pos", "pos", "neg", " pos ", "x  y", "x y"] * 20)))
    assert notices(found) == [("labels that differ by case or blanks only: ' pos ', 'Pos', 'pos'; 'x  y', 'x y'", 5)]


def test_labels_written_like_lists(write, dataset):
    found = dataset(files=write("a.csv", "text,label\n" + "".join(f"t{i},\"['a', 'b{i % 2}']\"\n" for i in range(40))))
    assert notices(found) == [("""2 labels written like a list: "['a', 'b0']", "['a', 'b1']\"""", 2)]


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_texts_with_two_labels(write, dataset, kind):
    one, two = ("1", "2") if kind == "number" else ("a", "b")
    labels = [one, two] * 20 + [one, two, two, one, one]
    texts = [f"text {i}" for i in range(40)] + ["same", "same", "same", "other", "other"]
    path = write("a.csv", table(labels, texts))
    options = {"label_separator": ";"} if kind == "multi" else {}
    found = dataset(files=path, kind=kind, **options)
    assert notices(found) == [(f"1 text with different labels in different records (first: {path}:42)", 1)]


def test_sets_of_labels_are_the_same_in_any_order(write, dataset):
    texts = ["same", "same", *(f"t{i}" for i in range(40))]
    found = dataset(files=write("a.csv", table(["a;b", "b;a", *["a", "b"] * 20], texts)), label_separator=";")
    assert found.notices == []


def test_texts_in_training_and_elsewhere(write, dataset):
    train = write("x.csv", table(["a", "b"] * 20))
    dev = write("y.csv", table(["a", "b", "a"], ["text 0", "text 5", "new"]))
    test = write("z.csv", table(["b", "a"], ["text 7", "text 0"]))
    found = dataset(train=train, validation=dev, test=test)
    assert notices(found) == [
        (f"3 records in training with a text that validation or test has too (first: {train}:2)", 3)
    ]
    assert "set drop_duplicates (--drop-duplicates) to leave them out" in found.notices[0].remedy
    dropped = dataset(train=train, validation=dev, test=test, drop_duplicates=True)
    assert notices(dropped) == [
        (f"3 records left out of training, as validation or test has the same text (first: {train}:2)", 3)
    ]
    assert dropped.sizes == {"train": 37, "validation": 3, "test": 2}
    assert {"text 0", "text 5", "text 7"}.isdisjoint(example.text_a for example in examples_of(dropped, "train"))
    assert dropped.label_counts["train"] == {"a": 19, "b": 18}


def test_all_of_training_is_validation_too(write, dataset):
    train, dev = write("x.csv", table(["a", "b"])), write("y.csv", table(["a", "b"]))
    assert "no record is left to train on" in refused(dataset, train=train, validation=dev, drop_duplicates=True)


def test_groups_with_equal_texts_are_told(write, dataset):
    lines = ["text,label,g", *(f"t{i // 2},{'ab'[i // 2 % 2]},{i % 2}{i // 20}" for i in range(200))]
    found = dataset(files=write("a.csv", "\n".join(lines)), group="g")
    assert [count for message, count in notices(found) if "in training with a text that validation" in message] == [
        found.sizes["validation"]
    ]


def test_files_that_are_read_and_progress_are_told(write):
    path = write("a.csv", table(["a", "b"] * 10_500))
    lines, steps = [], []
    read_dataset(
        TableData(files=path),
        BadRecords(),
        BytesIO(),
        told=lines.append,
        progress=lambda split, records: steps.append((split, records)),
    )
    assert lines == [f"reading {path}; validation (10 %) is cut from it"]
    assert steps == [("train", 10_000), ("train", 20_000)]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", "b", "1", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    labels=st.lists(VALUES, min_size=1, max_size=12) | st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=30),
    kind=st.sampled_from(["auto", "single", "multi", "number"]),
    limit=st.sampled_from([0, 100]),
)
def test_whatever_the_labels_are_only_our_error_comes(tmp_path_factory, labels, kind, limit):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    lines = [json.dumps({"text": f"t{i}", "label": label}) for i, label in enumerate(labels)]
    path.write_text("\n".join(lines), encoding="utf-8")
    message, sizes = "", {}
    try:
        found = read_dataset(TableData(files=str(path), kind=kind), BadRecords(limit), BytesIO())
        sizes = found.sizes
        found_examples = examples(found)
    except InputError as error:
        message = str(error)
    else:
        assert len(found_examples) == sum(sizes.values()) <= len(labels)
        known = set(found.labels)
        for _, example in found_examples:
            assert isinstance(example.label, {"single": str, "multi": list, "number": float}[found.kind])
            assert found.kind == "number" or set([example.label] if found.kind == "single" else example.label) <= known
    assert bool(message) != bool(sizes)
    assert len(message) < 1000
