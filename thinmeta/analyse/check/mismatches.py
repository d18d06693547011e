"""Ref counts that are not what was counted, as findings: a range of blocks each."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.check.findings import Finding, Part, Severity
from thinmeta.walk.ragged import Places, piece_begins

MAX_RANGES = 1000
"""Ranges that are told one by one, for each severity and space map."""

_MAX_KEPT = 1 << 20

NO_ENTRY = -1
"""What is stored where the ref count tree has no entry but the bitmap promises one."""

Numbers = npt.NDArray[np.int64]


class Mismatches:
    """Blocks of one space map and severity, whose stored counts are wrong.

    Attributes:
        severity: of all of them.
        nr_blocks: how many.
        parts: block, stored and counted references; not all of them if there are very many.
    """

    def __init__(self, severity: Severity) -> None:
        """Begin with no blocks."""
        self.severity = severity
        self.nr_blocks = 0
        self.parts: list[tuple[Numbers, Numbers, Numbers]] = []

    def add(self, blocks: Numbers, stored: Numbers, counted: Numbers) -> None:
        """Add blocks, which follow all those before."""
        room = max(0, _MAX_KEPT - self.nr_blocks)
        self.nr_blocks += len(blocks)
        if room and len(blocks):
            self.parts.append((blocks[:room], stored[:room], counted[:room]))

    def findings(self, part: Part, key_name: str) -> Iterator[Finding]:
        """Return a finding for each range, and one for what is too much to tell."""
        if not self.parts:
            return
        blocks, stored, counted = map(np.concatenate, zip(*self.parts, strict=True))
        begins = _range_begins(blocks, stored, counted)
        ends = np.append(begins[1:], len(blocks))
        told = 0
        for begin, end in zip(begins.tolist()[:MAX_RANGES], ends.tolist(), strict=False):
            told += end - begin
            yield Finding(
                self.severity,
                part,
                _what(int(stored[begin]), int(counted[begin])),
                first_key=int(blocks[begin]),
                last_key=int(blocks[end - 1]),
                key_name=key_name,
            )
        if told < self.nr_blocks:
            yield Finding(
                self.severity,
                part,
                f"{self.nr_blocks - told} further {key_name}s have wrong reference counts",
            )


def _range_begins(blocks: Numbers, stored: Numbers, counted: Numbers) -> Places:
    breaks = (np.diff(blocks) != 1) | (np.diff(stored) != 0) | (np.diff(counted) != 0)
    return np.flatnonzero(piece_begins(len(blocks), breaks))


def _what(stored: int, counted: int) -> str:
    if stored == NO_ENTRY:
        return "the bitmap counts 3 references or more, but the ref count tree has no entry"
    if counted == 0 and stored == 1:
        return "leaked: nothing refers to it, but it is not free"
    told = f"referred to {_times(counted)}, but the space map says {_times(stored)}"
    return f"{told}: it may be overwritten" if stored < counted else told


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
