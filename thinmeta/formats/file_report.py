"""What a command that takes files out says of them on standard error, as JSON lines.

Each object is described in `docs/files.md`.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from thinmeta.files.file_bytes import LostPartsError
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.formats.files import name_fields
from thinmeta.formats.json_text import json_line
from thinmeta.images.layer_tar import WrongFile

if TYPE_CHECKING:
    from thinmeta.images.tree_layers import LostFile


def problem_object(path: bytes, outcome: str, why: str, **more: Any) -> bytes:
    """Return the object of a file that is not, or not as it was, in the output.

    Args:
        path: of the file, on the volume or, if it cannot be written, on the host.
        outcome: what becomes of it, in a word.
        why: in words.
        more: what else is known.
    """
    return json_line(type="problem", **name_fields("path", path), outcome=outcome, why=why, **more)


def file_problem(path: bytes, error: FileError) -> bytes:
    """Return the object of a file of the volume."""
    return problem_object(b"/" + path.lstrip(b"/"), error.outcome, str(error))


def lost_parts(path: bytes, error: FileError) -> Iterator[bytes]:
    """Return an object for each part of a file that is known to be lost, in order."""
    fields = name_fields("path", b"/" + path.lstrip(b"/"))
    for part in error.parts if isinstance(error, LostPartsError) else ():
        yield json_line(
            type="lost_part", **fields, begin=part.begin, length=part.length, why=part.why
        )


def journal_objects(opened: OpenedFiles) -> Iterator[bytes]:
    """Return the object of a journal that was replayed, or is damaged."""
    if opened.nr_transactions or opened.fault is not None:
        yield json_line(
            type="journal",
            volume=opened.source.name,
            transactions=opened.nr_transactions,
            fault=opened.fault,
        )


def warning_object(what: str) -> bytes:
    """Return the object of what is of no one file."""
    return json_line(type="warning", what=what)


def summary_object(counts: dict[str, int]) -> bytes:
    """Return the object that says how much was written, and how much was not."""
    return json_line(type="summary", **counts)


def error_object(what: str, exit_code: int) -> bytes:
    """Return the object with which a command ends that did not do all."""
    return json_line(type="error", what=what, exit_code=exit_code)


def wrong_file_objects(files: Iterable[WrongFile]) -> Iterator[bytes]:
    """Return an object for each file that is not what its layer had."""
    for file in files:
        name = b"/" + file.name.removeprefix(b"./").lstrip(b"/")
        yield problem_object(name, "differs", file.why)


def lost_file_objects(layer: str, lost: "LostFile") -> Iterator[bytes]:
    """Return the object of a file that is not in its layer, and one for each part that is lost."""
    path, error, of = lost
    yield problem_object(b"/" + path.lstrip(b"/"), "left_out", f"{of}{error}", layer=layer)
    yield from lost_parts(path, error)


def joined_text(objects: Iterable[bytes]) -> str:
    """Return objects as text, a line each, without the end of the last line."""
    return b"".join(objects).decode().rstrip("\n")
