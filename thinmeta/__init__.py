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
        SalvagedError,
        ThinmetaError,
        UnsupportedFormatError,
        raise_damage,
    )
    from thinmeta.model.losses import Losses, losses_of_pool
    from thinmeta.model.pool import Pool, open_pool
    from thinmeta.model.ref_counts import RefCounts
    from thinmeta.model.state import Roots, State
    from thinmeta.model.superblock import Superblock
    from thinmeta.model.thin_device import RunStream, ThinDevice
    from thinmeta.walk.runs import Run, Runs

# Where each name is; loaded when it is used, so that `thinmeta --help` waits for nothing.
_HOMES = {
    "Losses": "thinmeta.model.losses",
    "Pool": "thinmeta.model.pool",
    "RefCounts": "thinmeta.model.ref_counts",
    "Roots": "thinmeta.model.state",
    "Run": "thinmeta.walk.runs",
    "RunStream": "thinmeta.model.thin_device",
    "Runs": "thinmeta.walk.runs",
    "State": "thinmeta.model.state",
    "Superblock": "thinmeta.model.superblock",
    "ThinDevice": "thinmeta.model.thin_device",
    "losses_of_pool": "thinmeta.model.losses",
    "open_pool": "thinmeta.model.pool",
}

__all__ = [
    "Damage",
    "DamageKind",
    "DamagedMetadataError",
    "ExitCode",
    "InputError",
    "LiveDeviceError",
    "Losses",
    "NoSnapshotError",
    "NotThereError",
    "Pool",
    "RefCounts",
    "Roots",
    "Run",
    "RunStream",
    "Runs",
    "SalvagedError",
    "State",
    "Superblock",
    "ThinDevice",
    "ThinmetaError",
    "UnsupportedFormatError",
    "losses_of_pool",
    "open_pool",
    "raise_damage",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "thinmeta.errors")), name)
