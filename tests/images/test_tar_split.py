"""What Docker kept of a layer's tar: files that are none."""

import gzip
import re
from base64 import b64encode
from pathlib import Path

import pytest

from thinmeta.errors import InputError
from thinmeta.images.tar_split import read_tar_split, size_of

LINE = b'{"type":2,"payload":"AAAA"}\n'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"hello", "cannot be read: Not a gzipped file (b'he')"),
        (gzip.compress(LINE * 9, mtime=0)[:-9], "cannot be read: Compressed file ended"),
        (gzip.compress(bytes(64 << 20), 1, mtime=0), "a line of it is no part of a tar"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "tar-split.json.gz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(f"{path}: {why}")):
        list(read_tar_split(path))


LONG = bytes(5 << 20) + b"end"
LONG_LINE = b'{"type":2,"payload":"%b","position":1}\n' % b64encode(LONG)


def test_what_follows_a_tar_may_be_one_long_line(tmp_path: Path) -> None:
    path = tmp_path / "tar-split.json.gz"
    path.write_bytes(gzip.compress(LINE + LONG_LINE + LINE, 1, mtime=0))

    parts = list(read_tar_split(path))

    assert b"".join(part for part in parts if isinstance(part, bytes)) == b"%b%b%b" % (
        bytes(3),
        LONG,
        bytes(3),
    )
    assert size_of(path) == len(LONG) + 6


@pytest.mark.parametrize(
    "line",
    [
        LONG_LINE[:-20],
        LONG_LINE.replace(b"BlbmQ=", b"Blbm!="),
        LONG_LINE[:-2] + b"garbage}\n",
        LONG_LINE.replace(b'{"type":2', b'{"type":1'),
        LONG_LINE.replace(b'"position"', b'"name":"a","position"'),
    ],
    ids=["cut", "no-base64", "rest", "type", "field"],
)
def test_a_long_line_that_is_no_part(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tar-split.json.gz"
    path.write_bytes(gzip.compress(LINE + line, 1, mtime=0))

    with pytest.raises(InputError, match="a line of it is no part of a tar"):
        size_of(path)
