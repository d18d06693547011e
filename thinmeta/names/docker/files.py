"""Docker's files, read so that nothing among them can stop the rest from being read.

What is there may have been copied in part, cut short or made to harm: only regular
files are opened, each read is bounded and so is their sum. What cannot be read
becomes a note; what has another type than it should is taken as missing.
"""

import errno
import os
import re
import stat
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

from thinmeta.names.docker.json_object import JSON, JsonObject

_OPENED = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_FILE_BYTES = 8 << 20
_ALL_BYTES = 256 << 20
_PIECE_BYTES = 64 << 10
_ENTRIES = 1 << 18  # of one folder; a layer is an entry
_NOTES = 100
_NOT_REGULAR = "it is no regular file"
_GRAPH_ID = re.compile(r"[a-z0-9][\w.-]*", re.ASCII)
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def digest(text: str | None) -> str | None:
    """Return the 64 hexadecimal digits of an id, with or without `sha256:`; None if it is none.

    >>> digest("sha256:" + 32 * "a1") == digest(32 * "a1") == 32 * "a1", digest("base")
    (True, None)
    """
    match = _DIGEST.fullmatch(text or "")
    return match[1] if match else None


def graph_id(text: str | None) -> str | None:
    """Return what Docker calls a device by, if it is that: often a digest, BuildKit's are shorter.

    >>> graph_id("nb7wspnxafx9hcjd2k3lml1em-init"), graph_id("../etc"), graph_id("")
    ('nb7wspnxafx9hcjd2k3lml1em-init', None, None)
    """
    is_one = text is not None and len(text) < 256 and _GRAPH_ID.fullmatch(text)
    return text if is_one else None


def size_in(text: str | None) -> int | None:
    """Return the number of bytes that a file of its own holds; None if it is none.

    >>> size_in("4096"), size_in("-1"), size_in(None)
    (4096, None, None)
    """
    if text is None or len(text) >= 20 or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


class DockerFiles:
    """Reads below one folder; nothing raises, and `notes` says what could not be read.

    Attributes:
        read: which files were read: the inodes of each file system's number.
    """

    def __init__(self, root: Path) -> None:
        """Read below `root`."""
        self._root = root
        self.read: defaultdict[int, set[int]] = defaultdict(set)
        self._bytes_left = _ALL_BYTES
        self._notes: list[str] = []
        self._nr_unsaid = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read or is odd, a line each."""
        more = [f"and {self._nr_unsaid} more"] if self._nr_unsaid else []
        return (*self._notes, *more)

    def note(self, text: str) -> None:
        """Remember what is odd."""
        if len(self._notes) < _NOTES:
            self._notes.append("".join(each if each.isprintable() else "?" for each in text))
        else:
            self._nr_unsaid += 1

    def named(self, path: Path) -> str:
        """Return how a note names a file: from the root on."""
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)

    def folder(self, path: Path) -> "DockerFolder":
        """Return a folder to read files of, which need not be there."""
        return DockerFolder(self, path)

    def content(self, name: str, folder: int) -> bytes:
        """Return what a regular file holds.

        Args:
            name: the file's, from the folder on.
            folder: its descriptor.

        Raises:
            OSError: it cannot be read, is too large, or no regular file.
        """
        most = min(_FILE_BYTES, self._bytes_left)
        fd = os.open(name, _OPENED, dir_fd=folder)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):  # it may have become another since
                raise OSError(_NOT_REGULAR)
            self.read[status.st_dev].add(status.st_ino)
            content = os.read(fd, min(status.st_size, most) + 1)
            if len(content) != status.st_size:  # its file system may not know the size
                parts = [content]
                while parts[-1] and sum(map(len, parts)) <= most:
                    parts.append(os.read(fd, _PIECE_BYTES))
                content = b"".join(parts)
        finally:
            os.close(fd)
        if len(content) > most:
            raise OSError("it is too large")
        self._bytes_left -= len(content)
        return content


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to be read as a stream.

    Raises:
        OSError: it cannot be, or is something else.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe could wait
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(os.open(path, _OPENED), "rb")  # noqa: PTH123  # which closes it


class DockerFolder:
    """A folder that stays open while its files, a hundred thousand perhaps, are read."""

    def __init__(self, files: DockerFiles, path: Path) -> None:
        """Read files below `path`; to be used in a `with` statement."""
        self._files = files
        self._path = path
        self._fd = -1
        self._error: OSError | None = None
        self._regular: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        """Open it, if it is there."""
        try:
            self._fd = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._error = error
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)

    def names(self) -> list[str]:
        """Return the sorted names in it; none where there is no folder."""
        try:
            with os.scandir(self._path) as found:
                entries = list(islice(found, _ENTRIES + 1))
        except FileNotFoundError:
            return []
        except OSError as error:
            self.note(f"cannot be listed: {error.strerror}")
            return []
        if len(entries) > _ENTRIES:
            self.note(f"has more than {_ENTRIES} entries, the rest is left")
        some = entries[:_ENTRIES]
        self._regular = frozenset(each.name for each in some if _is_regular(each))
        return sorted(each.name for each in some)

    def text(self, name: str) -> str | None:
        """Return what a file holds, without spaces around it; None where there is none.

        Args:
            name: the file's, from the folder on.
        """
        try:
            content = self._content(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(f"cannot be read: {error.strerror or error}", name)
            return None
        return content.decode("utf-8", "replace").strip()

    def object(self, name: str) -> JsonObject | None:
        """Return the JSON object in a file; None where there is none."""
        parsed = self._json(name)
        if parsed is None:
            return None
        if not isinstance(parsed, dict):
            self.note("holds no JSON object", name)
            return None
        return JsonObject(parsed)

    def objects(self, name: str) -> list[JsonObject]:
        """Return the JSON objects of the list in a file; none where there is no list."""
        parsed = self._json(name)
        if parsed is None:
            return []
        if not isinstance(parsed, list):
            self.note("holds no JSON list", name)
            return []
        return [JsonObject(each) for each in parsed]

    def _json(self, name: str) -> Any:
        """Return what a file holds as JSON; None where there is nothing."""
        text = self.text(name)
        if text is None:
            return None
        try:
            parsed, end = JSON.raw_decode(text)
        except (ValueError, RecursionError):
            end = None
        if end != len(text):
            self.note("is no JSON, or not all of it", name)
            return None
        return parsed

    def note(self, text: str, name: str = "") -> None:
        """Remember what is odd about a file, or about the folder."""
        self._files.note(f"{self._files.named(self._path / name)}: {text}")

    def _content(self, name: str) -> bytes:
        if self._error is not None:
            raise self._error
        # Opening a pipe or a device could wait, or do something: look before.
        if name not in self._regular and not stat.S_ISREG(os.stat(name, dir_fd=self._fd).st_mode):
            raise OSError(_NOT_REGULAR)
        return self._files.content(name, self._fd)


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Tell whether it is a regular file; False also where that is not known, as of a link."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False
