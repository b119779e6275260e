"""Whether an exported model reads all of an example, by the pieces of its texts."""

import pytest

from bigbird.tasks.registry import answering_family
from tests import manifests


@pytest.mark.parametrize(
    ("task", "long_documents", "fits", "too_long"),
    [
        ("classification", "head", {"text_a": 8}, {"text_a": 9}),
        ("classification", "head_tail", {"text_a": 8}, {"text_a": 9}),
        ("classification", "windows", {"text_a": 99}, None),
        ("classification", "windows", {"text_a": 4, "text_b": 3}, {"text_a": 4, "text_b": 4}),
        ("mrpc", "", {"text_a": 0, "text_b": 7}, {"text_a": 1, "text_b": 7}),
        ("squad_v2", "", {"question": 4, "context": 99}, {"question": 5, "context": 1}),
        ("triviaqa_web", "", {"question": 4, "context": 99}, {"question": 5, "context": 1}),
    ],
)
def test_texts_are_cut_where_there_is_no_room_for_their_pieces(task, long_documents, fits, too_long):
    family = answering_family(task)
    dataset = manifests.dataset(max_length=10, long_documents=long_documents, query_length=4)
    assert not family.is_cut(fits, dataset)
    assert too_long is None or family.is_cut(too_long, dataset)
