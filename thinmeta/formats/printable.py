r"""Text of others (names, paths, what a file says), without what a terminal would obey.

A name may hold an escape sequence, which a terminal obeys; a file name may hold bytes that
are no text. The bytes of both are shown as in a string of C: `\x1b`.
"""

import re
from functools import cache

_BYTE_AS_SURROGATE = range(0xDC80, 0xDD00)  # how Python keeps a byte of a name that is no text


def printable(text: str) -> str:
    r"""Return `text` with all that a terminal would obey, or cannot show, escaped.

    >>> print(printable("vg/\x1b[31mred\udcff\n"))
    vg/\x1b[31mred\xff\x0a
    """
    return text if text.isprintable() else _unprintable().sub(_escaped, text)


def text_line(text: str) -> bytes:
    """Return a line of text for people."""
    return f"{printable(text)}\n".encode()


def shell_word(text: str) -> str:
    r"""Return `text` as a shell takes it for one word, printable.

    >>> print(shell_word("/dev/sda"), shell_word("a b"), shell_word("a\x1bb\udcff"))
    /dev/sda 'a b' $'a\x1bb\xff'
    """
    from shlex import quote

    if printable(text) == text:
        return quote(text)
    backslashed = re.sub(r"[\\']", r"\\\g<0>", text)
    return f"$'{printable(backslashed)}'"


def command_text(*words: str) -> str:
    """Return a command of ours as a shell takes it, printable.

    >>> print(command_text("ls", "-p", "a b"))
    thinmeta ls -p 'a b'
    """
    return " ".join(["thinmeta", *map(shell_word, words)])


@cache
def _unprintable() -> re.Pattern[str]:
    # C0, DEL and C1; what turns the direction of text or ends a line; what is no text at all.
    return re.compile(
        "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    )


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in _bytes_of(match[0]))


def _bytes_of(character: str) -> bytes:
    if ord(character) in _BYTE_AS_SURROGATE:
        return character.encode("utf-8", "surrogateescape")
    return character.encode("utf-8", "surrogatepass")
