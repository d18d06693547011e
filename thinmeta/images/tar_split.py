"""What Docker kept of a layer's tar: all of it but the contents of files.

Facts: `tar-split.json.gz`, vbatts/tar-split, tar/storage/entry.go: gzip of an object a line. Type 2
has bytes of the tar; type 1 stands for a file, with its name, its size and a CRC-64 of it.
"""

import gzip
import json
import re
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError
from thinmeta.names.docker.files import open_regular

_LINE_BYTES = 4 << 20
_FILE, _SEGMENT = 1, 2
_CRC_BYTES = 8
_SEGMENT_BEGINS = b'{"type":2,"payload":"'  # as Go writes it: fields in order, no spaces
_NO_PART = "a line of it is no part of a tar"


class SplitFile(NamedTuple):
    """A file whose contents belong into the tar here.

    Attributes:
        name: as the tar has it.
        size: in bytes, more than 0.
        crc: CRC-64 of the contents, as Go's `hash/crc64` has it; None if it is not there.
    """

    name: bytes
    size: int
    crc: int | None


SplitPart = bytes | SplitFile


def read_tar_split(path: Path) -> Iterator[SplitPart]:
    """Return what a layer's tar is made of, in order.

    Raises:
        InputError: the file cannot be read, or is out of shape.
    """
    try:
        with open_regular(path) as file, gzip.GzipFile(fileobj=file) as lines:
            while line := lines.readline(_LINE_BYTES):
                if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
                    yield from _long_segment(path, line, lines)
                elif (part := _part(path, line)) is not None:
                    yield part
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {why}") from error


def size_of(path: Path) -> int:
    """Return how long the tar is, in bytes.

    Raises:
        InputError: see `read_tar_split`.
    """
    parts = read_tar_split(path)
    return sum(part.size if isinstance(part, SplitFile) else len(part) for part in parts)


def _long_segment(path: Path, line: bytes, lines: gzip.GzipFile) -> Iterator[bytes]:
    """Return the bytes of a line that is longer than what is read at once.

    Docker kept whatever follows the end of a tar as one line for years, zeros mostly.

    Args:
        path: of the file, for messages.
        line: what was read of the line.
        lines: where the rest of it is.
    """
    begins, text = line[: len(_SEGMENT_BEGINS)], line[len(_SEGMENT_BEGINS) :]
    if begins != _SEGMENT_BEGINS:
        raise InputError(f"{path}: {_NO_PART}")
    try:
        while (end := text.find(b'"')) < 0:
            whole = len(text) - len(text) % 4
            yield b64decode(text[:whole], validate=True)
            more = lines.readline(_LINE_BYTES)
            text = text[whole:] + more
            if not more:
                raise InputError(f"{path}: {_NO_PART}")
        yield b64decode(text[:end], validate=True)
    except Base64Error as error:
        raise InputError(f"{path}: {_NO_PART}") from error
    rest = text[end:] if text.endswith(b"\n") else text[end:] + lines.readline(_LINE_BYTES)
    if not re.fullmatch(rb'","position":\d+}\n?', rest):
        raise InputError(f"{path}: {_NO_PART}")


def _part(path: Path, line: bytes) -> SplitPart | None:
    try:
        entry = json.loads(line)
        payload = b64decode(entry.get("payload") or "", validate=True)
        kind, size = entry["type"], entry.get("size", 0)
        raw, name = entry.get("name_raw"), entry.get("name", "")
        name = b64decode(raw, validate=True) if raw else name.encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Base64Error) as error:
        raise InputError(f"{path}: {_NO_PART}") from error
    if kind == _SEGMENT:
        return payload
    if kind != _FILE or type(size) is not int or not 0 <= size < 1 << 63:
        raise InputError(f"{path}: {_NO_PART}")
    if not size:
        return None
    crc = int(payload.hex(), 16) if len(payload) == _CRC_BYTES else None
    return SplitFile(name, size, crc)
