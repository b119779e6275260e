"""What docstrings and docs/how_to/python.md show is run as it stands, in a folder with a trained run."""

import doctest
import re
from pathlib import Path

import keras
import pytest

import bigbird
import bigbird.models
from tests.components.conftest import classified, made_once  # noqa: F401 - fixtures

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "python.md"

METHODS = {
    "TextModel.predict": bigbird.TextModel.predict,
    "from_preset": bigbird.BigBirdClassifier.from_preset.__func__,
}
DOCUMENTED = (
    {"bigbird": bigbird}
    | {name: getattr(bigbird, name) for name in bigbird.__all__ if name != "InputError"}
    | {name: getattr(bigbird.models, name) for name in bigbird.models.__all__}
    | METHODS
)


@pytest.fixture(scope="module")
def workplace(classified, tmp_path_factory):  # noqa: F811
    """A folder with runs/reviews, as `bigbird run` leaves it."""
    folder = tmp_path_factory.mktemp("workplace")
    for name, place in (("model", "train"), ("saved_model", "export")):
        (folder / "runs" / "reviews" / place).mkdir(parents=True)
        (folder / "runs" / "reviews" / place / name).symlink_to(classified / name)
    (folder / "runs" / "reviews" / "run.json").write_text("{}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_an_example_gives_what_it_shows(name, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    keras.utils.set_random_seed(1)
    (found,) = (
        test
        for test in doctest.DocTestFinder(recurse=False).find(DOCUMENTED[name], name, module=False)
        if test.examples
    )
    failed, said = [], []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failed = runner.run(found, out=said.append).failed
    assert failed == 0, "".join(said)


@pytest.mark.slow
def test_the_pages_examples_run_one_after_the_other(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["answer"]["label"] in ("0", "1") and len(names["answers"]) == 2
    losses = names["history"].history["loss"]
    assert len(losses) == 2 and max(losses) < 0.1  # it knew such texts before: its head came along
    assert names["logits"].shape == (16, 2)
    assert isinstance(names["tagger"].get_layer("bigbird"), bigbird.BigBirdEncoder)
    assert names["encoder"].config.dropout_rate == 0.0
