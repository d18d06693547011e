"""What Docker kept of a layer's tar: files that are none."""

import gzip
import re
from pathlib import Path

import pytest

from thinmeta.errors import InputError
from thinmeta.images.tar_split import read_tar_split

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
