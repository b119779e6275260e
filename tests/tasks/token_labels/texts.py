"""Texts with all that makes places go wrong: emoji, combining marks, CRLF, characters of no width, scripts without spaces."""

from __future__ import annotations

import random

PARTS = (
    "Anna", "Kern", "1904", "built", "the", "mill", "U.S.", "don't", "€5,000", "Zürich", "e\u0301te\u0301", "Ångström", "A\u030angstro\u0308m",
    "👩\u200d🚀", "👍🏽", "🇫🇷", "😀", "安娜", "こんにちは", "서울", "กรุงเทพ", "मुंबई", "القاهرة", "שָׁלוֹם", "co\u00adop", "a\u200bb", "x\ufeffy", "ﬁn", "İstanbul",
    "ΣΑΣ", "\u202eabc", "[SEP]", "<mask>", "𝔘nicode", "½", "Ⅷ", "—", "…", "(", ")",
)  # fmt: skip
BLANKS = (" ", " ", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "", "\u200b", "\u2028")


def made_up_text(rng: random.Random, most: int = 30) -> str:
    """A text of some parts with blanks of all kinds between, visible somewhere."""
    parts = [rng.choice(PARTS) + rng.choice(BLANKS) for _ in range(rng.randint(1, most))]
    return rng.choice(("", " ", "\ufeff", "\r\n")) + "".join(parts)
