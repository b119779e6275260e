import pytest
from pydantic import ValidationError

from bigbird.tasks.classification.data_section import TableData


def test_one_name_is_a_list_of_one():
    section = TableData(files="a.csv", text="review")
    assert section.files == ["a.csv"]
    assert section.text == ["review"]
    assert (section.kind, section.format, section.encoding, section.delimiter) == ("auto", "auto", "utf-8", None)
    assert (section.validation_fraction, section.test_fraction, section.seed) == (0.1, 0.0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": "a.csv", "test": "t.csv"}, "files and test are given; expected either files"),
        ({"files": "a.csv", "text": []}, "text names no column"),
        ({"files": "a.csv", "text": ["a", "label"]}, "the column 'label' is named twice"),
        ({"files": "a.csv", "text_b": "text"}, "the column 'text' is named twice"),
        ({"files": "a.csv", "text_b": ""}, "found an empty text"),
        ({"files": "a.csv", "delimiter": "::"}, "found '::'; expected one character"),
        ({"files": "a.csv", "delimiter": '"'}, "expected one character"),
        ({"files": "a.csv", "encoding": "utf8000"}, "found 'utf8000'; expected the name of a text encoding"),
        ({"files": "a.csv", "encoding": "base64"}, "expected the name of a text encoding"),
        ({"files": "a.csv", "label_separator": ";", "kind": "single"}, "label_separator is given with kind single"),
        ({"train": "a", "validation": "b", "validation_fraction": 0.2}, "both validation and validation_fraction"),
        ({"files": "a", "validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"files": "a", "kind": "regression"}, "kind"),
        ({"files": "a", "seed": True}, "found True; expected a number"),
        ({"files": "a", "texts": "b"}, "texts"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(ValidationError) as told:
        TableData(**settings)
    assert message in str(told.value)
