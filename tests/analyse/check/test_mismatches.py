"""Wrong counts are told as ranges, and not without end."""

import numpy as np

from thinmeta.analyse.check.findings import Part, Severity
from thinmeta.analyse.check.mismatches import MAX_RANGES, NO_ENTRY, Mismatches

PART = Part.DATA_SPACE_MAP


def mismatches(*rows: tuple[int, int, int]) -> Mismatches:
    found = Mismatches(Severity.FATAL)
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    found.add(*columns)
    return found


def test_neighbours_with_the_same_counts_are_one_range() -> None:
    found = mismatches((5, 1, 0), (6, 1, 0), (7, 1, 2), (8, 0, 2), (10, 0, 2), (11, NO_ENTRY, 4))

    told = [(each.first_key, each.last_key, each.what) for each in found.findings(PART, "block")]

    assert told == [
        (5, 6, "leaked: nothing refers to it, but it is not free"),
        (7, 7, "referred to twice, but the space map says once: it may be overwritten"),
        (8, 8, "referred to twice, but the space map says never: it may be overwritten"),
        (10, 10, "referred to twice, but the space map says never: it may be overwritten"),
        (11, 11, "the bitmap counts 3 references or more, but the ref count tree has no entry"),
    ]


def test_a_range_goes_on_over_the_parts_that_were_added() -> None:
    found = mismatches((5, 2, 1))
    found.add(*np.array([[6], [2], [1]], dtype=np.int64))

    (told,) = found.findings(PART, "data block")

    assert (told.first_key, told.last_key) == (5, 6)
    assert told.what == "referred to once, but the space map says twice"


def test_nothing_wrong_is_no_finding() -> None:
    assert list(mismatches().findings(PART, "block")) == []


def test_ranges_end_somewhere_and_the_rest_is_counted() -> None:
    found = mismatches(*((3 * number, 2, 1) for number in range(MAX_RANGES + 40)))

    told = list(found.findings(PART, "data block"))

    assert len(told) == MAX_RANGES + 1
    assert told[-1].what == "40 further data blocks have wrong reference counts"
    assert told[-1].severity is Severity.FATAL
