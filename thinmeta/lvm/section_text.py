"""A section of LVM's text, written as LVM does: a line a field, a tab for each section around it.

Source: `lib/format_text/export.c` (LVM2 v2.03), `out_config_node()`.
"""

import re
from collections.abc import Iterator

from thinmeta.lvm.text import Scalar, Section

_PLAIN = re.compile(r"[A-Za-z0-9+_.-]+")
_BACKSLASHED = re.compile(r'[\\"]')


def section_lines(name: str, section: Section, depth: int = 0) -> Iterator[str]:
    r"""Return the lines of a section.

    >>> section = {"id": 'a"b', "tags": ["x", 1], "segment1": {"n": 2}}
    >>> print(*(line.expandtabs(4) for line in section_lines("lv", section)), sep="\n")
    lv {
        id = "a\"b"
        tags = ["x", 1]
        segment1 {
            n = 2
        }
    }

    Args:
        name: of the section.
        section: what is in it.
        depth: how many sections are around it.
    """
    tabs = "\t" * depth
    yield f"{tabs}{_key(name)} {{"
    for key, value in section.items():
        if isinstance(value, dict):
            yield from section_lines(key, value, depth + 1)
        elif isinstance(value, list):
            yield f"{tabs}\t{_key(key)} = [{', '.join(map(_scalar, value))}]"
        else:
            yield f"{tabs}\t{_key(key)} = {_scalar(value)}"
    yield f"{tabs}}}"


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else _scalar(key)


def _scalar(value: Scalar) -> str:
    if not isinstance(value, str):
        return str(value)
    return '"{}"'.format(_BACKSLASHED.sub(r"\\\g<0>", value))
