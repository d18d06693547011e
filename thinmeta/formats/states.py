"""What a repair's choice between states costs, as lines for people."""

from collections.abc import Iterator, Mapping, Sequence

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.passed_over import PassedOver, WholeDevice
from thinmeta.analyse.recover.stand_ins import StandIn
from thinmeta.formats.printable import command_text
from thinmeta.units import DeviceId, MetadataBlock

_DEVICES_TOLD = 8


def passed_over_text(found: PassedOver, metadata: Sequence[str]) -> str:
    """Return which state may be newer than the chosen one, and what it has.

    Args:
        found: the state.
        metadata: the words that name the metadata on a command line.
    """
    candidate = found.candidate
    if candidate is None:
        return "the superblock's state was passed over: nothing is left of its mappings"
    told = ", ".join(_device_text(each) for each in found.devices[:_DEVICES_TOLD])
    more = len(found.devices) - _DEVICES_TOLD
    told += f" and {more} more" if more > 0 else ""
    if candidate.mapping_root is None:
        return (
            f"a newer state was passed over, of which only the device details at metadata block "
            f"{candidate.details_root} are left; it had what this one has not: {told}"
        )
    why = "nodes of it are lost" if candidate.is_pair else "its details are lost"
    return (
        f"state {_state(candidate)} was passed over, since {why}; it may be newer, and it has or "
        f"had what this one has not: {told}; "
        f"`{command_text('dump', '--salvage', '--state', _state(candidate), *metadata)}` prints it"
    )


def passed_over_word(found: PassedOver) -> str:
    """Return in short which state may be newer than the chosen one."""
    candidate = found.candidate
    if candidate is None or candidate.mapping_root is None:
        return "a newer state is lost; an older one was gone on with"
    return f"state {_state(candidate)}, which may be newer, was passed over"


def stand_in_text(found: StandIn) -> str:
    """Return of which state a device is whose own mapping tree is lost."""
    return (
        f"device {found.device.device_id}: its mapping tree is lost; that of an older state, "
        f"{_state(found.state)}, stands in for it: its details are the same, and its "
        f"{found.device.nr_mappings} mappings are all counted in the data space map"
    )


def other_details_text(lost: MetadataBlock, taken: MetadataBlock | None) -> str:
    """Return that details of an older state stand in for the superblock's, which are lost."""
    return (
        f"the device details at metadata block {lost} are lost; those at {taken}, of an older "
        "state, stand in for them"
    )


def whole_text(whole: Mapping[DeviceId, WholeDevice], metadata: Sequence[str]) -> Iterator[str]:
    """Return for each device which older state has it whole.

    Args:
        whole: by device id.
        metadata: the words that name the metadata on a command line.
    """
    for device_id, found in sorted(whole.items()):
        state = _state(found.candidate)
        command = command_text("dump", "--state", state, "--dev-id", str(device_id), *metadata)
        yield (
            f"device {device_id}: an older state, {state}, has it whole: `{command}`: "
            f"{found.device.nr_mappings} mappings"
        )


def _state(candidate: Candidate) -> str:
    if candidate.details_root is None:
        return str(candidate.mapping_root)
    return f"{candidate.mapping_root}:{candidate.details_root}"


def _device_text(device: FoundDevice) -> str:
    nr_mappings = max(device.nr_mappings, device.mapped_blocks or 0)
    return f"device {device.device_id} with {nr_mappings} mappings"
