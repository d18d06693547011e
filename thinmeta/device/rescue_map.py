"""What of a volume or a disk was rescued, in the format of GNU ddrescue's mapfile.

The mapfile is a list of ranges that follow each other, each with a status. Of ddrescue's
statuses those are used that say something here; others are taken for not tried.

Source: the chapter "Mapfile structure" of GNU ddrescue's manual.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from enum import Enum
from operator import itemgetter
from typing import NamedTuple, Self


class Status(Enum):
    """What became of a range."""

    NON_TRIED = "?"
    BAD = "-"
    FINISHED = "+"


class MapPart(NamedTuple):
    """A range of the volume, in bytes, and what became of it."""

    begin: int
    end: int
    status: Status


class RescueMap:
    """What became of each byte of a volume.

    Attributes:
        subject: lines that say what is rescued; a map goes with no other.
    """

    def __init__(self, subject: str, parts: Iterable[MapPart]) -> None:
        """Take the parts, which follow each other from 0 on."""
        self.subject = subject
        self._parts = list(parts)

    @classmethod
    def new(cls, subject: str, size: int) -> Self:
        """Return the map of a volume of which nothing was tried."""
        return cls(subject, [MapPart(0, size, Status.NON_TRIED)] if size else [])

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read the lines of a mapfile.

        Raises:
            ValueError: it is none, or its ranges do not follow each other.
        """
        subject = []
        parts: list[MapPart] = []
        end = 0
        has_begun = False
        for line in lines:
            if line.startswith(_SUBJECT):
                subject.append(line.removeprefix(_SUBJECT).rstrip("\n"))
            row = [] if line.startswith("#") else line.split()
            if not row:
                continue
            if not has_begun:  # the first says where ddrescue was
                has_begun = True
                continue
            if len(row) < 3:
                raise ValueError(f"{' '.join(row)!r} is no range")
            begin, size = int(row[0], 0), int(row[1], 0)
            if not parts and begin > 0:  # where ddrescue was told to begin
                parts.append(MapPart(0, begin, Status.NON_TRIED))
                end = begin
            if begin != end or size <= 0:
                raise ValueError(f"the range at {row[0]} does not follow the one before it")
            end = begin + size
            parts.append(MapPart(begin, end, _STATUSES.get(row[2], Status.NON_TRIED)))
        return cls("\n".join(subject), parts)

    def __str__(self) -> str:
        """Write the mapfile."""
        left = [part.begin for part in self._parts if part.status is Status.NON_TRIED]
        at, status = (left[0], "?") if left else (self.size, "+")
        lines = [
            "# Mapfile in the format of GNU ddrescue. Created by thinmeta extract --salvage",
            *(f"{_SUBJECT}{line}" for line in self.subject.splitlines()),
            "# current_pos  current_status  current_pass",
            f"0x{at:08X}     {status}               1",
            "#      pos        size  status",
            *(
                f"0x{part.begin:08X}  0x{part.end - part.begin:08X}  {part.status.value}"
                for part in self._parts
            ),
        ]
        return "".join(f"{line}\n" for line in lines)

    @property
    def size(self) -> int:
        """The size of the volume, in bytes."""
        return self._parts[-1].end if self._parts else 0

    @property
    def parts(self) -> list[MapPart]:
        """All parts, in order."""
        return self._parts[:]

    def unfinished(self) -> list[tuple[int, int]]:
        """Return the ranges that are not finished, bad ones, too."""
        return [
            (part.begin, part.end) for part in self._parts if part.status is not Status.FINISHED
        ]

    def bytes_of(self, status: Status) -> int:
        """Return how many bytes have a status."""
        return sum(part.end - part.begin for part in self._parts if part.status is status)

    def finish(self, begin: int, end: int, bad: Iterable[tuple[int, int]]) -> None:
        """Mark a range as finished but for the `bad` ranges within it, which do not overlap."""
        first = bisect_right(self._parts, begin, key=itemgetter(0)) - 1
        last = bisect_left(self._parts, end, key=itemgetter(0))
        before, after = self._parts[first], self._parts[last - 1]
        marked = [MapPart(before.begin, begin, before.status)]
        for bad_begin, bad_end in sorted(bad):
            marked += [MapPart(begin, bad_begin, Status.FINISHED)]
            marked += [MapPart(bad_begin, bad_end, Status.BAD)]
            begin = bad_end
        marked += [MapPart(begin, end, Status.FINISHED), MapPart(end, after.end, after.status)]
        # With their neighbours, which may have the same status.
        low, high = max(first - 1, 0), last + 1
        beside = self._parts[low:first], self._parts[last:high]
        self._parts[low:high] = _joined([*beside[0], *marked, *beside[1]])


_SUBJECT = "# Of: "
_STATUSES = {status.value: status for status in Status}


def _joined(parts: Iterable[MapPart]) -> list[MapPart]:
    """Return parts without empty ones, neighbours of one status as one."""
    joined: list[MapPart] = []
    for part in parts:
        if part.begin == part.end:
            continue
        if joined and joined[-1].status is part.status:
            joined[-1] = MapPart(joined[-1].begin, part.end, part.status)
        else:
            joined.append(part)
    return joined
