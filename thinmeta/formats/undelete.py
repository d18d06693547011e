"""What `undelete` has written, for people and for programs. `docs/undelete.md` documents both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from thinmeta.analyse.fate_ranges import Fate
from thinmeta.analyse.undelete import LEFT_OUT, Undeleted
from thinmeta.formats.dm_table import thin_line
from thinmeta.formats.fate import range_lines
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import printable, shell_word, text_line
from thinmeta.formats.style import Buffer
from thinmeta.names.lvm_restored import RestoredVolume
from thinmeta.units import SECTOR_BYTES

_SHARED = (Fate.KEPT, Fate.SHARED)
_SECTIONS = "logical_volumes"


@dataclass(frozen=True, slots=True)
class Back:
    """A device that is back, and how it is told to who activates it.

    Attributes:
        undeleted: the device.
        size_bytes: how large it is.
        is_size_known: whether somebody says so; else its last mapped block is its end.
        dm_name: what to call it in device-mapper.
        pool_path: the pool there.
        origin: its external origin there; None if it has none.
        volume: the volume for LVM's text; None if that does not have it.
    """

    undeleted: Undeleted
    size_bytes: int
    is_size_known: bool
    dm_name: str
    pool_path: str
    origin: str | None
    volume: RestoredVolume | None

    @property
    def name(self) -> str:
        """How it is named to people."""
        chosen = self.undeleted.chosen
        return chosen.known_as or chosen.name

    @property
    def table(self) -> str:
        """Return its device-mapper table."""
        sectors = -(-self.size_bytes // SECTOR_BYTES)
        line = thin_line(sectors, self.pool_path, self.undeleted.device.device_id, self.origin)
        return line.decode().rstrip("\n")


def undeleted_text(devices: Sequence[Back], transaction_id: int) -> Iterator[Buffer]:
    """Return what is back of each device, what is not, and what to type or write next.

    Args:
        devices: those that are back.
        transaction_id: the one that was written.
    """
    for each in devices:
        yield from _device_text(each)
    in_lvm = [each for each in devices if each.volume is not None]
    others = [each for each in devices if each.volume is None]
    if in_lvm:
        yield from _lvm_text(in_lvm, transaction_id)
    if others:
        yield text_line("")
        yield text_line(f"# To activate, once the pool has transaction id {transaction_id}:")
    for each in others:
        if not each.is_size_known:
            yield text_line(f"# {each.name}: nobody knows its size; its last block ends here")
        yield text_line(
            f"dmsetup create {shell_word(each.dm_name)} --table {shell_word(each.table)}"
        )


def _device_text(back: Back) -> Iterator[Buffer]:
    undeleted = back.undeleted
    counts, nr_all = undeleted.fates.counts, len(undeleted.fates.keys)
    yield text_line(
        f"{back.name} is device {undeleted.device.device_id}: "
        f"{nr_all - undeleted.nr_left_out} of {nr_all} blocks, of which "
        f"{sum(counts[each] for each in _SHARED)} are shared, {counts[Fate.FREE]} were free, "
        f"{counts[Fate.HELD]} held"
    )
    if undeleted.nr_left_out:
        yield text_line("left out, since another device has them now, or may:")
        yield from _left_out(back, "text")


def _left_out(back: Back, format_name: str) -> Iterator[Buffer]:
    import numpy as np

    for piece in back.undeleted.fates.pieces():
        yield from range_lines([piece[np.isin(piece.fate, LEFT_OUT)]], format_name)


def _lvm_text(devices: Sequence[Back], transaction_id: int) -> Iterator[Buffer]:
    volumes = [each.volume for each in devices if each.volume is not None]
    group = volumes[0].group
    yield text_line("")
    for comment in (
        f"Into {_SECTIONS} {{ }} of what `vgcfgbackup -f vg.txt {group}` writes, whose pool must",
        f"have transaction_id = {transaction_id}; then `vgcfgrestore --force -f vg.txt {group}`:",
    ):
        yield text_line(f"# {comment}")
    for volume in volumes:
        for note in volume.notes:
            yield text_line(f"# {volume.name}: {note}")
        yield "".join(f"{_shown(line)}\n" for line in volume.lines).encode()


def _shown(line: str) -> str:
    tabs = len(line) - len(line.lstrip("\t"))
    return line[:tabs] + printable(line[tabs:])


def undeleted_json(devices: Sequence[Back]) -> Iterator[Buffer]:
    """Return an object a device, each followed by the ranges that are not back."""
    for each in devices:
        undeleted = each.undeleted
        chosen, device, fates = undeleted
        yield json_line(
            type="undeleted",
            name=each.name,
            device_id=device.device_id,
            former_device_id=chosen.device_id,
            state=str(chosen.pool.state),
            mapped_blocks=len(fates.keys) - undeleted.nr_left_out,
            left_out_blocks=undeleted.nr_left_out,
            size=each.size_bytes if each.is_size_known else None,
            transaction_id=device.transaction_id,
            creation_time=device.creation_time,
            snap_time=device.snap_time,
            dm_table=each.table,
            lvm_name=None if each.volume is None else each.volume.name,
            lvm_text=None if each.volume is None else "\n".join(each.volume.lines),
            **{f"{fate.name.lower()}_blocks": fates.counts[fate] for fate in Fate},
        )
        yield from _left_out(each, "json")
