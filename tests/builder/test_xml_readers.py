"""Both readers of XML: the one of many lines and the library's parser find the same."""

import io
from collections.abc import Iterator
from encodings.aliases import aliases
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builder.documents import Document, documents
from tests.properties import examples
from thinmeta.builder import xml_input, xml_lines
from thinmeta.builder.xml_input import Overrides, XmlInput
from thinmeta.errors import InputError
from thinmeta.walk.stream import StreamHeader, StreamPart

ODD = [b"", b" ", b"\n", b"0", b'"', b"<", b"/", b"-1", b"9" * 20, b"\xff", b"x", b"<!-- -->"]

Found = tuple[StreamHeader, list[object]]


def flat(parts: Iterator[StreamPart]) -> Iterator[object]:
    """Return marks and runs one by one."""
    for part in parts:
        marks = list(zip(part.before, part.marks, strict=True))
        for place, run in enumerate(part.runs):
            while marks and marks[0][0] == place:
                yield marks.pop(0)[1]
            yield run
        yield from (mark for _, mark in marks)


def read(text: bytes) -> Found | str:
    """Return all that is read, or where it is wrong."""
    source = XmlInput(io.BytesIO(text), "pool.xml", Overrides())
    try:
        return source.header(), list(flat(source.parts()))
    except InputError as error:
        name, line, _ = str(error).split(":", 2)
        assert name == "pool.xml"
        return line


def parsed(text: bytes) -> Found | str:
    """Return the same, with the library's parser from the first byte on."""
    with patch.object(
        xml_input, "read_lines", lambda _, begin, end, __: iter([begin][: end - begin])
    ):
        return read(text)


@st.composite
def nearly(draw: st.DrawFn, text: bytes) -> bytes:
    """Return `text`, mostly with something changed."""
    place = draw(st.integers(0, len(text)))
    end = min(len(text), place + draw(st.integers(0, 90)))
    piece = draw(st.sampled_from([*ODD, text[place:end], text[place : place + 1] * 3]))
    match draw(st.sampled_from(["same", "insert", "replace", "cut", "cut line"])):
        case "insert":
            return text[:place] + piece + text[place:]
        case "replace":
            return text[:place] + piece + text[place + len(piece) :]
        case "cut":
            return text[:place]
        case "cut line":
            lines = text.splitlines(keepends=True)
            chosen = draw(st.integers(0, len(lines) - 1))
            return b"".join(lines[:chosen] + lines[chosen + 1 :])
    return text


@pytest.mark.parametrize("alike", [2, 20, 10_000])
@examples(50)
@given(data=st.data())
def test_both_readers_find_the_same(alike: int, data: st.DataObject) -> None:
    document = data.draw(documents(most=60))
    text = data.draw(nearly(document.xml().encode() + data.draw(st.sampled_from([b"", b"\n"]))))

    with (
        patch.object(xml_lines, "_LEAST_ALIKE", alike),
        patch.object(xml_lines, "_MIXED_BYTES", 300),
        patch.object(xml_input, "_BYTES_AT_ONCE", data.draw(st.sampled_from([400, 3000, 1 << 20]))),
    ):
        found = read(text)

    assert found == parsed(text)


@examples(20)
@given(documents(most=200))
def test_what_is_read_is_what_was_written(document: Document) -> None:
    expected: list[object] = []
    for name, runs in document.shared.items():
        expected += [(name,), *runs, ()]
    for device_id, parts in document.devices.items():
        said = len(document.mapped(device_id))
        expected += [(device_id, said, 7 - 4, 4, 5)]
        expected += [(part,) if isinstance(part, str) else part for part in parts]
        expected += [()]

    assert read(document.xml().encode()) == ((9, 7, 128, 100_000), expected)


@pytest.mark.parametrize("digits", range(1, 21))
def test_numbers_of_any_width(digits: int) -> None:
    number = int("1234567890" * 2) // 10 ** (20 - digits)
    lines = "".join(
        f'    <single_mapping origin_block="{number + place}" data_block="{place % 7}" time="0"/>\n'
        for place in range(2000)
    )
    head, tail = Document(devices={1: []}).xml().split("  </device>")
    text = f"{head}{lines}  </device>{tail}".encode()

    found = read(text)

    assert found == parsed(text)
    assert not isinstance(found, str)
    assert found[1][1:-1] == [(number + place, place % 7, 1, 0) for place in range(2000)]


def test_the_library_parser_is_not_asked_for_what_thin_dump_prints() -> None:
    text = Document(shared={"5": [(0, 9, 1, 0)]}, devices={1: ["5", (7, 8, 2, 1)]}).xml().encode()

    with patch.object(xml_input, "XmlParser") as parser:
        read(text + b"\n")

    (rest,) = parser.return_value.pieces.call_args.args
    assert b"".join(rest) == b""


ODD_ENCODINGS = ["nosuch", "", "undefined", "utf-16-le", "hex", "x" * 5000, "../x", "é"]


def test_an_encoding_is_read_or_named(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    for name in (*aliases, *aliases.values(), *ODD_ENCODINGS):
        path.write_bytes(f'<?xml version="1.0" encoding="{name}"?><superblock/>'.encode())

        with (
            XmlInput.opened(path, Overrides(0, None, 0)) as document,
            pytest.raises(InputError, match=rf"^{path}: line 1: "),
        ):
            document.header()
