"""What logged items say, where no crash that can be made leaves such a log."""

import struct

import numpy as np

from thinmeta.files.xfs.log_items import Items, items_of, unfinished
from thinmeta.files.xfs.log_transactions import HEAD_BYTES, Batch, Regions

BUI, BUD, ATTRI, EFI = 0x1244, 0x1245, 0x1246, 0x1236


def items(*intents: tuple[int, int]) -> Items:
    """Return a transaction of items of one region, each a kind and an id."""
    heads = [b"NART", *(struct.pack("<HHIQ", kind, 1, 0, number) for kind, number in intents)]
    raw = b"".join(head.ljust(HEAD_BYTES, b"\0") for head in heads)
    rows = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(-1, HEAD_BYTES)
    lengths = np.full(len(heads), 16, dtype=np.int64)
    regions = Regions(rows, lengths, np.cumsum(lengths), np.full(len(heads), -1, dtype=np.int64))
    return items_of(Batch(0, [1], [len(heads)], [regions]))


def test_what_is_begun_and_not_done_is_known() -> None:
    begun = unfinished(items((BUI, 1), (BUI, 2), (ATTRI, 1), (EFI, 9)), set())

    assert begun == {(BUI, 1), (BUI, 2), (ATTRI, 1)}
    assert unfinished(items((BUD, 1), (BUD, 7), (BUI, 3)), begun) == {
        (BUI, 2),
        (ATTRI, 1),
        (BUI, 3),
    }
