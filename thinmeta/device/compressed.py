"""Compressed images and pack files, unpacked into an unnamed sparse file.

A compressed image is recognised by its content. Blocks of zeros become holes, so a
nearly empty 16 GiB image needs neither 16 GiB of memory nor of disk. A stream that
ends too early or is damaged gives what was unpacked until then: a copy from a
broken host is cut short more often than not, and each block has its checksum.

Few bytes may unpack to many, and ask for much memory: both have a bound.
"""

import io
import os
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, Protocol

from thinmeta.errors import InputError, OutputError
from thinmeta.schemas.compressed_formats import (
    BZIP2_MAGIC,
    GZIP_MAGIC,
    PACK_MAGIC,
    XZ_MAGIC,
    ZSTD_MAGIC,
)
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

Inspect = Callable[[bytes], int | None]
"""Given the beginning of an image (a block, or all of a shorter one): raises InputError where
it is no metadata; returns how many blocks of it are of use, None for all."""

_PIECE = 16 * METADATA_BLOCK_BYTES
"""Bytes that a stream becomes at once, and that are a hole where all are zeros."""

_ZEROS = bytes(_PIECE)

_PACKED_PIECE = 1 << 14
_ZSTD_PIECE = 256
"""Bytes unpacked at once: so few, because 4 of them become 128 KiB, and nothing stops it there."""

_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 128 << 20
_TOO_MUCH_MEMORY = ("Memory usage limit exceeded", "requires too much memory")
"""What the libraries say of a stream that asks for more than that."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _gzip() -> _Decompressor:
    import zlib

    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _bzip2() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


class _Zstd:
    """A zstd frame; its library knows no longest output, so it gets little input."""

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise InputError(
                "the image is compressed with zstd, which needs an extra: "
                "pip install 'thinmeta[zstd]', or unpack it with zstd -d"
            ) from error
        self.unconsumed_tail = b""
        self._frame: Any = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._frame.unused_data) + self.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:  # noqa: ARG002
        self.unconsumed_tail = data[_ZSTD_PIECE:]
        return bytes(self._frame.decompress(data[:_ZSTD_PIECE]))


_PACKINGS: dict[bytes, tuple[str, Callable[[], _Decompressor]]] = {
    GZIP_MAGIC: ("gzip", _gzip),
    BZIP2_MAGIC: ("bzip2", _bzip2),
    XZ_MAGIC: ("xz", _xz),
    ZSTD_MAGIC: ("zstd", _Zstd),
}

_LARGE = {
    "xz": f"it takes more than {_XZ_MEMORY >> 20} MiB of memory to unpack; xz -d unpacks it",
    "zstd": f"its window is larger than {_ZSTD_WINDOW >> 20} MiB; zstd -d --long=31 unpacks it",
}

_PACK_FILE = "pack file"
_NAMES = {PACK_MAGIC: _PACK_FILE} | {magic: name for magic, (name, _) in _PACKINGS.items()}

MAGIC_BYTES = max(map(len, _NAMES))
"""How many bytes of a file tell whether it is compressed."""


def packing_of(beginning: bytes) -> str | None:
    """Return what `beginning` shows an image to be packed with, None where it shows nothing."""
    return next((name for magic, name in _NAMES.items() if beginning.startswith(magic)), None)


def unpack(fd: int, inspect: Inspect, into: int | None = None) -> tuple[int, str | None]:
    """Unpack the compressed image or pack file behind `fd` into a sparse file.

    Args:
        fd: the file; it is read from its beginning and left open.
        inspect: given the first block, of a compressed image before the rest is
            unpacked: no more of that is than what is of use.
        into: an empty file, which is left open; None is an unnamed one.

    Returns:
        A descriptor of the unpacked file, and what was wrong with the packed one.

    Raises:
        InputError: a library is missing, the file cannot be read, nothing at all could
            be unpacked, or there is no room for what was.
        OutputError: there is no room in `into`.
    """
    import tempfile

    beginning = os.pread(fd, MAGIC_BYTES, 0)
    is_pack_file = packing_of(beginning) == _PACK_FILE
    what = _PACK_FILE if is_pack_file else f"{packing_of(beginning)} stream"
    try:
        with io.BufferedReader(_Packed(os.dup(fd))) as packed, _unpacked_file(into) as unpacked:
            packed.seek(0)
            if is_pack_file:
                from thinmeta.device.pack.placing import place_blocks

                size, wrong = place_blocks(packed, unpacked, lambda row: _nr_wanted(inspect(row)))
            else:
                stream = _Stream(packed, beginning)
                size, wrong = _copy_sparse(stream, unpacked, inspect)
            result = os.dup(unpacked.fileno())
    except OSError as error:
        if into is not None:
            raise OutputError(f"cannot be written: {error.strerror}") from error
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


class _Packed(io.FileIO):
    """The packed file; that it cannot be read is another error than no room for what it becomes."""

    def readinto(self, buffer: "Buffer") -> int:
        try:
            return os.readv(self.fileno(), [buffer])
        except OSError as error:
            raise InputError(f"cannot be read at byte {self.tell()}: {error.strerror}") from error


def _unpacked_file(into: int | None) -> IO[bytes]:
    import tempfile

    return tempfile.TemporaryFile() if into is None else os.fdopen(os.dup(into), "r+b")


class _Stream:
    """What a compressed file unpacks to, as far as it does.

    Attributes:
        wrong: after the last part: why it is not the end.
    """

    def __init__(self, file: IO[bytes], beginning: bytes) -> None:
        self.wrong: str | None = None
        self._file = file
        self._name, self._begin = next(
            each for magic, each in _PACKINGS.items() if beginning.startswith(magic)
        )

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
                    yield from _unpacked(decompressor, packed)
                except Exception as error:  # noqa: BLE001  # the libraries share no base class
                    self.wrong = self._described(error)
                    return
                packed = decompressor.unused_data if decompressor.eof else b""
        if not decompressor.eof:
            self.wrong = "it ends too early"

    def _described(self, error: Exception) -> str:
        said = str(error) or type(error).__name__
        return _LARGE[self._name] if any(each in said for each in _TOO_MUCH_MEMORY) else said


def _unpacked(decompressor: _Decompressor, packed: bytes) -> Iterator[bytes]:
    """Return all that can be had of `packed`, a piece at a time."""
    while True:
        part = decompressor.decompress(packed, _PIECE)
        yield part
        # Where a library keeps what it did not take for itself, this is nothing.
        packed = getattr(decompressor, "unconsumed_tail", b"")
        if decompressor.eof or (not packed and len(part) < _PIECE):
            return


def _copy_sparse(stream: _Stream, target: IO[bytes], inspect: Inspect) -> tuple[int, str | None]:
    """Copy until the end, the first fault of the stream, or what is of use.

    Returns:
        How many bytes were copied, and what was wrong with the stream.
    """
    size, limit = 0, METADATA_BLOCK_BYTES
    for piece in _pieces(stream.parts()):
        if not size:
            limit *= _nr_wanted(inspect(piece[:METADATA_BLOCK_BYTES]))
        if piece == _ZEROS:
            target.seek(len(piece), os.SEEK_CUR)
        else:
            target.write(piece)
        size += len(piece)
        if size >= limit:
            size = limit
            break
    if not size and stream.wrong is None:
        inspect(b"")
    target.flush()
    target.truncate(size)
    return size, stream.wrong


def _nr_wanted(of_use: int | None) -> int:
    """Return how many blocks to unpack: one more than can be of use, so that more shows."""
    return MAX_METADATA_BLOCKS + 1 if of_use is None else of_use


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
