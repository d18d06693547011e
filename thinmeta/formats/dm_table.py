"""Tables of device-mapper: what `dmsetup table` printed, read; and tables written for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from thinmeta.formats.lines import Lines
from thinmeta.formats.printable import printable, text_line
from thinmeta.formats.style import Buffer
from thinmeta.volume.linear import ERROR, ZERO, LinearTargets


class ThinLine(NamedTuple):
    """A thin device in a table.

    Attributes:
        name: of the device; None if the line has none.
        sectors: its size.
        pool: the pool's device, as `MAJOR:MINOR` or a path.
        device_id: its id in the pool.
        origin: its external origin, if it has one.
    """

    name: str | None
    sectors: int
    pool: str
    device_id: int
    origin: str | None


class PoolLine(NamedTuple):
    """A thin-pool in a table.

    Attributes:
        name: of the pool; None if the line has none.
        data_block_sectors: the size of its data blocks.
    """

    name: str | None
    data_block_sectors: int


@dataclass(frozen=True, slots=True)
class DmTables:
    """The thin devices and pools in what `dmsetup table` printed."""

    thins: tuple[ThinLine, ...]
    pools: tuple[PoolLine, ...]

    @classmethod
    def parse(cls, text: str) -> "DmTables":
        """Read lines `[NAME: ]START LENGTH TARGET ARGUMENTS...`.

        Other targets are passed over, as is what is no table.

        Source: `Documentation/admin-guide/device-mapper/thin-provisioning.rst`.
        """
        thins, pools = [], []
        for line in text.splitlines():
            name, words = _named(line)
            match words:
                case ["0", sectors, "thin", pool, device_id, *rest] if _are_numbers(
                    sectors, device_id
                ):
                    origin = rest[0] if rest else None
                    thins.append(ThinLine(name, int(sectors), pool, int(device_id), origin))
                case ["0", _, "thin-pool", _, _, block, *_] if _are_numbers(block):
                    pools.append(PoolLine(name, int(block)))
        return cls(tuple(thins), tuple(pools))

    def data_block_sectors(self) -> int | None:
        """Return the data block size of the pools, if all have the same."""
        sizes = {pool.data_block_sectors for pool in self.pools}
        return sizes.pop() if len(sizes) == 1 else None

    def pool_of(self, thin: ThinLine | None) -> str | None:
        """Return how a table of our own names the pool of `thin`; None if nothing says so.

        `dmsetup table` prints no numbers of pools, so that a name is only known where
        there is one pool; the number that `thin` has does as well.
        """
        names = [pool.name for pool in self.pools if pool.name]
        if len(names) == 1:
            return f"/dev/mapper/{names[0]}"
        return thin.pool if thin else None


def _named(line: str) -> tuple[str | None, list[str]]:
    name, colon, table = line.partition(": ")
    return (name, table.split()) if colon else (None, line.split())


def _are_numbers(*words: str) -> bool:
    return all(word.isascii() and word.isdigit() for word in words)


def thin_line(sectors: int, pool: str, device_id: int, origin: str | None) -> bytes:
    """Return the table of a thin device."""
    words = ["0", str(sectors), "thin", pool, str(device_id)]
    return text_line(" ".join([*words, origin] if origin else words))


def linear_lines(
    targets: LinearTargets, devices: Sequence[str], *, as_json: bool
) -> Iterator[Buffer]:
    """Return a line for each target, or a JSON object.

    Args:
        targets: all of them.
        devices: what they name.
        as_json: which of the two.

    Returns:
        Parts of the text, each valid until the next is asked for.
    """
    shapes = _JSON if as_json else _TEXT
    escaped = [_quoted(each) if as_json else printable(each) for each in devices]
    named = [
        shapes[0].replace("DEVICE", each.replace("{", "{{").replace("}", "}}")) for each in escaped
    ]
    lines = Lines(*named, *shapes[1:])
    which = targets.device.copy()
    which[targets.device == ZERO] = len(devices)
    which[targets.device == ERROR] = len(devices) + 1
    columns = {"begin": targets.begin, "length": targets.length, "offset": targets.offset}
    for text in lines.render(columns, len(targets), which):
        yield text.data


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)


_TEXT = (
    "{begin} {length} linear DEVICE {offset}\n",
    "{begin} {length} zero\n",
    "{begin} {length} error\n",
)
_JSON = (
    '{{"type": "target", "begin": {begin}, "length": {length}, "target": "linear",'
    ' "device": DEVICE, "offset": {offset}}}\n',
    '{{"type": "target", "begin": {begin}, "length": {length}, "target": "zero"}}\n',
    '{{"type": "target", "begin": {begin}, "length": {length}, "target": "error"}}\n',
)
