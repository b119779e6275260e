"""Checks of single texts: damaged characters, markup, what is hardly a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from bigbird.support.text_files import shown
from bigbird_components.check.kinds import RowCheck
from bigbird_components.check.words import few_words

_AROUND = 15  # characters beside what is found

# UTF-8 that was read as cp1252 or latin-1. Quotation marks and dots after a capital letter with an accent are text.
_MOJIBAKE = re.compile(
    "[ÃÂ][\x80-\x9f\xa1-\xaa\xac-\xba\xbc-\xbf€ƒ†‡ˆ‰Š‹ŒŽ•˜™š›œžŸ\xa0]|â€[\x80-\xbf™œ˜“”¦¢žš¡]|â‚¬|â„¢|ðŸ|ï¿½|ï»¿|(?:[ÐÑ][\x80-\xbf‚ƒ„…†‡ˆ‰‹Œ‘’“”•–—˜™š›œŸ]){2}"
)
_CONTROL = bytes({*range(1, 32), 127} - {9, 10, 12, 13})  # NUL is refused, and counted there
_PRIVATE = re.compile("[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]")
_ODD = re.compile(
    "[ÃÂâðïÐÑ\ufffd\ufeff\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]"
)
# Joiners (U+200C and U+200D) belong to Persian, to Indian scripts and to emoji.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]")
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}[0-9]{0,2}|#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6});")
# Names in pointed brackets are no tags, such as a share's <U> or <P>: a tag is closed, has attributes, or is one that stands alone.
_TAGS = (
    "a|abbr|b|blockquote|body|center|code|dd|div|dl|dt|em|font|form|h[1-6]|head|html|i|iframe|li|ol|option|p|pre|script|select|span|strong|style|"
    "sub|sup|table|tbody|td|textarea|th|thead|title|tr|tt|u|ul"
)
_MARKUP = re.compile(
    rf"</(?:{_TAGS})\s*>|<(?:{_TAGS}|img|input|link|meta)\s+[a-z-]+\s*=[^<>]*>|<(?:br|hr)\s*/?>|<!--|<!doctype\s|<(?-i:p)>",
    re.IGNORECASE,
)
_ESCAPES = re.compile(r"\\u[0-9a-fA-F]{4}|(?:\\[nrt].*?){2}", re.DOTALL)
_PATH_OR_TEX = re.compile(r"\b[A-Za-z]:\\|\\[a-zA-Z]+\{")
_ADDRESS = re.compile(r"\s*(?:https?://|www\.)\S+\s*", re.IGNORECASE)
_PLACEHOLDERS = frozenset(
    "n a|na|nan|nil|null|none|nothing|unknown|undefined|empty|missing|no text|not available|not applicable|deleted|removed|redacted|test|"
    "todo|tbd|tba|xxx|ref|value|lorem ipsum".split("|")
)
_LETTERS = bytes({*range(65, 91), *range(97, 123), *range(128, 256)})
_BLANK = b" \t\r\n\x0b\x0c"
_OTHER_SCRIPT = re.compile("[\u0370-\u1fff\u3040-\ud7ff]")
_SCRIPTS = {
    "Greek": re.compile("[\u0370-\u03ff]"),
    "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Hebrew": re.compile("[\u0590-\u05ff]"),
    "Arabic": re.compile("[\u0600-\u077f]"),
    "Indic": re.compile("[\u0900-\u0dff]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
    "Japanese kana": re.compile("[\u3040-\u30ff]"),
    "Chinese characters": re.compile("[\u3400-\u9fff]"),
    "Korean": re.compile("[\uac00-\ud7af]"),
}
SCRIPTS = ("Latin", *_SCRIPTS)
_BEGINNING = 500  # characters that repeat words too where the whole text does
_SCRIPT_SAMPLE = 2000  # characters
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_FEW = 50  # characters of a text whose words are counted one by one


class Text:
    """A row's text in the forms that checks look at.

    Attributes:
        text: as it is; the texts of a pair with a blank line between.
        data: in UTF-8.
        is_ascii: whether all characters are.
        is_odd: whether it has a character that some check of damaged ones is about.
    """

    def __init__(self, text: str):
        self.text = text
        self.data = text.encode("utf-8", "surrogatepass")
        self.is_ascii = len(self.data) == len(text)
        self.is_odd = not self.is_ascii and bool(_ODD.search(text))

    def few_words(self) -> list[str] | None:
        """The words of a short text; None of others."""
        return few_words(self.text) if len(self.text) < _FEW else None

    def script(self) -> int:
        """The script that most letters are of, as a place in `SCRIPTS`."""
        if self.is_ascii or not _OTHER_SCRIPT.search(self.text):
            return 0
        sample = self.text[:_SCRIPT_SAMPLE]
        counts = [len(pattern.findall(sample)) for pattern in (_LATIN, *_SCRIPTS.values())]
        return counts.index(max(counts))


def _around(text: str, match: re.Match[str] | None) -> str:
    """A match with what stands beside it."""
    if match is None:
        return ""
    start = max(0, match.start() - _AROUND)
    return shown(text[start : match.end() + _AROUND], 60)


def _searched(pattern: re.Pattern[str], sign: str = "") -> Callable[[Text], str]:
    """Evidence of a pattern, in texts that have a sign."""

    def evidence(text: Text) -> str:
        return _around(text.text, pattern.search(text.text)) if sign in text.text else ""

    return evidence


def _control(text: Text) -> str:
    if len(text.data.translate(None, _CONTROL)) == len(text.data):
        return ""
    at = next(
        at
        for at, character in enumerate(text.text)
        if (character < " " and character not in "\0\t\n\f\r") or character == "\x7f"
    )
    return shown(text.text[max(0, at - _AROUND) : at + _AROUND], 60)


def _escapes(text: Text) -> str:
    if "\\" not in text.text or _PATH_OR_TEX.search(text.text):
        return ""
    return _around(text.text, _ESCAPES.search(text.text))


def _decomposed(text: Text) -> str:
    if text.is_ascii or unicodedata.is_normalized("NFC", text.text):
        return ""
    match = re.search("\\w[\u0300-\u036f]", text.text)
    return _around(text.text, match)


def _few_letters(text: Text) -> str:
    letters = len(text.data) - len(text.data.translate(None, _LETTERS))
    if letters * 2 >= len(text.data):
        return ""
    visible = len(text.data.translate(None, _BLANK))
    return shown(text.text, 60) if visible >= 20 and letters * 2 < visible and not _ADDRESS.fullmatch(text.text) else ""


def _repetitive(text: Text) -> str:
    beginning = text.text[:_BEGINNING].split()
    if len(set(beginning)) * 3 > len(beginning):
        return ""
    words = text.text.split()
    return shown(text.text, 60) if len(words) >= 50 and len(set(words)) * 10 < len(words) else ""


def _placeholder(text: Text) -> str:
    words = text.few_words()
    return shown(text.text) if words is not None and " ".join(words) in _PLACEHOLDERS else ""


def _short(text: Text) -> str:
    words = text.few_words()
    short = words is not None and len(words) < 3
    return shown(text.text) if short and not _placeholder(text) and not _address(text) else ""


def _address(text: Text) -> str:
    return shown(text.text, 60) if _ADDRESS.fullmatch(text.text) else ""


ROW_CHECKS = (
    RowCheck(
        "mojibake", "encoding", "warning", "rows", "with UTF-8 that was read as another encoding, such as Ã© for é",
        "read the source as UTF-8 and write the table again", evidence=_searched(_MOJIBAKE), of_odd=True,
    ),
    RowCheck(
        "replacement-character", "encoding", "warning", "rows", "with U+FFFD, which stands where a character was lost",
        "decode the source with its own encoding; what is lost cannot be restored from this table", evidence=_searched(re.compile("\ufffd")), of_odd=True,
    ),
    RowCheck(
        "control-character", "encoding", "warning", "rows", "with control characters other than tabs and line ends",
        "take them out; the model reads a space for each", evidence=_control,
    ),
    RowCheck(
        "byte-order-mark", "encoding", "note", "rows", "with a byte order mark (U+FEFF) inside the text",
        "take it out: files were joined that each began with one", evidence=_searched(re.compile("\ufeff")), of_odd=True,
    ),
    RowCheck(
        "invisible-character", "encoding", "note", "rows", "with invisible characters: soft hyphens, spaces of no width, marks of direction",
        "take them out: they cut words into pieces that look whole", evidence=_searched(_INVISIBLE), of_odd=True,
    ),
    RowCheck(
        "private-character", "encoding", "note", "rows", "with characters of no agreed meaning, as symbol fonts and PDFs leave them",
        "extract the text again, or take them out", evidence=_searched(_PRIVATE), of_odd=True,
    ),
    RowCheck(
        "decomposed", "encoding", "note", "rows", "with accents as characters of their own (not in Unicode's form NFC)",
        "normalise the texts to NFC, and those that the model will be asked about too", evidence=_decomposed,
    ),
    RowCheck(
        "html-entity", "encoding", "warning", "rows", "with HTML entities such as &amp;",
        "unescape them, unless the model will be asked about HTML", evidence=_searched(_ENTITY, "&"),
    ),
    RowCheck(
        "html-markup", "encoding", "warning", "rows", "with HTML tags such as <br>",
        "extract the text, unless the model will be asked about HTML", evidence=_searched(_MARKUP, "<"),
    ),
    RowCheck(
        "escape-sequence", "encoding", "warning", "rows", r"with escape sequences as text, such as \n or \u00e9",
        "decode them: the table was written as a program's string", evidence=_escapes,
    ),
    RowCheck(
        "placeholder-text", "blanks", "warning", "rows", "whose text is a word for nothing, such as N/A or [deleted]",
        "leave these rows out", evidence=_placeholder,
    ),
    RowCheck(
        "short-text", "texts", "note", "rows", "whose text has fewer than three words",
        "see whether the text's column is the right one", evidence=_short,
    ),
    RowCheck(
        "address-only", "texts", "warning", "rows", "whose text is an address of the web and nothing else",
        "fetch the documents, or leave these rows out", evidence=_address,
    ),
    RowCheck(
        "few-letters", "texts", "note", "rows", "whose text is mostly digits and signs",
        "see whether these are the texts that are meant", evidence=_few_letters,
    ),
    RowCheck(
        "repetitive", "texts", "note", "rows", "of few words over and over",
        "see whether the text was extracted well", evidence=_repetitive,
    ),
)  # fmt: skip
"""The checks of single texts."""
