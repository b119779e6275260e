"""SentencePiece models as XLM-R has them: ids are shifted by one, and four special pieces stand in front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bigbird.support.artifacts import json_bytes
from bigbird.text.files import TOKENIZER_CONFIG
from bigbird.text.sentence_piece import SentencePieceVocabulary

FIRST = ("<unk>", "<s>", "</s>")
"""The first pieces of the model's own, which tell the kind where there is no [CLS] and no [SEP]."""

# fairseq's dictionary, as Hugging Face's XLMRobertaTokenizer: <s> <pad> </s> <unk>, the model's fourth piece and so on.
_CLS, _PAD, _SEP, _UNK = range(4)
_SHIFT = 1
_SPECIAL = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>",
    "mask_token": "<mask>",
}  # fmt: skip


class XlmRobertaVocabulary(SentencePieceVocabulary):
    """XLM-R's vocabulary: `<s>` is [CLS], `</s>` is [SEP], and `<mask>` follows the last piece.

    Args:
        model, lower_case, name: as in `Vocabulary`.
    """

    kind = "xlm_roberta"

    def _name_pieces(self, pieces: Sequence[str], name: str) -> np.ndarray:
        self.cls_id, self.pad_id, self.sep_id, self.unk_id = _CLS, _PAD, _SEP, _UNK
        self.mask_id = len(pieces) + _SHIFT
        self.size = self.mask_id + 1
        self.passage_id, self.empty_id = self.sep_id, self.cls_id
        ids = np.arange(len(pieces), dtype=np.int32) + _SHIFT
        ids[: len(FIRST)] = self.unk_id, self.cls_id, self.sep_id
        self.ids_of_pieces = ids
        return ids

    @classmethod
    def stored(
        cls, content: bytes, name: str, lower_case: bool | None = None, *, hugging_face: bool = False
    ) -> dict[str, bytes]:
        """The model; for Hugging Face by its own name, and the class that reads it."""
        if not hugging_face:
            return super().stored(content, name, lower_case)  # as vocab.model
        config = {"tokenizer_class": "XLMRobertaTokenizer", **_SPECIAL}
        return {"sentencepiece.bpe.model": content, TOKENIZER_CONFIG: json_bytes(config)}

    @classmethod
    def count_pieces(cls, content: bytes, name: str) -> int:
        return cls(content, name=name).size

    @classmethod
    def special_ids(cls, content: bytes, name: str) -> dict[str, int]:
        del content, name
        return {"pad_token_id": _PAD, "bos_token_id": _CLS, "eos_token_id": _SEP, "sep_token_id": _SEP}
