"""Read the metadata of Linux dm-thin pools without the kernel.

>>> import thinmeta
>>> with thinmeta.open_pool("fixtures/a03-one-thin-sequential-64k/meta.bin.xz") as pool:
...     device = pool.devices[1]
...     print(device.mapped_blocks, next(iter(device.runs())))
1536 Run(origin_begin=0, data_begin=0, length=1536, time=0)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinmeta.errors import (
        Damage,
        DamagedMetadataError,
        DamageKind,
        ExitCode,
        InputError,
        LiveDeviceError,
        NoSnapshotError,
        NotThereError,
        ThinmetaError,
        UnsupportedFormatError,
        raise_damage,
    )
    from thinmeta.model.pool import Pool, open_pool
    from thinmeta.model.ref_counts import RefCounts
    from thinmeta.model.superblock import Superblock
    from thinmeta.model.thin_device import RunStream, ThinDevice
    from thinmeta.walk.runs import Run, Runs

# Where each name is; loaded when it is used, so that `thinmeta --help` waits for nothing.
_HOMES = {
    "Pool": "thinmeta.model.pool",
    "RefCounts": "thinmeta.model.ref_counts",
    "Run": "thinmeta.walk.runs",
    "RunStream": "thinmeta.model.thin_device",
    "Runs": "thinmeta.walk.runs",
    "Superblock": "thinmeta.model.superblock",
    "ThinDevice": "thinmeta.model.thin_device",
    "open_pool": "thinmeta.model.pool",
}

__all__ = [
    "Damage",
    "DamageKind",
    "DamagedMetadataError",
    "ExitCode",
    "InputError",
    "LiveDeviceError",
    "NoSnapshotError",
    "NotThereError",
    "Pool",
    "RefCounts",
    "Run",
    "RunStream",
    "Runs",
    "Superblock",
    "ThinDevice",
    "ThinmetaError",
    "UnsupportedFormatError",
    "open_pool",
    "raise_damage",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "thinmeta.errors")), name)
