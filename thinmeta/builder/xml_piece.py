"""What the two readers of XML hand on: mappings as columns, and the tags around them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.walk.runs import Runs


class Tag(NamedTuple):
    """A tag other than that of a mapping.

    Attributes:
        before: how many of the piece's mappings precede it.
        line: where it stands, from 1 on.
        name: of the element.
        attributes: None for an end tag.
    """

    before: int
    line: int
    name: str
    attributes: dict[str, str] | None


@dataclass(frozen=True, slots=True, eq=False)
class XmlPiece:
    """A part of the document.

    Attributes:
        rows: mappings as they stand there, which may be wrong in any way.
        lines: where each stands, shape `(n,)`, from 1 on.
        tags: in order.
    """

    rows: Runs
    lines: npt.NDArray[np.int64]
    tags: list[Tag]


class XmlMapping(NamedTuple):
    """An element for mappings: the attributes for the columns of `Runs`, None for a length of 1."""

    origin_begin: str
    data_begin: str
    length: str | None
    time: str


MAPPINGS = {
    "range_mapping": XmlMapping("origin_begin", "data_begin", "length", "time"),
    "single_mapping": XmlMapping("origin_block", "data_block", None, "time"),
}
