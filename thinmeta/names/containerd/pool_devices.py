"""containerd's list of thin devices: `POOL.db`.

Source: `PoolMetadata`, plugins/snapshots/devmapper/metadata.go, and `DeviceInfo`, device_info.go.
"""

from typing import NamedTuple

from thinmeta.names.containerd.bolt import BoltFile
from thinmeta.names.docker.devicemapper import Record
from thinmeta.names.docker.json_object import JsonObject, json_object
from thinmeta.units import DeviceId

_DEVICE_IDS = 1 << 24
_REMOVING, _REMOVED, _FAULTY = 11, 12, 13
_ID_STATES = {0: "free", 1: "taken", 2: "faulty"}
_TOLD_AT_MOST = 200


class PoolDevice(NamedTuple):
    """A thin device, as containerd wrote it down.

    Attributes:
        record: what Docker would say of it; the transaction is not there, for containerd has none.
        parent: the name of the device that it was created from; None if there is none.
    """

    record: Record
    parent: str | None


def read_pool_devices(file: BoltFile) -> dict[str, PoolDevice]:
    """Return the devices by name; what does not fit together is noted."""
    devices: dict[str, PoolDevice] = {}
    for key, value in file.root.bucket(b"devices").items().items():
        name = key.decode("utf-8", "replace")
        fields = json_object(value) if isinstance(value, bytes) else JsonObject(None)
        device_id = fields.integer("device_id", _DEVICE_IDS)
        if device_id is None or not name.isprintable() or not name:
            file.note(f"device {name!r} has no device id")
            continue
        state = fields.integer("state")
        if state == _FAULTY:
            file.note(f"device {name} is marked as faulty")
        if error := fields.text("error"):
            file.note(f"device {name}: {error}")
        is_deleted = state in (_REMOVING, _REMOVED)
        record = Record(DeviceId(device_id), fields.integer("size"), None, is_deleted)
        devices[name] = PoolDevice(record, fields.word("parent_name"))
    _tell_what_ids_say(file, devices)
    return devices


def _tell_what_ids_say(file: BoltFile, devices: dict[str, PoolDevice]) -> None:
    """Tell which ids are not as free as the list of ids says."""
    states = {
        int(key): _ID_STATES.get(value[0], "unknown")
        for key, value in file.root.bucket(b"device_ids").items().items()
        if isinstance(value, bytes) and len(value) == 1 and len(key) < len("16777216")
        if key.isdigit()
    }
    names: dict[int, str] = {}
    for name, device in devices.items():
        device_id = device.record.device_id
        if device_id in names:
            file.note(f"devices {names[device_id]} and {name} have the same device id, {device_id}")
        names.setdefault(device_id, name)
        if states and (state := states.get(device_id, "not there")) != "taken":
            file.note(f"device {name}: its device id, {device_id}, is {state} in the list of ids")
    left = [number for number, state in states.items() if state == "taken" and number not in names]
    for number in left[:_TOLD_AT_MOST]:
        file.note(f"device id {number} is taken, and no device has it")
