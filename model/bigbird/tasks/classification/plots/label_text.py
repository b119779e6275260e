"""Labels and counts as short texts, and the room that a text takes."""

from __future__ import annotations

import unicodedata

_LABEL_COLUMNS = 26  # of a label's text; what is longer loses its middle


def text_room(text: str, font: float) -> float:
    """Points that a text takes in a wide font: 0.64 of the font's size a column."""
    return 0.64 * font * text_columns(text)


def text_columns(text: str) -> int:
    """Columns of a text on a terminal: two for East Asian characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# Characters that turn the direction of what follows them, outside of the label too.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def short_label(label: str, most: int = _LABEL_COLUMNS) -> str:
    """A label on one line, without what XML cannot hold, and without its middle where it takes more than `most` columns."""
    text = "".join(_visible(c) for c in label[:10_000])
    text = " ".join(text.split()) or "(blank)"
    if len(label) <= 10_000 and text_columns(text) <= most:
        return text
    start = _fitting(text, most * 2 // 3)
    end = _fitting(_visible_end(label, text)[::-1], most - most * 2 // 3 - 1)[::-1]
    return f"{start}…{end}"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co") or character in _DIRECTION
    return "\ufffd" if hidden else character


def _visible_end(label: str, text: str) -> str:
    return text if len(label) <= 10_000 else " ".join("".join(_visible(c) for c in label[-100:]).split())


def _fitting(text: str, most: int) -> str:
    """A text's beginning of at most this many columns."""
    used = 0
    for i, character in enumerate(text):
        used += text_columns(character)
        if used > most:
            return text[:i]
    return text


def short_number(count: int) -> str:
    """A count in at most four characters: 9500, 12k, 3.1M."""
    if count < 10_000:
        return str(count)
    if count < 999_500:
        return f"{count / 1_000:.0f}k"
    return f"{count / 1_000_000:.1f}M" if count < 9_950_000 else f"{count / 1_000_000:.0f}M"
