"""Read the metadata of Linux dm-thin pools without the kernel.

>>> import thinmeta
>>> with thinmeta.open_pool("fixtures/a03-one-thin-sequential-64k/meta.bin.xz") as pool:
...     device = pool.devices[1]
...     print(device.mapped_blocks, *device.runs().read())
1536 Run(origin_begin=0, data_begin=0, length=1536, time=0)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinmeta.analyse.block.look import BlockReport
    from thinmeta.analyse.check.findings import CheckReport, Finding, Severity
    from thinmeta.analyse.diff import Relation, Summary
    from thinmeta.analyse.file_places import FilePlace
    from thinmeta.analyse.freed import FreedTogether
    from thinmeta.analyse.layers import MeasuredLayer
    from thinmeta.analyse.recover.candidates import Candidate
    from thinmeta.analyse.region_files import DataPart, RegionRun
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
    from thinmeta.files.file_bytes import FileStream
    from thinmeta.files.file_parts import FilePart
    from thinmeta.files.file_system import FileError, Inode
    from thinmeta.files.file_tree import FoundFile
    from thinmeta.files.region_contents import HeldPart, Holding
    from thinmeta.library.answers import Difference
    from thinmeta.library.device_files import DeviceFiles
    from thinmeta.library.entrance import find_states, open_pool
    from thinmeta.library.opened_device import Device
    from thinmeta.library.opened_pool import OpenPool
    from thinmeta.library.result_list import ResultList
    from thinmeta.library.result_table import TableStream
    from thinmeta.library.results import (
        BlockTable,
        DiffTable,
        FreeTable,
        RunTable,
        SharerTable,
        UsageTable,
    )
    from thinmeta.model.device_loss import DeviceLoss
    from thinmeta.model.losses import Losses
    from thinmeta.model.ref_counts import RefCounts
    from thinmeta.model.state import Roots, State
    from thinmeta.model.superblock import SpaceMapRoot, Superblock
    from thinmeta.names.disagreements import Disagreement
    from thinmeta.names.name_sources import NameSources
    from thinmeta.volume.contents import Volume
    from thinmeta.volume.layout import Source
    from thinmeta.walk.changes import Change
    from thinmeta.walk.runs import Run

# Where each name is; loaded when it is used, so that `thinmeta --help` waits for nothing.
_HOMES = {
    "BlockReport": "thinmeta.analyse.block.look",
    "BlockTable": "thinmeta.library.results",
    "Candidate": "thinmeta.analyse.recover.candidates",
    "Change": "thinmeta.walk.changes",
    "CheckReport": "thinmeta.analyse.check.findings",
    "DataPart": "thinmeta.analyse.region_files",
    "Device": "thinmeta.library.opened_device",
    "DeviceFiles": "thinmeta.library.device_files",
    "DeviceLoss": "thinmeta.model.device_loss",
    "DiffTable": "thinmeta.library.results",
    "Difference": "thinmeta.library.answers",
    "Disagreement": "thinmeta.names.disagreements",
    "FileError": "thinmeta.files.file_system",
    "FilePart": "thinmeta.files.file_parts",
    "FilePlace": "thinmeta.analyse.file_places",
    "FileStream": "thinmeta.files.file_bytes",
    "Finding": "thinmeta.analyse.check.findings",
    "FoundFile": "thinmeta.files.file_tree",
    "FreeTable": "thinmeta.library.results",
    "FreedTogether": "thinmeta.analyse.freed",
    "HeldPart": "thinmeta.files.region_contents",
    "Holding": "thinmeta.files.region_contents",
    "Inode": "thinmeta.files.file_system",
    "Losses": "thinmeta.model.losses",
    "MeasuredLayer": "thinmeta.analyse.layers",
    "NameSources": "thinmeta.names.name_sources",
    "OpenPool": "thinmeta.library.opened_pool",
    "RefCounts": "thinmeta.model.ref_counts",
    "RegionRun": "thinmeta.analyse.region_files",
    "Relation": "thinmeta.analyse.diff",
    "ResultList": "thinmeta.library.result_list",
    "Roots": "thinmeta.model.state",
    "Run": "thinmeta.walk.runs",
    "RunTable": "thinmeta.library.results",
    "Severity": "thinmeta.analyse.check.findings",
    "SharerTable": "thinmeta.library.results",
    "Source": "thinmeta.volume.layout",
    "SpaceMapRoot": "thinmeta.model.superblock",
    "State": "thinmeta.model.state",
    "Summary": "thinmeta.analyse.diff",
    "Superblock": "thinmeta.model.superblock",
    "TableStream": "thinmeta.library.result_table",
    "UsageTable": "thinmeta.library.results",
    "Volume": "thinmeta.volume.contents",
    "find_states": "thinmeta.library.entrance",
    "open_pool": "thinmeta.library.entrance",
}

__all__ = [
    "BlockReport",
    "BlockTable",
    "Candidate",
    "Change",
    "CheckReport",
    "Damage",
    "DamageKind",
    "DamagedMetadataError",
    "DataPart",
    "Device",
    "DeviceFiles",
    "DeviceLoss",
    "DiffTable",
    "Difference",
    "Disagreement",
    "ExitCode",
    "FileError",
    "FilePart",
    "FilePlace",
    "FileStream",
    "Finding",
    "FoundFile",
    "FreeTable",
    "FreedTogether",
    "HeldPart",
    "Holding",
    "Inode",
    "InputError",
    "LiveDeviceError",
    "Losses",
    "MeasuredLayer",
    "NameSources",
    "NoSnapshotError",
    "NotThereError",
    "OpenPool",
    "RefCounts",
    "RegionRun",
    "Relation",
    "ResultList",
    "Roots",
    "Run",
    "RunTable",
    "SalvagedError",
    "Severity",
    "SharerTable",
    "Source",
    "SpaceMapRoot",
    "State",
    "Summary",
    "Superblock",
    "TableStream",
    "ThinmetaError",
    "UnsupportedFormatError",
    "UsageTable",
    "Volume",
    "find_states",
    "open_pool",
    "raise_damage",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "thinmeta.errors")), name)
