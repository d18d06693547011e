"""Docker's files, read so that nothing among them can stop the rest from being read.

What is there may have been copied in part, cut short or made to harm: only regular
files are opened, each read is bounded and so is their sum. What cannot be read
becomes a note; what has another type than it should is taken as missing.
"""

import json
import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import Any

from thinmeta.device.storage import Identity, identity_of

_FILE_BYTES = 8 << 20
_ALL_BYTES = 256 << 20
_PIECE_BYTES = 64 << 10
_ENTRIES = 1 << 18  # of one folder; a layer is an entry
_NOTES = 100
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


class JsonObject:
    """An object whose fields have the type that is asked for, or are missing."""

    def __init__(self, fields: Any) -> None:
        """Take what was parsed; what is no object has no fields."""
        self._fields: dict[str, Any] = fields if isinstance(fields, dict) else {}

    def integer(self, name: str, end: int = 1 << 64) -> int | None:
        """Return a number from 0 to before `end`."""
        value = self._fields.get(name)
        return value if type(value) is int and 0 <= value < end else None

    def text(self, name: str) -> str | None:
        """Return a string that is not empty."""
        value = self._fields.get(name)
        return value if isinstance(value, str) and value else None

    def word(self, name: str) -> str | None:
        """Return a string that can stand in a line."""
        value = self.text(name)
        return value if value and value.isprintable() else None

    def is_set(self, name: str) -> bool:
        """Tell whether a flag is there and true."""
        return self._fields.get(name) is True

    def object(self, name: str) -> "JsonObject":
        """Return the object in a field; one without fields if there is none."""
        return JsonObject(self._fields.get(name))

    def objects(self, name: str) -> list["JsonObject"]:
        """Return the objects of a list."""
        return [JsonObject(each) for each in self._list(name) if isinstance(each, dict)]

    def texts(self, name: str) -> list[str]:
        """Return the strings of a list."""
        return [each for each in self._list(name) if isinstance(each, str)]

    def names(self) -> list[str]:
        """Return the names of the fields, in order."""
        return list(self._fields)

    def _list(self, name: str) -> list[Any]:
        value = self._fields.get(name)
        return value if isinstance(value, list) else []


class DockerFiles:
    """Reads below one folder; nothing raises, and `notes` says what could not be read.

    Attributes:
        read: which files were read.
    """

    def __init__(self, root: Path) -> None:
        """Read below `root`."""
        self._root = root
        self.read: set[Identity] = set()
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

    def entries(self, folder: Path) -> list[str]:
        """Return the sorted names in a folder; none where there is no folder."""
        try:
            with os.scandir(folder) as found:
                names = [entry.name for entry in islice(found, _ENTRIES + 1)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.note(f"{self.named(folder)}: cannot be listed: {error.strerror}")
            return []
        if len(names) > _ENTRIES:
            self.note(f"{self.named(folder)}: has more than {_ENTRIES} entries, the rest is left")
        return sorted(names[:_ENTRIES])

    def text(self, path: Path) -> str | None:
        """Return what a file holds, without spaces around it; None where there is none."""
        try:
            content = self._read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(f"{self.named(path)}: cannot be read: {error.strerror or error}")
            return None
        return content.decode("utf-8", "replace").strip()

    def object(self, path: Path) -> JsonObject | None:
        """Return the JSON object in a file; None where there is none."""
        text = self.text(path)
        if text is None:
            return None
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            self.note(f"{self.named(path)}: is no JSON, or not all of it")
            return None
        if not isinstance(parsed, dict):
            self.note(f"{self.named(path)}: holds no JSON object")
            return None
        return JsonObject(parsed)

    def _read(self, path: Path) -> bytes:
        # Opening a pipe or a device could wait, or do something: look before.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # three times as fast
            raise OSError("it is no regular file")
        most = min(_FILE_BYTES, self._bytes_left)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.read.add(identity_of(os.fstat(fd)))
            # Most files are a line; room for the largest would take longer than to read it.
            parts = [os.read(fd, _PIECE_BYTES)]
            while parts[-1] and sum(map(len, parts)) <= most:
                parts.append(os.read(fd, _PIECE_BYTES))
        finally:
            os.close(fd)
        content = b"".join(parts)
        if len(content) > most:
            raise OSError("it is too large")
        self._bytes_left -= len(content)
        return content
