"""Columns of tokens and tags as texts with spans."""

import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.files import LOCAL, Table
from bigbird.tasks.token_labels.conll import TagScheme, read_conll
from bigbird.tasks.token_labels.data_section import SpanData


@pytest.fixture
def read(write):
    """Reads lines; gives each document as its line, text and spans, and what the tags are told to be."""

    def read(content, limit=0, **settings):
        scheme, bad = TagScheme(), BadRecords(limit)
        table = Table(write("a.conll", content), "conll")
        found = list(read_conll(table, SpanData(**settings), scheme, bad, LOCAL))
        for line, text, spans in found:
            assert line >= 1 and all(text[start:end].strip() == text[start:end] for start, end, _ in spans)
        read.rejected = bad.rejected
        return [(line, text, [(text[s:e], label) for s, e, label in spans]) for line, text, spans in found], scheme

    return read


def tagged(tags):
    return "".join(f"t{number} {tag}\n" for number, tag in enumerate(tags.split()))


@pytest.mark.parametrize(
    ("tags", "scheme", "spans"),
    [
        ("O I-A I-A O I-B", "IO", [("t1 t2", "A"), ("t4", "B")]),
        ("B-A I-A B-A O B-B", "BIO", [("t0 t1", "A"), ("t2", "A"), ("t4", "B")]),
        ("I-A B-A I-A O I-B", "IOB1", [("t0", "A"), ("t1 t2", "A"), ("t4", "B")]),
        ("B-A I-A E-A S-A O S-B", "IOBES", [("t0 t1 t2", "A"), ("t3", "A"), ("t5", "B")]),
        ("B-A L-A U-A U-B O", "BILOU", [("t0 t1", "A"), ("t2", "A"), ("t3", "B")]),
        ("S-A O", "IOBES", [("t0", "A")]),
        ("O O", "no tag but O", []),
        ("B-A I-B O", "BIO", [("t0", "A"), ("t1", "B")]),
    ],
)
def test_every_scheme_is_read_by_one_rule_and_told(read, tags, scheme, spans):
    found, tags_seen = read(tagged(tags))
    assert found[0][2] == spans
    assert tags_seen.name() == scheme


def test_tags_that_nothing_begins_are_told(read):
    _, scheme = read(tagged("B-A O B-A O I-A"))
    assert scheme.told().startswith(
        "tags are BIO; 1 tag without the span that it continues, read as its beginning (first: "
    )
    assert scheme.told().endswith("a.conll:5)")
    _, scheme = read(tagged("B-A O B-A O I-A O I-B"))
    assert scheme.told().startswith(
        "tags are BIO; 2 tags without the span that they continue, read as its beginning (first: "
    )


def test_tags_of_no_scheme_are_refused_with_their_places(read):
    _, scheme = read(tagged("B-A E-A O B-A L-A"))
    with pytest.raises(
        InputError,
        match=r"prefixes B- at .*a.conll:1, E- at .*a.conll:2, L- at .*a.conll:5, which are of no one scheme",
    ):
        scheme.name()


def test_documents_are_sentences_or_what_docstart_begins(read):
    text = "Anna B-P\nKern I-P\n\nrain O\n\n\nSeoul B-L\n"
    assert [each[:2] for each in read(text)[0]] == [(1, "Anna Kern"), (4, "rain"), (7, "Seoul")]
    assert [each[:2] for each in read(text, sentences_per_document=2)[0]] == [(1, "Anna Kern\nrain"), (7, "Seoul")]
    marked = f"-DOCSTART- -X- O O\n\n{text}-DOCSTART- O\n\nrain O\n"
    found, _ = read(marked)
    assert [each[:2] for each in found] == [(3, "Anna Kern\nrain\nSeoul"), (12, "rain")]
    assert found[0][2] == [("Anna Kern", "P"), ("Seoul", "L")]
    # A span ends with its sentence.
    assert read("a B-P\n\nb I-P\n", sentences_per_document=2)[0][0][2] == [("a", "P"), ("b", "P")]
    with pytest.raises(InputError, match=r"a.conll:3: is -DOCSTART-, and the file does not begin with such a line"):
        read("a O\n\n-DOCSTART- O\n\nb O\n")


def test_columns_are_named_by_number(read):
    text = "1\tAnna Maria\tNNP\tB-P\tx\n2\truns\tVB\tO\ty\n"
    found, _ = read(text, delimiter="\t", token_column=2, tag_column=4)
    assert found == [(1, "Anna Maria runs", [("Anna Maria", "P")])]
    assert read("Anna NN B-P\r\nruns VB O\r\n")[0] == [(1, "Anna runs", [("Anna", "P")])]


@pytest.mark.parametrize(
    ("text", "settings", "problem"),
    [
        (
            "Anna\n",
            {},
            r"a.conll:1: the document that begins here has 1 column, and token_column is 1; expected a token and its tag .*\(line 1\)",
        ),
        (
            "Anna O\nKern NN\n",
            {},
            r"a.conll:1: the document that begins here has the tag 'NN'; expected O, or a label behind B-.*\(line 2\)",
        ),
        ("Anna O\nKern B-\n", {}, r"has the tag 'B-'"),
        ("Anna O\nKern BI-A\n", {}, r"has the tag 'BI-A'"),
        (
            "Anna\tB-P\nNew York\tB-L\n",
            {},
            r"has 3 columns, and line 1 has 2; expected as many on each line. Is a tab between .* Set delimiter",
        ),
        ("Anna NN O\nKern O\n", {}, r"has 2 columns, and line 1 has 3; expected as many on each line. \(line 2\)"),
        ("Anna B-P\n", {"token_column": 2}, r"has its token and its tag in the same column; expected two"),
        (
            "# id 4 domain=train\nAnna O\n",
            {},
            r"has the tag 'domain=train'; .*Lines of comments are not read: leave out .*\(line 1\)",
        ),
        ("Anna O x\n", {"tag_column": 5}, r"has 3 columns, and tag_column is 5; .*--tag-column"),
    ],
)
def test_a_line_that_is_no_token_with_a_tag_is_told(read, text, settings, problem):
    with pytest.raises(InputError, match=problem):
        read(text, **settings)


def test_a_document_with_a_bad_line_may_be_skipped(read):
    found, _ = read("Anna O\nKern NN\n\ngood O\n", limit=1)
    assert found == [(4, "good", [])]
    assert (read.rejected[0]["where"], read.rejected[0]["record"]) == ("1", "Anna O\nKern NN\n")


def test_a_byte_order_mark_inside_a_file_hides_no_document(read):
    found, _ = read("-DOCSTART- O\n\nAnna B-P\n\n\ufeff-DOCSTART- O\n\nrain O\n")
    assert [each[1] for each in found] == ["Anna", "rain"]
    assert read("# O\nAnna B-P\n")[0] == [(1, "# Anna", [("Anna", "P")])]  # a token, not a comment
