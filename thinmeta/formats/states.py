"""What a repair's choice between states costs, as lines for people."""

from collections.abc import Iterator, Mapping, Sequence

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.passed_over import PassedOver, WholeDevice
from thinmeta.analyse.recover.stand_ins import StandIn
from thinmeta.analyse.recover.weighing import Weighed
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import command_text
from thinmeta.units import DeviceId, MetadataBlock

_DEVICES_TOLD = 8


def choices_text(choices: Sequence[Weighed], *, likely: bool = False) -> Iterator[str]:
    """Return a table of what each choice of a repair keeps.

    Args:
        choices: the rows.
        likely: what is likely was put together, too, not only what is proven.
    """
    together = "with what is likely" if likely else "with what is proven"
    yield "What each choice keeps; > is gone on with:"
    rows = [("", "STATE", "TIME", "DEVICES", "MAPPINGS", "MISSING", "")]
    for each in choices:
        what = together if each.candidate is None and each.is_rebuilt else ""
        rows.append(
            (
                ">" if each.is_chosen else "",
                "live" if each.candidate is None else _state(each.candidate),
                str(each.time),
                str(each.nr_devices),
                str(each.nr_mappings),
                "-" if each.nr_missing is None else str(each.nr_missing),
                what,
            )
        )
    yield from (line.rstrip() for line in aligned(rows, left=frozenset({0, 1, 6})))


def choices_json(choices: Sequence[Weighed]) -> Iterator[bytes]:
    """Return an object for each choice."""
    for each in choices:
        yield json_line(
            type="choice",
            state="live" if each.candidate is None else _state(each.candidate),
            chosen=each.is_chosen,
            rebuilt=each.is_rebuilt,
            time=each.time,
            nr_devices=each.nr_devices,
            nr_mappings=each.nr_mappings,
            nr_missing=each.nr_missing,
        )


def deleted_text(nr_devices: int, metadata: Sequence[str]) -> str:
    """Return that older states have devices that the chosen one has not."""
    return (
        f"older states have {nr_devices} devices that this one has not: "
        f"`{command_text('deleted', *metadata, '--salvage')}` lists them"
    )


def passed_over_text(found: PassedOver, metadata: Sequence[str], *, is_asked: bool = False) -> str:
    """Return which state may be newer than the chosen one, and what it has.

    Args:
        found: the state.
        metadata: the words that name the metadata on a command line.
        is_asked: whether it was, since another was asked for.
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
    why = "another was asked for" if is_asked else why
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
