"""YAML: values are what they look like, and no text can run, hide or grow without end."""

import math
import time

import pytest
import yaml

from bigbird.support.errors import InputError
from bigbird.support.yaml_files import MOST_CHARACTERS, dump_yaml, parse_yaml, parse_yaml_mapping, plain_value, quoted
from bigbird_pipelines.recipes import FOLDER

PLAIN = {
    "0100": 100, "08": 8, "-7": -7, "+7": 7, "0o17": 15, "0x1F": 31, "0b1": "0b1", "1_000": "1_000", "1:30": "1:30",
    "3e-05": 3e-05, "1e3": 1000.0, "1.": 1.0, ".5": 0.5, "-1.5E+2": -150.0, ".inf": math.inf, "-.INF": -math.inf,
    "nan": "nan", "inf": "inf", "true": True, "False": False, "yes": "yes", "no": "no", "on": "on", "Off": "Off",
    "null": None, "~": None, "Null": None, "nULL": "nULL", "2026-01-01": "2026-01-01", "2026-99-99": "2026-99-99",
    "=": "=", "1e": "1e", ".": ".", "0x": "0x", "0o8": "0o8", "\u0661": "\u0661", "12 34": "12 34",
}  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_value_is_what_it_looks_like(text):
    value = PLAIN[text]
    for read in (parse_yaml(f"k: {text}", "f")["k"], plain_value(text)):
        assert (type(read), read) == (type(value), value)
    assert parse_yaml(f"k: '{text}'", "f") == {"k": text}
    assert math.isnan(parse_yaml("k: .nan", "f")["k"])


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.yaml")), ids=lambda file: file.stem)
def test_the_recipes_mean_what_they_meant_to_a_reader_of_yaml_1_1(file):
    text = file.read_text(encoding="utf-8")
    assert repr(parse_yaml(text, "f")) == repr(yaml.safe_load(text))
    assert dump_yaml(parse_yaml(text, "f")) == yaml.safe_dump(yaml.safe_load(text), sort_keys=False)


