"""Headers equal, to the byte, to those that Go's archive/tar wrote for the same members."""

import io
import json
import tarfile
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinmeta.archive.go_headers import UnwritableError, go_header
from thinmeta.archive.ustar import REGULAR, Member, padding

ROWS = json.loads((Path(__file__).with_suffix("") / "headers.json").read_text())


def member_of(row: dict[str, Any]) -> Member:
    name, typeflag, link, uname, gname = (
        b64decode(row[key]) for key in ("Name", "Type", "Link", "Uname", "Gname")
    )
    return Member(
        name,
        typeflag,
        row["Mode"],
        row["Uid"],
        row["Gid"],
        row["Size"],
        row["Mtime"],
        link,
        uname,
        gname,
        (row["Major"], row["Minor"]),
    )


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_header_is_the_one_that_go_writes(row: dict[str, Any]) -> None:
    records = {
        b"SCHILY.xattr." + key.encode(): b64decode(value) for key, value in row["Xattrs"].items()
    }

    if row["Blocks"] is None:
        with pytest.raises(UnwritableError, match="number"):
            go_header(member_of(row), records)
    else:
        assert go_header(member_of(row), records) == zlib.decompress(b64decode(row["Blocks"]))


def test_both_kinds_are_among_the_recorded() -> None:
    assert len(ROWS) == 220
    assert sum(row["Blocks"] is None for row in ROWS) >= 3


@given(
    name=st.binary(min_size=1, max_size=400).filter(lambda name: not {0, 47} & {*name}),
    uid=st.integers(0, 2**32 - 1),
    content=st.binary(max_size=1000),
    mtime=st.integers(-(2**40), 2**40),
)
def test_what_was_written_is_read_back(name: bytes, uid: int, content: bytes, mtime: int) -> None:
    member = Member(name, REGULAR, 0o100644, uid, 7, len(content), mtime)
    whole = go_header(member) + content + padding(len(content)) + bytes(1024)

    with tarfile.open(fileobj=io.BytesIO(whole), errors="surrogateescape") as archive:
        told = archive.next()
        assert told is not None
        file = archive.extractfile(told)
        assert file is not None
        assert file.read() == content
    assert (told.name.encode("utf-8", "surrogateescape"), told.uid) == (name, uid)
    assert told.mtime == mtime


def test_padding_fills_a_block() -> None:
    assert [len(padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]
