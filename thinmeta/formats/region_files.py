"""Whose files are in which data blocks: below the lines of `rmap`, or as JSON lines."""

from collections.abc import Iterable, Iterator
from typing import Any

from thinmeta.analyse.region_files import DataPart, RegionRun
from thinmeta.files.region_contents import HeldPart, Holding
from thinmeta.formats.files import inode_fields, name_fields, name_text
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line

_ROOT = b"rootfs"

_WORDS = {
    Holding.UNWRITTEN: "set aside, never written",
    Holding.MAP: "where its content is",
    Holding.ATTRIBUTES: "its extended attributes",
    Holding.INODE: "its inode",
    Holding.JOURNAL: "the journal",
    Holding.METADATA: "metadata of the file system",
    Holding.FREE: "free space",
    Holding.UNKNOWN: "nobody can tell: free space, or metadata",
    Holding.OUTSIDE: "outside of the file system",
}


def region_lines(runs: Iterable[RegionRun], *, is_json: bool) -> Iterator[bytes]:
    """Return what each run and each thing in it is, a line each."""
    for run in runs:
        yield from region_json(run) if is_json else region_text(run)


def region_text(run: RegionRun) -> Iterator[bytes]:
    """Return the line of a run as `rmap` has it, and a line for each thing in it, in bytes."""
    data = f"data {run.data_begin}..{run.data_begin + run.length}"
    origin = f"{run.origin_begin}..{run.origin_begin + run.length}"
    yield f"{data} -> thin({run.device_id}) {origin}\n".encode()
    if run.why is not None:
        yield text_line(f"  no files: {run.why}")
    for part in run.parts:
        end = part.data_byte + part.held.length
        yield text_line(f"  {part.data_byte}..{end}  {_what(part.held, is_docker=run.is_docker)}")


def region_json(run: RegionRun) -> Iterator[bytes]:
    """Return an object for a run, and one for each thing in it."""
    yield json_line(
        type="run",
        data_begin=run.data_begin,
        length=run.length,
        device_id=run.device_id,
        origin_begin=run.origin_begin,
        no_files=run.why,
    )
    for part in run.parts:
        yield json_line(**_fields(part, run))


def _what(held: HeldPart, *, is_docker: bool) -> str:
    if held.inode is None:
        return _WORDS[held.holding]
    names = [_shown(path, is_docker=is_docker) for path in held.paths]
    text = names[0] + (f" (also {', '.join(names[1:])})" if names[1:] else "")
    if held.holding is not Holding.CONTENT:
        return f"{text}: {_WORDS[held.holding]}"
    end = _end(held)
    if held.inode.is_directory:
        return f"{text}: its entries"
    if end <= held.begin:
        return f"{text}: past its end"
    return f"{text}: bytes {held.begin}..{end}"


def _end(held: HeldPart) -> int:
    """Return where content ends in the file, which may be before the end of the block."""
    end = held.begin + held.length
    return end if held.inode is None else min(end, held.inode.size)


def _shown(path: bytes, *, is_docker: bool) -> str:
    inside, is_beside = _as_typed(path, is_docker=is_docker)
    return f"{name_text(inside)} (beside rootfs)" if is_beside else name_text(inside)


def _as_typed(path: bytes, *, is_docker: bool) -> tuple[bytes, bool]:
    """Return a path as other commands take it, and whether that is with `--all` only."""
    if not is_docker:
        return b"/" + path, False
    if path == _ROOT or path.startswith(_ROOT + b"/"):
        return b"/" + path[len(_ROOT) + 1 :], False
    return b"/" + path, True


def _fields(part: DataPart, run: RegionRun) -> dict[str, Any]:
    held = part.held
    typed = [_as_typed(path, is_docker=run.is_docker) for path in held.paths]
    is_content = held.holding is Holding.CONTENT
    return {
        "type": "region_part",
        "device_id": run.device_id,
        "data_byte": part.data_byte,
        "device_byte": part.device_byte,
        "length": held.length,
        "holds": held.holding.value,
        "paths": [
            {**name_fields("path", path), "beside_rootfs": is_beside} for path, is_beside in typed
        ],
        "inode": held.inode.number if held.inode else None,
        "kind": inode_fields(held.inode)["kind"] if held.inode else None,
        "file_begin": held.begin if is_content else None,
        "file_end": max(held.begin, _end(held)) if is_content else None,
    }
