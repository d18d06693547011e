"""The elements of a dump's XML: where each may stand, and what its attributes are."""

from typing import NamedTuple

from thinmeta.builder.xml_piece import MAPPINGS, Tag
from thinmeta.errors import InputError
from thinmeta.units import LAST_KEY
from thinmeta.walk.space_map import MAX_DATA_BLOCKS

_U32 = 2**32 - 1


class Element(NamedTuple):
    """An element, and what it must have.

    Attributes:
        parents: of which it may be a child; None is the document.
        numbers: attributes that are numbers, and the highest that each can be.
        has_name: it has an attribute `name`.
        ignored: what it may have besides.
    """

    parents: tuple[str | None, ...]
    numbers: dict[str, int]
    has_name: bool = False
    ignored: frozenset[str] = frozenset()


_ELEMENTS = {
    "superblock": Element(
        (None,),
        {
            "time": _U32,
            "transaction": LAST_KEY,
            "data_block_size": _U32,
            "nr_data_blocks": MAX_DATA_BLOCKS,
        },
        ignored=frozenset({"uuid", "version", "flags"}),
    ),
    "device": Element(
        ("superblock",),
        {
            "dev_id": _U32,
            "mapped_blocks": LAST_KEY,
            "transaction": LAST_KEY,
            "creation_time": _U32,
            "snap_time": _U32,
        },
    ),
    "def": Element(("superblock",), {}, has_name=True),
    "ref": Element(("device",), {}, has_name=True),
    **{
        tag: Element(("device", "def"), {name: LAST_KEY for name in mapping if name is not None})
        for tag, mapping in MAPPINGS.items()
    },
}


def numbers_of(tag: Tag, parent: str | None) -> dict[str, int]:
    """Return the numbers of a start tag that stands in `parent`.

    Raises:
        InputError: it may not stand there, or an attribute is missing, unknown or no
            number that it can be.
    """
    element = _ELEMENTS.get(tag.name)
    if element is None:
        raise InputError(f"<{tag.name}> is no element of a dump")
    if parent not in element.parents:
        place = f"in <{parent}>" if parent else "outside of all others"
        raise InputError(f"<{tag.name}> stands {place}, where it has no business")
    attributes = tag.attributes or {}
    known = element.numbers.keys() | element.ignored | ({"name"} if element.has_name else set())
    for name in attributes:
        if name not in known:
            raise InputError(f"<{tag.name}> has an unknown attribute, {name}")
    for name in (*element.numbers, *(["name"] if element.has_name else ())):
        if name not in attributes:
            raise InputError(f"<{tag.name}> has no attribute {name}")
    return {name: _number(attributes[name], name, most) for name, most in element.numbers.items()}


def _number(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{name} is {text[:40]!r}, which is no number")
    if len(text.lstrip("0")) > 20 or int(text.lstrip("0") or "0") > most:
        raise InputError(f"{name} is {text[:40]}, and the highest that it can be is {most}")
    return int(text.lstrip("0") or "0")
