"""Overrides: one text for one or several assignments, each value as it was typed."""

import functools
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.config import load_experiment
from bigbird.config.overrides import assignment, changed_keys, join_overrides, merge, parse_override
from bigbird.support.errors import InputError

TEXT = "task.init_checkpoint"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("lr=0.1,bs=32/m", "lr=0.1,bs=32/m"),
        ("a,b", "a,b"),
        ("a #b", "a #b"),
        ("#a", "#a"),
        ("a: b", "a: b"),
        ("- a", "- a"),
        ("it's", "it's"),
        ("*.tfrecord", "*.tfrecord"),
        ("[ab]*.tfrecord", "[ab]*.tfrecord"),
        ("{a,b}/c=1,d=2", "{a,b}/c=1,d=2"),
        ("'a'b", "'a'b"),
        ("gs://bucket/é", "gs://bucket/é"),
        ("one\u2028two", "one\u2028two"),
        ("  spaces  ", "spaces"),
        ("x,", "x,"),
        ("1:30", "1:30"),
        ("2026-99-99", "2026-99-99"),
        ("yes", "yes"),
        ("'lr=1,task.x=2'", "lr=1,task.x=2"),
        ('"a\\",task.x=2"', 'a",task.x=2'),
        ("'it''s, task.x=1'", "it's, task.x=1"),
        ("'5'", "5"),
        ("''", ""),
        ("", ""),
        ("0100", 100),
        ("1e-3", 0.001),
        ("null", None),
        ("true", True),
        ("!!str 5", "5"),
        ("[1, 'a,task.b=2', c]", [1, "a,task.b=2", "c"]),
        ("{a: 1, b: [x, {c: it's}]}", {"a": 1, "b": ["x", {"c": "it's"}]}),
    ],
)
def test_a_value_is_what_was_typed(typed, value):
    assert parse_override(f"{TEXT}={typed}") == {"task": {"init_checkpoint": value}}
    several = f"runtime.seed=1,{TEXT}={typed},trainer.train_steps=2"
    expected = {"runtime": {"seed": 1}, "task": {"init_checkpoint": value}, "trainer": {"train_steps": 2}}
    assert parse_override(several) == expected
    assert (
        parse_override(join_overrides(["runtime.seed=1", f"{TEXT}={typed}", "", "trainer.train_steps=2"])) == expected
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense", "override 'nonsense': expected key.path=value"),
        ("=2", "override '=2': expected key.path=value"),
        ("1a=2", "expected key.path=value"),
        ("a..b=2", "expected key.path=value"),
        (".".join("a" * 2000) + "=1", "expected key.path=value"),
        ("task.x=[1, 2", "override task.x: '[1, 2' begins with [ and does not end it"),
        ("task.x=" + "[" * 2000, "begins with [ and does not end it"),
        ("task.x=" + "[" * 2000 + "]" * 2000, "lists and mappings go more than 100 deep"),
        ("task.x='a", "begins with ' and does not end it"),
        ("task.x=[1}", "not valid YAML"),
        ("task.x={a: 1, a: 2}", "the key 'a' stands twice"),
        ("task.x=!!int x", "override task.x: '!!int x': not valid YAML ('x' is no !!int, at column 1)"),
        ("task.x=!!timestamp x", "the tag !!timestamp has no meaning here"),
        ("task.x=" + "9" * 6000, "override task.x: a number of 6,000 characters; expected at most 100"),
        ("task.x=a\0b", "which is no character; expected text"),
        ("task.x=a\udcff", "which is no character; expected text"),
        ("task.x=" + "y" * 100_000 + ",task.z", "task.x: unknown key"),
        ("seed=3", "seed: unknown key"),
    ],
)
def test_what_is_no_override_is_refused_in_one_sentence(override, message):
    with pytest.raises(InputError) as caught:
        load_experiment("bigbird/glue", overrides=[override])
    assert message in str(caught.value)
    assert len(str(caught.value)) <= 1000


@pytest.mark.parametrize("other", ["seed=3", "lr=1,task.x=2"])
def test_a_key_that_no_comma_tells_from_the_value_before_it_is_not_joined(other):
    with pytest.raises(InputError, match=r"(seed|lr) is no key; expected task, trainer, runtime, type"):
        join_overrides([f"{TEXT}=x", other])


# What tells the parts of an override from each other, among some that do not.
PIECES = st.sampled_from(
    [*",=.:#'\"[]{}()!&*|>%@-~ \t\n\\", "a", "é", "1", "task.x=2", ",bs=3", "trainer.y=", "type=", "\u2028", "\U0001f600", "''", "null", "0x"]
)  # fmt: skip
VALUES = st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(["task.a", "trainer.b.c", "runtime.d", " x.y "]), VALUES), max_size=4))
def test_joining_loses_nothing(pairs):
    singles = []
    for key, value in pairs:
        override = f"{key}={value}"
        try:
            join_overrides([override])
        except InputError:
            continue
        singles.append(override)
    joined = join_overrides(singles)
    assert parse_override(joined) == functools.reduce(merge, map(parse_override, singles), {})
    assert join_overrides([joined]) == joined


@settings(max_examples=500, deadline=None, derandomize=True)
@given(VALUES | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_an_assignment_sets_every_text(text):
    override = assignment(TEXT, text)
    assert parse_override(override) == {"task": {"init_checkpoint": text}}
    both = parse_override(join_overrides([override, "runtime.seed=1"]))
    assert both == {"task": {"init_checkpoint": text}, "runtime": {"seed": 1}}
    if text and set(text) <= set(string.ascii_lowercase + "/:=,."[:3]) and text not in ("null", "true", "false"):
        assert override == f"{TEXT}={text}"


LABELS = (
    VALUES
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
    | st.sampled_from(["é" * 500, "x" * 3000])
)
PLAIN = (
    LABELS | st.booleans() | st.none() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LABELS, inner, max_size=4), max_leaves=8
    )
)
def test_an_assignment_sets_every_value(value):
    override = assignment("task.data.text", value)
    assert parse_override(override) == {"task": {"data": {"text": value}}}
    both = parse_override(join_overrides(["trainer.train_steps=2", override, "runtime.seed=1"]))
    assert both == {"trainer": {"train_steps": 2}, "task": {"data": {"text": value}}, "runtime": {"seed": 1}}


def test_an_assignment_of_a_list_or_a_mapping_is_one_line_of_yaml():
    assert assignment("task.data.text", ["a, b", "1"]) == 'task.data.text=["a, b", "1"]'
    assert assignment("task.class_weights", {"a=1,task.x": 2.0}) == 'task.class_weights={"a=1,task.x": 2.0}'
    assert assignment("task.data.drop_duplicates", True) == "task.data.drop_duplicates=true"


def test_keys_that_two_overrides_set_otherwise():
    before = "task.a=1,task.b={c: 2, d: 3},trainer.e=null,trainer.f=[1]"
    assert changed_keys(before, before) == []
    assert changed_keys(before, "task.a=1,task.b.c=2,task.b.d=4,trainer.f=[1],trainer.g=null") == [
        "task.b.d",
        "trainer.e",
        "trainer.g",
    ]
    assert changed_keys("", "task.a=") == ["task.a"]