@pytest.mark.parametrize(
    "text",
    [
        *PLAIN,
        "",
        " ",
        "a: b",
        "a #b",
        "é\U0001f600",
        "a\u2028b",
        "a\x85b",
        "two\nlines\n",
        "it's",
        '"',
        "<<",
        "- a",
        "!!x",
    ],
)
def test_what_is_written_is_read_back_by_this_reader_and_by_one_of_yaml_1_1(text):
    tree = {"k": text, "l": [text, 1, 2.5, 3e-05, True, None], "m": {"n": {}, "o": []}}
    assert parse_yaml(dump_yaml(tree), "f") == tree == yaml.safe_load(dump_yaml(tree))
    assert parse_yaml(quoted(text), "f") == text
    assert "\n" not in quoted(text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("---\n", {}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {c: 1, d: 2}\nb: {<<: *x, d: 3}", {"a": {"c": 1, "d": 2}, "b": {"c": 1, "d": 3}}),
        ("a: {<<: [{b: 1}, {b: 2, c: 3}]}", {"a": {"b": 1, "c": 3}}),
        ("a: !!str 5\nb: !!float 5\nc: !!int '5'", {"a": "5", "b": 5.0, "c": 5}),
        ('a: "\\u2028"', {"a": "\u2028"}),
        ("no: 1", {"no": 1}),
    ],
)
def test_what_is_taken(text, tree):
    assert parse_yaml_mapping(text, "f", "a mapping") == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!int x", "f:1:4: not valid YAML ('x' is no !!int)"),
        ("a: !!timestamp x", "f:1:4: not valid YAML (the tag !!timestamp has no meaning here)"),
        ("a: !!bool perhaps", "f:1:4: not valid YAML ('perhaps' is no !!bool)"),
        ("a: !!binary x", "f:1:4: not valid YAML (the tag !!binary has no meaning here)"),
        ("a: !!set {b}", "f:1:4: not valid YAML (the tag !!set has no meaning here)"),
        ("a: !!str [b]", "f:1:4: not valid YAML (the tag !!str has no meaning here)"),
        ("a: !!python/name:os.system", "(the tag !!python/name:os.system has no meaning here)"),
        ("a: " + "9" * 6000, "f:1:4: not valid YAML (a number of 6,000 characters; expected at most 100)"),
        ("a: 0x" + "f" * 6000, "f:1:4: not valid YAML (a number of 6,002 characters; expected at most 100)"),
        ("[" * 2000, "f:1:101: not valid YAML (lists and mappings go more than 100 deep)"),
        ("- " * 2000, "lists and mappings go more than 100 deep"),
        ("{a: " * 2000, "lists and mappings go more than 100 deep"),
        ("b:\n  c: 1\n  c: 2", "f:3:3: not valid YAML (the key 'c' stands twice in one mapping)"),
        ("{c: 1, 'c': 2}", "f:1:8: not valid YAML (the key 'c' stands twice in one mapping)"),
        ("1: 2", "f:1:1: not valid YAML (the key 1 is no text; quote it)"),
        ("true: 2", "f:1:1: not valid YAML (the key true is no text; quote it)"),
        ("? [a]\n: 1", "f:1:3: not valid YAML (a list or a mapping is no key; expected a name)"),
        ("<<: 5", "f:1:5: not valid YAML (<< expects a mapping, or a list of some)"),
        ("a: 1\n---\nb: 2", "f:2:1: not valid YAML (expected a single document in the stream, but found another"),
        ("a: &x [*x]", "f:1:8: not valid YAML (an alias stands inside what it stands for)"),
        ("a: *x", "f:1:4: not valid YAML (found undefined alias 'x')"),
        ('a: "\\ud800"', "f:1:4: not valid YAML ('\\ud800' holds an escape that is no character)"),
        ('"\\0": 1', "f:1:1: not valid YAML ('\\x00' holds an escape that is no character)"),
        ("a: 1\nb\0: 2", "f:2:2: not valid YAML (found the character U+0000; it is no text)"),
        ("a: \ud800", "f:1:4: not valid YAML (found the character U+D800; it is no text)"),
        ("a: b\u2028c", r'f:1:5: not valid YAML (found the character U+2028; write it in double quotes as "\u2028")'),
        ("%YAML 1." + "9" * 6000 + "\n---\na", "f: not valid YAML (Exceeds the limit"),
        ('"\\UFFFFFFFF"', "f: not valid YAML ("),
        ("a: [1, 2", "f:1:9: not valid YAML (while parsing a flow sequence, expected ',' or ']'"),
        ("x" * (MOST_CHARACTERS + 1), "f: has 1,000,001 characters; expected a YAML file of at most 1,000,000"),
        ("- a", "f: holds list; expected a mapping"),
        ("5", "f: holds int; expected a mapping"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text, message):
    with pytest.raises(InputError) as caught:
        parse_yaml_mapping(text, "f", "a mapping")
    assert message in str(caught.value)
    assert len(str(caught.value)) <= 1000


BOMBS = {
    "lists": "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]" for n in range(60)),
    "mappings": "\n".join(f"a{n}: &a{n} {{b: *a{n - 1}, c: *a{n - 1}}}" if n else "a0: &a0 x" for n in range(90)),
    "merges": "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" if n else "a0: &a0 {b: 1}" for n in range(90)),
    "texts": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 20_000)}]",
    "depth": "\n".join(f"a{n}: &a{n} [*a{n - 1}]" if n else "a0: &a0 x" for n in range(3000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_aliases_do_not_grow_without_end(name):
    start = time.process_time()
    with pytest.raises(InputError, match=r"f:\d+:\d+: not valid YAML \(with its aliases it "):
        parse_yaml(BOMBS[name], "f")
    assert time.process_time() - start < 20  # written out, most of them would be more than 2**60 values
