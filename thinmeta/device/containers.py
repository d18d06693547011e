"""Compressed images and pack files, unpacked into an unnamed sparse file.

A compressed image is recognised by its content. Blocks of zeros become holes, so a
nearly empty 16 GiB image needs neither 16 GiB of memory nor of disk. A stream that
ends too early or is damaged gives what was unpacked until then: a copy from a
broken host is cut short more often than not, and each block has its checksum.
"""

import os
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, Protocol

from thinmeta.errors import InputError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

if TYPE_CHECKING:
    from thinmeta.device.pack_file import PackFile

_PIECE = 16 * METADATA_BLOCK_BYTES
_PACKED_PIECE = 1024
"""Bytes unpacked at once: so few, because bzip2 makes up to 45,000 times as many of them."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip() -> _Decompressor:
    import zlib

    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _bzip2() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor()


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise InputError(
            "the image is compressed with zstd, which needs an extra: "
            "pip install 'thinmeta[zstd]', or unpack it with zstd -d"
        ) from error
    return zstandard.ZstdDecompressor().decompressobj()


_PACKINGS: dict[bytes, tuple[str, Callable[[], _Decompressor]]] = {
    b"\x1f\x8b\x08": ("gzip", _gzip),
    b"BZh": ("bzip2", _bzip2),
    b"\xfd7zXZ\x00": ("xz", _xz),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstd),
}

_PACK_FILE = "pack file"
PACK_MAGIC = bytes.fromhex("77ef0963aaa037a5")
"""What a pack file of thin_metadata_pack begins with."""

_NAMES = {PACK_MAGIC: _PACK_FILE} | {magic: name for magic, (name, _) in _PACKINGS.items()}

MAGIC_BYTES = max(map(len, _NAMES))
"""How many bytes of a file tell whether it is compressed."""


def packing_of(beginning: bytes) -> str | None:
    """Return what `beginning` shows an image to be packed with, None where it shows nothing."""
    return next((name for magic, name in _NAMES.items() if beginning.startswith(magic)), None)


def unpack(fd: int, inspect: Callable[[bytes], None]) -> tuple[int, str | None]:
    """Unpack the compressed image or pack file behind `fd` into an unnamed sparse file.

    Args:
        fd: the file; it is read from its beginning and left open.
        inspect: given the first block, of a compressed image before the rest is
            unpacked; it raises when the image is not worth it.

    Returns:
        A descriptor of the unpacked file, and what was wrong with the packed one.

    Raises:
        InputError: a library is missing, nothing at all could be unpacked, or there
            is no room for what was.
    """
    import tempfile

    beginning = os.pread(fd, MAGIC_BYTES, 0)
    is_pack_file = packing_of(beginning) == _PACK_FILE
    what = _PACK_FILE if is_pack_file else f"{packing_of(beginning)} stream"
    try:
        with os.fdopen(os.dup(fd), "rb") as packed, tempfile.TemporaryFile() as unpacked:
            packed.seek(0)
            if is_pack_file:
                from thinmeta.device.pack_file import PackFile

                size, wrong = _place_blocks(PackFile(packed), unpacked, inspect)
            else:
                _, begin = next(
                    each for magic, each in _PACKINGS.items() if beginning.startswith(magic)
                )
                size, wrong = _copy_sparse(_Stream(packed, begin), unpacked, inspect)
            result = os.dup(unpacked.fileno())
    except OSError as error:
        raise InputError(
            f"the {what} cannot be unpacked into {tempfile.gettempdir()}: "
            f"{error.strerror}; TMPDIR names another place"
        ) from error
    if wrong is None:
        return result, None
    if not size:
        os.close(result)
        raise InputError(f"the {what} cannot be unpacked: {wrong}")
    return result, f"the {what} is damaged after {size} bytes unpacked: {wrong}"


def _place_blocks(
    pack: "PackFile", target: IO[bytes], inspect: Callable[[bytes], None]
) -> tuple[int, str | None]:
    """Write the blocks of a pack file where they belong.

    Returns:
        How many bytes they have, and what was wrong with the pack file.
    """
    size = 0
    target.truncate(pack.nr_blocks * METADATA_BLOCK_BYTES)
    for number, content in pack.stretches():
        os.pwrite(target.fileno(), content, number * METADATA_BLOCK_BYTES)
        size += len(content)
    if size or not pack.wrong:
        inspect(os.pread(target.fileno(), METADATA_BLOCK_BYTES, 0))
    return size, pack.wrong


class _Stream:
    """What a compressed file unpacks to, as far as it does.

    Attributes:
        wrong: after the last part: why it is not the end.
    """

    def __init__(self, file: IO[bytes], begin: Callable[[], _Decompressor]) -> None:
        self.wrong: str | None = None
        self._file = file
        self._begin = begin

    def parts(self) -> Iterator[bytes]:
        decompressor = self._begin()
        while packed := self._file.read(_PACKED_PIECE):
            while packed:
                if decompressor.eof:
                    packed = packed.lstrip(b"\0")  # padding between streams
                    if not packed:
                        break
                    decompressor = self._begin()
                try:
                    part = decompressor.decompress(packed)
                except Exception as error:  # noqa: BLE001  # the libraries share no base class
                    self.wrong = str(error) or type(error).__name__
                    return
                yield part
                packed = decompressor.unused_data if decompressor.eof else b""
        if not decompressor.eof:
            self.wrong = "it ends too early"


def _copy_sparse(
    stream: _Stream, target: IO[bytes], inspect: Callable[[bytes], None]
) -> tuple[int, str | None]:
    """Copy until the end, the first fault of the stream, or what no metadata can exceed.

    Returns:
        How many bytes were copied, and what was wrong with the stream.
    """
    limit = (MAX_METADATA_BLOCKS + 1) * METADATA_BLOCK_BYTES
    size = 0
    for piece in _pieces(stream.parts()):
        if not size:
            inspect(piece[:METADATA_BLOCK_BYTES])
        if piece.count(0) == len(piece):
            target.seek(len(piece), os.SEEK_CUR)
        else:
            target.write(piece)
        size += len(piece)
        if size >= limit:
            break
    if not size and stream.wrong is None:
        inspect(b"")
    target.truncate(size)
    target.flush()
    return size, stream.wrong


def _pieces(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return the bytes of `parts` in pieces of `_PIECE` bytes; the last may be shorter."""
    rest = b""
    for part in parts:
        rest += part
        whole = len(rest) - len(rest) % _PIECE
        for begin in range(0, whole, _PIECE):
            yield rest[begin : begin + _PIECE]
        rest = rest[whole:]
    if rest:
        yield rest
