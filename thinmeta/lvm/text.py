"""LVM's text format: `key = value` and `key { section }`, as backups and physical volumes hold it.

Source: `libdm/libdm-config.c` (LVM2 v2.03), `_section()`, `_value()` and `_get_token()`.
"""

import re

from thinmeta.errors import InputError

Scalar = int | float | str
Section = dict[str, "Scalar | list[Scalar] | Section"]
Value = Scalar | list[Scalar] | Section

MOST_TEXT_BYTES = 8 << 20
"""Several times what ten thousand volumes take."""

_DEEPEST = 16
"""LVM nests four sections; a text that nests many more is none of its own."""

_TOKEN = re.compile(
    r"""
    (?: [ \t\r\n]++ | \#[^\n]*+ )*+
    (?: (?P<sign> [{}\[\]=,] )
    | (?P<escaped> "[^"\\]*+(?:\\.[^"\\]*+)*+" )
    | (?P<plain> '[^']*+' )
    | (?P<word> [^\x00-\x20\x7f\#{}\[\]=,"']++ )
    | (?P<bad> . )
    | (?P<end> \Z ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[-+]?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"[-+]?\d{1,19}\.\d{0,19}", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_lvm_text(text: str, name: str) -> Section:
    """Return what `text` says; of a key that comes twice, the last.

    Args:
        text: all of it.
        name: whose it is, for messages.

    Raises:
        InputError: it is not written in this format, which names the line, or too large.
    """
    if len(text) > MOST_TEXT_BYTES:
        raise InputError(f"{name}: is too large for LVM metadata: {len(text)} characters")
    parser = _Parser(text, name)
    found = parser.section(0)
    if parser.ahead:
        raise parser.error("a } that closes nothing")
    return found


class _Parser:
    """A token ahead of a text.

    Attributes:
        kind: of the token: sign, escaped, plain, word, or end.
        ahead: its text; empty at the end.
    """

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._matches = _TOKEN.finditer(text)
        self._advance()

    def section(self, depth: int) -> Section:
        found: Section = {}
        while self.ahead not in ("", "}"):
            if self.kind not in ("word", "escaped", "plain"):
                raise self._unexpected("a name")
            key = self._string()
            if self.ahead == "{":
                if depth == _DEEPEST:
                    raise self.error(f"more than {_DEEPEST} sections in each other")
                self._advance()
                found[key] = self.section(depth + 1)
                self._expect("}")
            else:
                self._expect("=")
                found[key] = self._list() if self.ahead == "[" else self._scalar()
        return found

    def error(self, what: str) -> InputError:
        line = self._text.count("\n", 0, self._offset) + 1
        return InputError(f"{self._name}: line {line}: {what}")

    def _list(self) -> list[Scalar]:
        self._advance()
        values: list[Scalar] = []
        while self.ahead != "]":
            values.append(self._scalar())
            if self.ahead != "]":
                self._expect(",")
        self._advance()
        return values

    def _scalar(self) -> Scalar:
        if self.kind in ("escaped", "plain"):
            return self._string()
        if self.kind != "word":
            raise self._unexpected("a value")
        word = self.ahead
        self._advance()
        if _INTEGER.fullmatch(word):
            return int(word)
        return float(word) if _FLOAT.fullmatch(word) else word

    def _string(self) -> str:
        token = self.ahead
        if self.kind != "word":
            token = token[1:-1]
        if self.kind == "escaped":
            token = _ESCAPE.sub(r"\1", token)
        self._advance()
        return token

    def _expect(self, sign: str) -> None:
        if self.ahead != sign:
            raise self._unexpected(sign)
        self._advance()

    def _unexpected(self, expected: str) -> InputError:
        found = repr(self.ahead[:40]) if self.ahead else "the end"
        return self.error(f"{found} where {expected} was expected")

    def _advance(self) -> None:
        match = next(self._matches)
        self.kind = match.lastgroup or "end"
        self.ahead, self._offset = match[self.kind], match.start(self.kind)
        if self.kind == "bad":
            raise self.error(f"{self.ahead!r} begins nothing that ends")
