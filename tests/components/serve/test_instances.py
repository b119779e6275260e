"""A request that is none is refused with the place, what was found and what was expected."""

import json

import pytest

from bigbird.support.errors import InputError
from bigbird_components.serve.instances import read_instances

ONE, TWO = ("text_a",), ("question", "context")


def _body(value):
    return json.dumps(value).encode()


def test_an_instance_is_an_object_or_where_there_is_one_field_its_text():
    body = _body({"instances": [{"text_a": "a"}, "b"], "parameters": {}})
    assert read_instances(body, ONE, 8) == [{"text_a": "a"}, {"text_a": "b"}]
    both = {"context": "c", "question": "q"}
    assert read_instances(_body({"instances": [both]}), TWO, 8) == [both]


def test_a_byte_order_mark_is_read():
    assert read_instances(b"\xef\xbb\xbf" + _body({"instances": ["\ufeffa"]}), ONE, 8) == [{"text_a": "\ufeffa"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid JSON at line 1, column 1"),
        (b'{"instances": ["a"', "not valid JSON at line 1, column 19"),
        (b"\xff", "the body is not UTF-8 at byte 0; expected JSON in UTF-8"),
        (b"\xef\xbb\xbf" * 2 + _body({"instances": ["a"]}), "the body is not valid JSON at line 1, column 1"),
        (b"\xef\xbb\xbf\xff", "the body is not UTF-8 at byte 3"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [' + b"1" * 5000 + b"]}", "a number that is too long"),
        (b'{"instances": [NaN, -Infinity]}', r"instances\[0\]: is a number"),
        (_body([]), 'the body is a list; expected {"instances": [...]}'),
        (_body(None), "the body is null"),
        (_body({}), "the body has no instances"),
        (_body({"instances": ["a"], "signature_name": "ids"}), 'the body has "signature_name"; expected'),
        (_body({"instances": "a"}), "instances is a string; expected a list of at least one instance"),
        (_body({"instances": {}}), "instances is an object; expected a list"),
        (_body({"instances": []}), "instances is an empty list; expected a list of at least one"),
        (_body({"instances": ["a"] * 9}), "instances holds 9; expected at most 8 in one request"),
        (_body({"instances": ["a", 5]}), r"instances\[1\]: is a number; expected an object with text_a, or a text"),
        (_body({"instances": [True]}), r"instances\[0\]: is a boolean"),
        (_body({"instances": [{}]}), r"instances\[0\]: has no field; this model expects text_a"),
        (_body({"instances": ["a", {"text": "b"}]}), r'instances\[1\]: has "text"; this model expects text_a'),
        (_body({"instances": [{"text_a": "a", "id": 1}]}), r'instances\[0\]: has "text_a", "id"; this model expects text_a'),
        (_body({"instances": [{"text_a": 5}]}), r"instances\[0\]: text_a is 5; expected a text that is not empty"),
        (_body({"instances": [{"text_a": [[]]}]}), r"instances\[0\]: text_a is a list; expected a text"),
        (_body({"instances": ["a", " \n"]}), r"instances\[1\]: text_a is \" \\n\"; expected a text that is not empty"),
        (_body({"instances": ["a\ud800"]}), r"instances\[0\]: text_a has half a surrogate pair at character 1"),
        (_body({"instances": ["a"], "parameters": []}), "parameters is a list; expected an object"),
        (_body({"instances": ["a"], "parameters": {"top_k": 1}}), 'parameters has "top_k"; this model takes none'),
        (_body({"instances": [{"x" * 999: "a"}]}), "…; this model expects text_a"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body, message):
    with pytest.raises(InputError, match=message.replace("[...]", r"\[\.\.\.\]").replace("{", r"\{")) as refused:
        read_instances(body, ONE, 8)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ("a", r"instances\[0\]: is a string; expected an object with question and context$"),
        ({"question": "q"}, r'instances\[0\]: has "question"; this model expects question and context'),
        ({"question": "q", "context": None}, r"instances\[0\]: context is null; expected a text"),
    ],
)
def test_a_model_of_two_texts_wants_both_by_name(instance, message):
    with pytest.raises(InputError, match=message):
        read_instances(_body({"instances": [instance]}), TWO, 8)
