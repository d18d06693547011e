"""What a dump's XML means, and that it is in order: nesting, names, block numbers."""

from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from thinmeta.builder.xml_elements import numbers_of
from thinmeta.builder.xml_piece import Tag, XmlPiece
from thinmeta.errors import InputError
from thinmeta.schemas import block_time
from thinmeta.units import DATA_BLOCK_SECTORS, LAST_KEY, impossible_block_size
from thinmeta.walk.space_map import MAX_DATA_BLOCKS
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    Mark,
    SharedBegin,
    SharedEnd,
    SharedRef,
    StreamHeader,
    StreamPart,
)


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values for those in the XML, as thin_restore has them.

    Attributes:
        transaction_id: instead; None leaves it.
        data_block_sectors: instead.
        nr_data_blocks: instead, where it is higher.
        may_lower: whether the transaction id is taken also where it is lower.
    """

    transaction_id: int | None = None
    data_block_sectors: int | None = None
    nr_data_blocks: int = 0
    may_lower: bool = True


class _Floors(NamedTuple):
    """For each run, the last block that is mapped before it, unless nothing is."""

    lasts: npt.NDArray[np.uint64]
    is_free: npt.NDArray[np.bool_]

    def set(self, place: int, floor: int) -> None:
        """Let the run at `place`, if there is one, begin with the block `floor` or a later one."""
        self.lasts[place : place + 1] = max(floor - 1, 0)
        self.is_free[place : place + 1] = not floor


class Document:
    """Turns pieces into parts; knows what is open and what has been defined.

    Attributes:
        header: None until the first tag has come.
        open: names of the elements that are open, the outermost first.
        is_ended: the outermost one was closed.
        lowered_from: the transaction id that is said, where a lower one goes instead.
    """

    def __init__(self, name: str, overrides: Overrides) -> None:
        """Begin before the first tag; `name` is that of the input, for messages."""
        self.header: StreamHeader | None = None
        self.open: list[str] = []
        self.is_ended = False
        self.lowered_from: int | None = None
        self._name = name
        self._overrides = overrides
        self._device_ids: set[int] = set()
        # What each definition covers, half-open; None where it is empty.
        self._shared: dict[str, tuple[int, int] | None] = {}
        self._shared_name = ""
        self._first: int | None = None  # block that the open definition begins with
        self._floor = 0  # the lowest block that may come next

    def part(self, piece: XmlPiece) -> StreamPart:
        """Return what a piece of the document means.

        Raises:
            InputError: it is not what a dump may have there.
        """
        rows = piece.rows
        # The last block of each run, since what is one further may not fit into 64 bits.
        lasts = rows.origin_begin + rows.length - np.uint64(1)
        floors = _Floors(np.zeros_like(lasts), np.zeros(len(lasts), dtype=np.bool_))
        floors.lasts[1:] = lasts[:-1]
        floors.set(0, self._floor)
        marks: list[Mark] = []
        before: list[int] = []
        done = 0
        try:
            for tag in piece.tags:
                self._pass(piece, lasts, done, tag.before)
                done = tag.before
                mark = self._tag(tag)
                floors.set(done, self._floor)
                if mark is not None:
                    marks.append(mark)
                    before.append(done)
            self._pass(piece, lasts, done, len(rows))
        except InputError:
            self._check(piece, floors, done)  # what is wrong before it comes first
            raise
        self._check(piece, floors, len(rows))
        return StreamPart(rows, marks, before)

    def fail(self, line: int, what: str) -> NoReturn:
        """Raise for what is wrong with a line.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self._name}: line {line}: {what}")

    def _pass(self, piece: XmlPiece, lasts: npt.NDArray[np.uint64], begin: int, end: int) -> None:
        """Go over rows that belong to what is open."""
        if begin == end:
            return
        if not self.open or self.open[-1] not in ("device", "def"):
            self.fail(int(piece.lines[begin]), "a mapping stands in no device")
        if self._first is None:
            self._first = int(piece.rows.origin_begin[begin])
        self._floor = int(lasts[end - 1]) + 1

    def _check(self, piece: XmlPiece, floors: "_Floors", end: int) -> None:
        """Raise for the first of `end` rows that cannot be."""
        nr_data_blocks = self.header.nr_data_blocks if self.header else None
        most = MAX_DATA_BLOCKS if nr_data_blocks is None else nr_data_blocks
        rows = piece.rows[:end]
        # A sum that wraps is below what was added to.
        data_ends = rows.data_begin + rows.length
        wrong = {
            "has a length of 0": rows.length == 0,
            f"has a time above {block_time.MAX_TIME}": rows.time > block_time.MAX_TIME,
            f"goes past the highest origin block there can be, {LAST_KEY}": (
                rows.origin_begin + rows.length - np.uint64(1) < rows.origin_begin
            ),
            f"goes past the last of the {most} data blocks": (
                (data_ends > most) | (data_ends < rows.data_begin)
            ),
            "does not come after what is mapped before it": (
                ~floors.is_free[:end] & (rows.origin_begin <= floors.lasts[:end])
            ),
        }
        if not any(mask.any() for mask in wrong.values()):
            return
        place = min(int(mask.argmax()) for mask in wrong.values() if mask.any())
        what = next(what for what, mask in wrong.items() if mask[place])
        run = next(iter(rows[place : place + 1]))
        to = f"..{run.origin_begin + run.length - 1}" if run.length > 1 else ""
        self.fail(
            int(piece.lines[place]),
            f"the mapping of {run.origin_begin}{to} {what}",
        )

    def _tag(self, tag: Tag) -> Mark | None:
        if tag.attributes is None:
            return self._end(tag)
        parent = self.open[-1] if self.open else None
        if self.is_ended:
            self.fail(tag.line, f"<{tag.name}> stands after the end")
        try:
            numbers = numbers_of(tag, parent)
            mark = self._begin(tag.name, numbers, tag.attributes.get("name", ""))
        except InputError as error:
            raise InputError(f"{self._name}: line {tag.line}: {error}") from error
        self.open.append(tag.name)
        return mark

    def _begin(self, element: str, numbers: dict[str, int], name: str) -> Mark | None:
        match element:
            case "superblock":
                self.header = self._header(numbers)
                return None
            case "device":
                device = DeviceBegin(*numbers.values())
                if device.device_id in self._device_ids:
                    raise InputError(f"device {device.device_id} is there twice")
                self._device_ids.add(device.device_id)
                self._floor = 0
                return device
            case "def":
                if name in self._shared:
                    raise InputError(f"{name!r} is defined twice")
                self._shared_name, self._first, self._floor = name, None, 0
                return SharedBegin(name)
        if name not in self._shared:
            raise InputError(f"{name!r} is not defined before it is referred to")
        covered = self._shared[name]
        if covered is not None:
            first, end = covered
            if first < self._floor:
                raise InputError(
                    f"{name!r} begins with block {first}, "
                    "which does not come after what is mapped before it"
                )
            self._floor = end
        return SharedRef(name)

    def _end(self, tag: Tag) -> Mark | None:
        if not self.open or self.open[-1] != tag.name:
            self.fail(tag.line, f"</{tag.name}> closes what is not open")
        match self.open.pop():
            case "superblock":
                self.is_ended = True
            case "device":
                return DeviceEnd()
            case "def":
                first = self._first
                self._shared[self._shared_name] = None if first is None else (first, self._floor)
                return SharedEnd()
        return None

    def _header(self, numbers: dict[str, int]) -> StreamHeader:
        overrides = self._overrides
        sectors = numbers["data_block_size"]
        if overrides.data_block_sectors is not None:
            sectors = overrides.data_block_sectors
        if sectors not in DATA_BLOCK_SECTORS:
            raise InputError(f"{impossible_block_size(sectors)}; --data-block-size gives another")
        transaction_id = numbers["transaction"]
        if overrides.transaction_id is not None:
            is_lower = overrides.transaction_id < transaction_id
            if is_lower and overrides.may_lower:
                self.lowered_from = transaction_id
            if not is_lower or overrides.may_lower:
                transaction_id = overrides.transaction_id
        return StreamHeader(
            time=numbers["time"],
            transaction_id=transaction_id,
            data_block_sectors=sectors,
            nr_data_blocks=max(numbers["nr_data_blocks"], overrides.nr_data_blocks) or None,
        )
