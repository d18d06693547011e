"""The XML that thin_delta prints, byte for byte: version 1.1 and version 0.9.

Only where 1.1 is wrong is it not repeated: its `--verbose` joins ranges whose data
blocks do not go on, so that what it says of the data is not so. The tag `unknown` it
does not know: for who reads on past damage.
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from thinmeta.formats.lines import Lines
from thinmeta.formats.ranges import RangeLines
from thinmeta.formats.style import Buffer
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.units import SECTOR_BYTES
from thinmeta.walk.changes import Change, ChangeRanges

_TAGS = {
    Change.SAME: "same",
    Change.CHANGED: "different",
    Change.ADDED: "right_only",
    Change.REMOVED: "left_only",
    Change.UNKNOWN: "unknown",
}
_VERBOSE = {
    Change.SAME: '      <range begin="{begin}" data_begin="{right}" length="{length}"/>\n',
    Change.CHANGED: '      <range begin="{begin}" left_data_begin="{left}"'
    ' right_data_begin="{right}" length="{length}"/>\n',
    Change.ADDED: '      <range begin="{begin}" data_begin="{right}" length="{length}"/>\n',
    Change.REMOVED: '      <range begin="{begin}" data_begin="{left}" length="{length}"/>\n',
    Change.UNKNOWN: '      <range begin="{begin}" length="{length}"/>\n',
}
_NOTHING_YET = len(Change)


def delta_xml(
    left: ChosenDevice,
    right: ChosenDevice,
    parts: Iterable[ChangeRanges],
    *,
    verbose: bool,
    is_0_9: bool,
) -> Iterator[Buffer]:
    """Return thin_delta's XML of the difference `parts` of two devices."""
    yield _superblock(right, is_0_9=is_0_9)
    yield f"  <diff {_named('left', left)} {_named('right', right)}>\n".encode()
    if verbose:
        yield from _grouped(parts)
    else:
        line = '    <{} begin="{{begin}}" length="{{length}}"/>\n'
        yield from RangeLines({kind: line.format(tag) for kind, tag in _TAGS.items()}).render(parts)
    yield b"  </diff>\n"
    yield b"</superblock>\n" if is_0_9 else b"</superblock>"


def _superblock(right: ChosenDevice, *, is_0_9: bool) -> bytes:
    superblock = right.pool.superblock
    data_block_sectors = right.pool.data_block_bytes() // SECTOR_BYTES
    flags = ' flags="1"' if superblock.needs_check and not is_0_9 else ""
    held = f' metadata_snap="{superblock.held_root}"' if superblock.held_root and is_0_9 else ""
    return (
        f'<superblock uuid="" time="{superblock.time}" transaction="{superblock.transaction_id}"'
        f'{flags} data_block_size="{data_block_sectors}"'
        f' nr_data_blocks="{superblock.data_space_map.nr_blocks}"{held}>\n'
    ).encode()


def _named(side: str, chosen: ChosenDevice) -> str:
    if chosen.device is None:
        return f'{side}_root="{chosen.mapping_root}"'
    return f'{side}="{chosen.device.device_id}"'


def _grouped(parts: Iterable[ChangeRanges]) -> Iterator[Buffer]:
    """Return the ranges with neighbours of one kind in a tag of that kind.

    The shape of a line depends on its kind and on that of the line before: where
    they differ it closes one tag and opens the next.
    """
    kinds = [Change.CHANGED, *(kind for kind in Change if kind is not Change.CHANGED)]
    shapes = {}
    lines: list[str] = []
    for kind, before in product(kinds, (*Change, None)):
        shapes[kind, before] = len(lines)
        close = f"    </{_TAGS[before]}>\n" if before not in (None, kind) else ""
        begin = f"    <{_TAGS[kind]}>\n" if before is not kind else ""
        lines.append(close + begin + _VERBOSE[kind])
    table = np.empty((len(Change), len(Change) + 1), dtype=np.uint8)
    for (kind, before), shape in shapes.items():
        table[kind, _NOTHING_YET if before is None else before] = shape
    writer = Lines(*lines)
    before = _NOTHING_YET
    for ranges in parts:
        previous = np.concatenate(([before], ranges.change[:-1])).astype(np.intp)
        columns = {
            "begin": ranges.begin,
            "left": ranges.left,
            "right": ranges.right,
            "length": ranges.length,
        }
        for text in writer.render(columns, len(ranges), table[ranges.change, previous]):
            yield text.data
        before = int(ranges.change[-1])
    if before != _NOTHING_YET:
        yield f"    </{_TAGS[Change(before)]}>\n".encode()
