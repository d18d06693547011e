"""Any XML of a dump, by the standard library's parser, an element at a time."""

from collections.abc import Iterable, Iterator
from typing import NoReturn
from xml.parsers import expat

import numpy as np

from thinmeta.builder.xml_elements import numbers_of
from thinmeta.builder.xml_piece import MAPPINGS, Tag, XmlPiece
from thinmeta.errors import InputError
from thinmeta.walk.runs import Runs

_BYTES_AT_ONCE = 1 << 18
_LONGEST = 1 << 22
"""Bytes that one tag or comment may have; the parser keeps it in memory."""


class XmlParser:
    """Reads the rest of a document whose beginning somebody else has read."""

    def __init__(self, name: str, open_: list[str], *, is_ended: bool, nr_lines: int) -> None:
        """Begin where elements are open already.

        Args:
            name: of the input, for messages.
            open_: names of the elements that are open, the outermost first.
            is_ended: the document is over.
            nr_lines: how many lines precede.
        """
        self._name = name
        self._nr_lines = nr_lines
        self._rows: list[tuple[int, ...]] = []
        self._lines: list[int] = []
        self._tags: list[Tag] = []
        self._inside: str | None = None
        self._open: list[str | None] = [None]
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = False
        beginning = "".join(f"<{element}>" for element in open_)
        if is_ended:
            beginning = "<superblock/>"
        self._open += open_
        self._nr_read = len(beginning)
        self._parse(beginning.encode(), is_final=False)
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def pieces(self, texts: Iterable[bytes]) -> Iterator[XmlPiece]:
        """Return what stands in `texts`, one after the other.

        Raises:
            InputError: it is no XML, or has what no dump has.
        """
        try:
            for text in texts:
                for begin in range(0, len(text), _BYTES_AT_ONCE):
                    self._parse(text[begin : begin + _BYTES_AT_ONCE], is_final=False)
                    yield self._taken()
            self._parse(b"", is_final=True)
        except InputError:
            yield self._taken()  # what is wrong in there comes first
            raise
        yield self._taken()

    def _parse(self, text: bytes, *, is_final: bool) -> None:
        self._nr_read += len(text)
        try:
            self._parser.Parse(text, is_final)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            self._fail(what, error.lineno)
        except (LookupError, ValueError) as error:  # as Python's codecs say what they lack
            self._fail(f"its encoding cannot be read: {error}")
        if self._nr_read - self._parser.CurrentByteIndex > _LONGEST:
            self._fail(f"something here is longer than {_LONGEST} bytes")

    def _taken(self) -> XmlPiece:
        columns = np.array(self._rows, dtype=np.uint64).reshape(-1, 4).T
        piece = XmlPiece(Runs(*columns), np.array(self._lines, dtype=np.int64), self._tags)
        self._rows, self._lines, self._tags = [], [], []
        return piece

    def _fail(self, what: str, line: int | None = None) -> NoReturn:
        line = self._parser.CurrentLineNumber if line is None else line
        raise InputError(f"{self._name}: line {self._nr_lines + line}: {what}")

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        tag = Tag(
            len(self._rows), self._nr_lines + self._parser.CurrentLineNumber, element, attributes
        )
        mapping = MAPPINGS.get(element)
        if self._open[-1] in MAPPINGS:
            self._fail(f"<{element}> stands in <{self._open[-1]}>, where it has no business")
        if mapping is None:
            self._tags.append(tag)
        else:
            try:
                numbers = numbers_of(tag, self._open[-1])
            except InputError as error:
                self._fail(str(error))
            self._rows.append(tuple(numbers[name] if name else 1 for name in mapping))
            self._lines.append(tag.line)
        self._open.append(element)

    def _end(self, element: str) -> None:
        self._open.pop()
        if element not in MAPPINGS:
            line = self._nr_lines + self._parser.CurrentLineNumber
            self._tags.append(Tag(len(self._rows), line, element, None))

    def _text(self, text: str) -> None:
        if text.strip():
            self._fail(f"there is text, {text.strip()[:40]!r}, where only elements belong")

    def _doctype(self, *_: object) -> None:
        self._fail("there is a document type, which no dump has")
