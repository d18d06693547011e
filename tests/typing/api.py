"""What a caller's type checker sees of the library; mypy reads this, nothing runs it."""

import io
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import thinmeta


def opened_from_anything(path: Path, content: bytes, file: io.BytesIO) -> None:
    assert_type(thinmeta.open_pool(path), thinmeta.OpenPool)
    assert_type(thinmeta.open_pool(content), thinmeta.OpenPool)
    assert_type(thinmeta.open_pool(file), thinmeta.OpenPool)


def asked(pool: thinmeta.OpenPool) -> None:
    device = pool.device("12@63:66")
    assert_type(device, thinmeta.Device)
    assert_type(device.mapped_blocks, int | None)
    assert_type(device.runs(), thinmeta.TableStream[thinmeta.RunTable])
    assert_type(device.runs().read().blocks(), thinmeta.BlockTable)
    assert_type(pool.usage().exclusive, npt.NDArray[np.int64])
    assert_type(pool.diff(device, 12).read(), thinmeta.DiffTable)
    assert_type(pool.rmap(0, 8).read(), thinmeta.SharerTable)
    assert_type(pool.free_ranges().read(), thinmeta.FreeTable)
    assert_type(pool.usage().columns(), dict[str, npt.NDArray[Any]])
    assert_type(pool.check().columns(), dict[str, npt.NDArray[Any]])
    assert_type(pool.states()[0].roots, thinmeta.Roots | None)
    assert_type(pool.files_at(0, 512)[0], thinmeta.RegionRun)
    assert_type(device.files().places("/etc")[0], thinmeta.FilePlace)
    assert_type(pool.salvaged(), thinmeta.OpenPool)
    assert_type(device.losses(), thinmeta.Losses)
