"""How it is written what the pool gains when devices are deleted together."""

from collections.abc import Iterator, Sequence

from thinmeta.analyse.freed import FreedTogether
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import printable
from thinmeta.formats.thin_ls import size_text

_HEADER = ("FREES", "BLOCKS", "DEVS", "TOGETHER")


def freed_text(
    found: Sequence[FreedTogether], names: Sequence[str], block_bytes: int, *, headers: bool = True
) -> Iterator[bytes]:
    """Return a line a group.

    Args:
        found: what each group frees.
        names: what each group is called.
        block_bytes: bytes of a data block.
        headers: whether a line with the names of the columns comes first.
    """
    rows: list[tuple[str, ...]] = [_HEADER] if headers else []
    for each, name in zip(found, names, strict=True):
        bound = "" if each.is_exact else "≤"
        size = size_text(each.blocks * block_bytes, bound=bound)
        devices = str(len(set(each.device_ids)))
        rows.append((bound + size, f"{bound}{each.blocks}", devices, printable(name)))
    for line in aligned(rows, left=frozenset({len(_HEADER) - 1})):
        yield f"{line.rstrip()}\n".encode()


def freed_json(
    found: Sequence[FreedTogether], names: Sequence[str], block_bytes: int
) -> Iterator[bytes]:
    """Return an object a group; arguments as of `freed_text`."""
    for each, name in zip(found, names, strict=True):
        bounds = {}
        if not each.is_exact:
            keys = ("frees_blocks", "frees_bytes", "kept_blocks", "kept_bytes")
            bounds = {"exact": False, "bounds": dict.fromkeys(keys, "≤")}
        yield json_line(
            type="together",
            name=name,
            device_ids=each.device_ids,
            frees_blocks=each.blocks,
            frees_bytes=each.blocks * block_bytes,
            kept_blocks=each.kept,
            kept_bytes=each.kept * block_bytes,
            **bounds,
        )
