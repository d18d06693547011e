"""How `layers` writes a stack or a forest of Docker's devices."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from thinmeta.analyse.layers import MeasuredLayer
from thinmeta.files.file_changes import FileChange
from thinmeta.formats.columns_text import aligned, drawn
from thinmeta.formats.file_changes import change_line, change_object
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line
from thinmeta.formats.sizes import size_text
from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.containers import Container
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.imagedb import Instruction

_WIDTH = 100
_STACK = ("DEV", "LAYER", "SIZE", "FILES", "ADDED", "CHANGED", "REMOVED", "SHARED", "EXCLUSIVE")
_FOREST = ("DEV", "NAME", "MAPPED", "WRITTEN", "EXCLUSIVE")
_NOTHING = "-"
_UNMEASURED = (_NOTHING, _NOTHING, _NOTHING)
_NAME_WIDTH = 40
_LEAST_WIDTH = 30  # of what is said of a device, however deep it stands in the forest

_LONG_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_NO_OPERATION = re.compile(r"/bin/sh -c #\(nop\) *")
_SHELL = re.compile(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c ", re.DOTALL)
_BUILDKIT = " # buildkit"

Cells = tuple[str, ...]
ChangesOf = Callable[[MeasuredLayer], Iterable[FileChange]]
"""What gives the files that a device changed."""


def stack_text(
    layers: Sequence[MeasuredLayer],
    block_bytes: int,
    file_system: str | None,
    changes_of: ChangesOf | None = None,
) -> Iterator[bytes]:
    """Return a stack for people, the lowest device first: two lines a device, and its files.

    Args:
        layers: the devices, each after the one that it was created from.
        block_bytes: bytes of a data block.
        file_system: of all of them; None if that is not known.
        changes_of: gives the files to show; None: show none.
    """
    top = layers[-1].docker
    kind = "" if top.kind is NameKind.BASE else f"{top.kind.value} "
    number = (
        f"{len(layers)} devices, each a snapshot of the one before"
        if len(layers) > 1
        else "1 device"
    )
    yield _line(f"{kind}{_shown(top)}: {number}; blocks of {size_text(block_bytes)}")
    yield b"\n"
    counts = _with_sizes([_counts(layer) for layer in layers], block_bytes)
    rows = [
        (*_described(layer.docker), *cells) for layer, cells in zip(layers, counts, strict=True)
    ]
    header, *lines = aligned([_STACK, *rows], left=frozenset({1}))
    indent = " " * (2 + max(len(row[0]) for row in (_STACK, *rows)))
    yield _line(header)
    for line, layer in zip(lines, layers, strict=True):
        yield _line(line)
        if what := _what(layer, file_system):
            yield _line(indent + _cut(what, _WIDTH - len(indent)))
        for change in changes_of(layer) if changes_of else ():
            yield indent.encode() + change_line(change)


def forest_text(
    layers: Sequence[MeasuredLayer], block_bytes: int, file_system: str | None
) -> Iterator[bytes]:
    """Return all devices for people, a line a device, each after what it stands on.

    Args:
        layers: the devices, in the order in which branches are drawn.
        block_bytes: bytes of a data block.
        file_system: of all of them; None if that is not known.
    """
    rows: list[Cells] = [_FOREST]
    whats = [""]
    for branch, layer in _drawn(layers):
        docker = layer.docker
        sizes = _sizes(layer, block_bytes) if layer.usage else _UNMEASURED
        rows.append((_device_id(docker), f"{branch}{_shown(docker)}", *sizes))
        whats.append(_what(layer, file_system))
    for line, what in zip(aligned(rows, left=frozenset({1})), whats, strict=True):
        room = max(_LEAST_WIDTH, _WIDTH - len(line) - 2)
        yield _line(f"{line}  {_cut(what, room)}")


def layers_json(
    layers: Sequence[MeasuredLayer], block_bytes: int, changes_of: ChangesOf | None = None
) -> Iterator[bytes]:
    """Return an object a device, in the order in which they are given, each before its files."""
    for layer in layers:
        docker = layer.docker
        record, files = docker.record, docker.layer
        origin = layer.parent.record if layer.parent else None
        made = docker.instruction or Instruction(None, None, None)
        mapped = layer.usage.mapped if layer.usage else None
        counts = {"mapped": mapped, **dict(zip(_COUNTED, _counts(layer), strict=True))}
        yield json_line(
            type="layer",
            device_id=record.device_id if record else None,
            parent_id=origin.device_id if origin else None,
            kind=docker.kind.value,
            name=docker.name,
            hash=docker.hash,
            chain_id=files.chain_id if files else None,
            diff_id=files.diff_id if files else None,
            images=[
                {"image_id": image.image_id, "references": image.references}
                for image in docker.images
            ],
            container=_container_object(docker),
            created_by=made.created_by,
            comment=made.comment,
            created=made.created,
            size=record.size if record else None,
            files_bytes=files.size if files else None,
            in_pool=layer.usage is not None,
            complete=layer.usage is not None and layer.usage.is_complete,
            **{f"{word}_blocks": blocks for word, blocks in counts.items()},
            **{
                f"{word}_bytes": None if blocks is None else blocks * block_bytes
                for word, blocks in counts.items()
            },
        )
        for change in changes_of(layer) if changes_of else ():
            yield change_object(change, device_id=record.device_id if record else None)


def _sizes(layer: MeasuredLayer, block_bytes: int) -> Cells:
    """Return the last columns of `_FOREST`."""
    written, used = layer.written, layer.usage
    return (
        _size(used.mapped if used else None, block_bytes),
        _size(written.added + written.changed if written else None, block_bytes),
        _size(used.exclusive if used else None, block_bytes),
    )


_COUNTED = ("added", "changed", "removed", "shared", "exclusive")


def _counts(layer: MeasuredLayer) -> tuple[int | None, ...]:
    """Return the blocks of a device that are `_COUNTED`."""
    written, used = layer.written, layer.usage
    return (
        *((written.added, written.changed, written.removed) if written else (None, None, None)),
        *((used.shared, used.exclusive) if used else (None, None)),
    )


def _with_sizes(rows: Sequence[tuple[int | None, ...]], block_bytes: int) -> list[Cells]:
    """Return numbers of blocks with their sizes, which stand one below the other."""
    columns = []
    for column in zip(*rows, strict=True):
        sizes = [size_text(blocks * block_bytes) if blocks else "" for blocks in column]
        width = max(map(len, sizes))
        columns.append(
            [
                _NOTHING.ljust(width + 1) if blocks is None else f"{blocks} {size:>{width}}"
                for blocks, size in zip(column, sizes, strict=True)
            ]
        )
    return [tuple(cells) for cells in zip(*columns, strict=True)]


def _described(docker: DockerDevice) -> Cells:
    size = docker.record.size if docker.record else None
    files = docker.layer.size if docker.layer else None
    return _device_id(docker), _shown(docker), _size(size, 1), _size(files, 1)


def _device_id(docker: DockerDevice) -> str:
    return str(docker.record.device_id) if docker.record else _NOTHING


def _size(number: int | None, block_bytes: int) -> str:
    return _NOTHING if number is None else size_text(number * block_bytes)


def _shown(docker: DockerDevice) -> str:
    """Return the name, of an image all its tags; of what is too long the end."""
    name = docker.name
    if docker.images:
        name = ", ".join(tag for image in docker.images for tag in image.tags) or name
    return name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"


def _what(layer: MeasuredLayer, file_system: str | None) -> str:
    """Return what made a device, or whose it is."""
    docker = layer.docker
    if docker.record is None:
        return "its device id is not known"
    if layer.usage is None:
        return "not in the pool"
    deleted = "deleted; " if docker.is_deleted else ""
    if docker.kind is NameKind.BASE:
        return deleted + f"an empty file system{f', {file_system}' if file_system else ''}"
    if docker.kind is NameKind.CONTAINER:
        return deleted + _of_container(docker.container)
    if docker.kind is NameKind.INIT:
        return deleted + "mount points for the container"
    return deleted + _made_by(docker.instruction)


def _of_container(container: Container | None) -> str:
    if container is None:
        return "container"
    image = f" of {container.image_name}" if container.image_name else ""
    ended = "" if container.exit_code is None else f" with {container.exit_code}"
    states = {
        None: "",
        "exited": f", dead: exited{ended}",
        "dead": ", dead: being removed",
        "removing": ", dead: being removed",
        "created": ", never started",
    }
    pod = f" in pod {container.pod}" if container.pod else ""
    return f"container{image}{pod}{states.get(container.state, f', {container.state}')}"


def _made_by(instruction: Instruction | None) -> str:
    """Return what made a layer, in the words of a Dockerfile."""
    if instruction is None:
        return ""
    text = instruction.created_by or instruction.comment or ""
    if _NO_OPERATION.match(text):
        text = _NO_OPERATION.sub("", text, count=1)
    elif _SHELL.match(text):
        text = f"RUN {_SHELL.sub('', text, count=1)}"
    return _LONG_DIGEST.sub(r"\1…", text.removesuffix(_BUILDKIT))


def _container_object(docker: DockerDevice) -> dict[str, Any] | None:
    if docker.container_id is None:
        return None
    container = docker.container
    return {
        "container_id": docker.container_id,
        "name": container.name if container else None,
        "state": container.state if container else None,
        "exit_code": container.exit_code if container else None,
        "image_id": container.image_id if container else None,
        "image_name": container.image_name if container else None,
        "pod": container.pod if container else None,
    }


def _drawn(layers: Sequence[MeasuredLayer]) -> Iterator[tuple[str, MeasuredLayer]]:
    """Return each device with its branch; what stands alone on a device is in the same one."""
    above: dict[str | None, list[MeasuredLayer]] = defaultdict(list)
    for layer in layers:
        above[layer.docker.parent].append(layer)
    return drawn(above[None], lambda layer: above.get(layer.docker.hash, []), is_straight=True)


def _cut(text: str, room: int) -> str:
    """Return what fits; what cannot be shown in a line, such as its end, is a space."""
    shown = text[: room + 1]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else " " for each in shown)
    shown = shown.rstrip()
    return shown if len(shown) <= room else f"{shown[: room - 1]}…"


def _line(text: str) -> bytes:
    return text_line(text.rstrip())
