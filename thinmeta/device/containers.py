"""Compressed images, unpacked into an unnamed sparse file.

A compressed image is recognised by its content. Blocks of zeros become holes, so a
nearly empty 16 GiB image needs neither 16 GiB of memory nor of disk. A stream that
ends too early or is damaged gives what was unpacked until then: a copy from a
broken host is cut short more often than not, and each block has its checksum.
"""

import os
from collections.abc import Callable
from typing import IO

from thinmeta.errors import InputError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

_PIECE = 16 * METADATA_BLOCK_BYTES
_ZEROS = bytes(_PIECE)


def _open_gzip(file: IO[bytes]) -> IO[bytes]:
    import gzip

    return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]  # it reads bytes: enough for us


def _open_bzip2(file: IO[bytes]) -> IO[bytes]:
    import bz2

    return bz2.BZ2File(file)


def _open_xz(file: IO[bytes]) -> IO[bytes]:
    import lzma

    return lzma.LZMAFile(file)


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise InputError(
            "the image is compressed with zstd, which needs an extra: "
            "pip install 'thinmeta[zstd]', or unpack it with zstd -d"
        ) from error
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


_OPENERS: dict[bytes, tuple[str, Callable[[IO[bytes]], IO[bytes]]]] = {
    b"\x1f\x8b": ("gzip", _open_gzip),
    b"BZh": ("bzip2", _open_bzip2),
    b"\xfd7zXZ\x00": ("xz", _open_xz),
    b"\x28\xb5\x2f\xfd": ("zstd", _open_zstd),
}

MAGIC_BYTES = max(map(len, _OPENERS))
"""How many bytes of a file tell whether it is compressed."""


def packing_of(beginning: bytes) -> str | None:
    """Return the name of the compression that `beginning` shows, None where it shows none."""
    return next(
        (name for magic, (name, _) in _OPENERS.items() if beginning.startswith(magic)), None
    )


def unpack(fd: int, inspect: Callable[[bytes], None]) -> tuple[int, str | None]:
    """Unpack the compressed file behind `fd` into an unnamed sparse file.

    Args:
        fd: the compressed file; it is read from its beginning and left open.
        inspect: given the first block before the rest is unpacked; it raises
            when the image is not worth it.

    Returns:
        A descriptor of the unpacked file, and what was wrong with the stream.

    Raises:
        InputError: a library is missing, or nothing at all could be unpacked.
    """
    import tempfile

    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        name, opener = next(
            entry
            for magic, entry in _OPENERS.items()
            if os.pread(fd, MAGIC_BYTES, 0).startswith(magic)
        )
        with tempfile.TemporaryFile(prefix="thinmeta-") as unpacked:
            wrong = _copy_sparse(opener(file), unpacked, inspect)
            if wrong is None:
                return os.dup(unpacked.fileno()), None
            size = unpacked.tell()
            if not size:
                raise InputError(f"the {name} stream cannot be unpacked: {wrong}")
            return (
                os.dup(unpacked.fileno()),
                f"the {name} stream is damaged after {size} bytes unpacked: {wrong}",
            )


def _copy_sparse(
    stream: IO[bytes], target: IO[bytes], inspect: Callable[[bytes], None]
) -> str | None:
    """Copy until the end, the first fault of the stream, or what no metadata can exceed."""
    limit = (MAX_METADATA_BLOCKS + 1) * METADATA_BLOCK_BYTES
    wrong = None
    size = 0
    while size < limit:
        piece, wrong = _read_piece(stream)
        if size == 0 and (piece or wrong is None):
            inspect(piece[:METADATA_BLOCK_BYTES])
        if piece == _ZEROS:
            target.seek(_PIECE, os.SEEK_CUR)
        else:
            target.write(piece)
        size += len(piece)
        if len(piece) < _PIECE:
            break
    target.truncate(size)
    target.flush()
    target.seek(size)
    return wrong


def _read_piece(stream: IO[bytes]) -> tuple[bytes, str | None]:
    """Return the next `_PIECE` bytes, fewer at the end, and why the stream ended early."""
    parts: list[bytes] = []
    missing = _PIECE
    while missing:
        try:
            part = stream.read(missing)
        except Exception as error:  # noqa: BLE001  # lzma, zlib and zstandard share no base class
            return b"".join(parts), str(error) or type(error).__name__
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts), None
