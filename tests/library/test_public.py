"""The names and parameters that callers rely on: whoever changes one changes this table."""

import inspect

import thinmeta
from thinmeta.library.device_files import raise_file_error

SIGNATURES = {
    "CheckReport.columns": "",
    "CheckReport.count": "severity",
    "Device.files": (
        "data=None, *, size=None, origin=None, partition=None, inside=None, replay=True, "
        "all_of_it=False"
    ),
    "Device.losses": "",
    "Device.open": "data=None, *, size=None, origin=None",
    "Device.runs": "",
    "DeviceFiles.close": "",
    "DeviceFiles.find": "path='/', *, follow=True",
    "DeviceFiles.link_target": "link",
    "DeviceFiles.entries": f"path='/', *, on_error={raise_file_error}",
    "DeviceFiles.lost": "path",
    "DeviceFiles.open": "path",
    "DeviceFiles.places": f"path, *, on_error={raise_file_error}",
    "DeviceFiles.walk": f"path='/', *, on_error={raise_file_error}",
    "DeviceFiles.xattrs": "file",
    "Difference.chunks": "",
    "Difference.columns": "",
    "Difference.read": "",
    "Difference.summary": "",
    "Losses.columns": "",
    "Losses.of": "device_id",
    "Losses.range_columns": "",
    "NameSources": (
        "docker_root=None, lvm=(), lv=None, metadata_lv=None, *, containerd_root=None, "
        "default_root=None"
    ),
    "OpenPool.block": "number",
    "OpenPool.check": "",
    "OpenPool.close": "",
    "OpenPool.device": "spec",
    "OpenPool.diff": "left, right, *, with_same=False",
    "OpenPool.disagreements": "",
    "OpenPool.files_at": (
        "begin, end, data=None, *, partition=None, inside=None, replay=True, on_error=None"
    ),
    "OpenPool.freed": "devices",
    "OpenPool.free_ranges": "",
    "OpenPool.in_state": "state",
    "OpenPool.layers": "name=None",
    "OpenPool.losses": "",
    "OpenPool.rmap": "begin, end",
    "OpenPool.salvaged": "*, likely=False",
    "OpenPool.states": "",
    "OpenPool.usage": "",
    "OpenPool.verify_unchanged": "",
    "RefCounts.chunks": "",
    "RefCounts.nr_shared": "",
    "RefCounts.read": "begin, end",
    "ResultList.columns": "",
    "RunTable.blocks": "",
    "TableStream.chunks": "",
    "TableStream.columns": "",
    "TableStream.read": "",
    "UsageTable.columns": "",
    "find_states": "source=None, *, names=None",
}

NAMES = """
    BlockReport BlockTable Candidate Change CheckReport Damage DamageKind DamagedMetadataError
    DataPart Device DeviceFiles FileError FilePart FilePlace FileStream FoundFile HeldPart Holding
    Inode RegionRun Source
    DeviceLoss DiffTable Difference Disagreement ExitCode Finding FreeTable FreedTogether InputError
    LiveDeviceError Losses MeasuredLayer NameSources NoSnapshotError NotThereError OpenPool
    RefCounts Relation ResultList Roots Run RunTable SalvagedError Severity SharerTable
    SpaceMapRoot State Summary Superblock TableStream ThinmetaError UnsupportedFormatError
    UsageTable Volume find_states open_pool raise_damage
"""


CLASSES = [
    "CheckReport",
    "Device",
    "DeviceFiles",
    "Difference",
    "OpenPool",
    "RefCounts",
    "TableStream",
]


def parameters_of(name: str) -> str:
    found = thinmeta
    for part in name.split("."):
        found = getattr(found, part)
    signature = inspect.signature(found)  # type: ignore[arg-type]
    kept = [each for each in signature.parameters.values() if each.name != "self"]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in kept]
    return str(inspect.Signature(bare))[1:-1]


def test_the_names_are_these() -> None:
    assert sorted(thinmeta.__all__) == sorted(NAMES.split())


def test_the_parameters_are_these() -> None:
    assert {name: parameters_of(name) for name in SIGNATURES} == SIGNATURES


def test_all_methods_are_in_the_table() -> None:
    found = {
        f"{name}.{method}"
        for name in CLASSES
        for method, _ in inspect.getmembers(getattr(thinmeta, name), inspect.isfunction)
        if not method.startswith("_")
    }

    assert found == {each for each in SIGNATURES if each.split(".")[0] in CLASSES}
