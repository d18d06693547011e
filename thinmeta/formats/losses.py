"""What salvage has lost: as lines for people, and as JSON lines."""

from collections.abc import Iterable, Iterator
from typing import Any

from thinmeta.errors import Damage
from thinmeta.formats.json_text import json_line
from thinmeta.model.device_loss import DeviceLoss, ExaminedTree
from thinmeta.model.losses import Losses
from thinmeta.model.lost_leaves import LostRange
from thinmeta.model.rebuilt_ranges import RebuiltRange, UndecidedSubtree
from thinmeta.units import LAST_KEY


def rebuilt_text(ranges: Iterable[RebuiltRange]) -> Iterator[str]:
    """Return a line for each range that was lost and is there again."""
    for found in ranges:
        yield (
            f"device {found.device_id}: origin blocks {found.first_key} to {found.last_key}: "
            f"metadata block {found.block}: {found.what}"
        )


def undecided_text(subtrees: Iterable[UndecidedSubtree]) -> Iterator[str]:
    """Return a line for each subtree that is sound, and nobody knows whose."""
    for found in subtrees:
        whose = " or ".join(map(str, found.device_ids))
        yield (
            f"metadata block {found.block}: origin blocks {found.first_key} to {found.last_key}: "
            f"{found.nr_mappings} mappings are sound and left out: they may be of device {whose}; "
            f"root:{found.block} names them"
        )


def losses_text(losses: Losses) -> Iterator[str]:
    """Return a line for each thing that is lost, or was."""
    yield from rebuilt_text(losses.rebuilt)
    for damage in losses.trees:
        yield f"{damage}; `thinmeta scan` looks for the mapping trees of devices"
    for loss in losses.devices:
        yield from _device_text(loss)
    yield from undecided_text(losses.undecided)


def losses_json(losses: Losses) -> Iterator[bytes]:
    """Return an object for each thing that is lost, or was; none if nothing is."""
    for found in losses.rebuilt:
        yield json_line(
            type="rebuilt_range",
            device_id=found.device_id,
            first_block=found.first_key,
            last_block=found.last_key,
            metadata_block=found.block,
            nr_mappings=found.nr_mappings,
            origin=found.origin,
            what=found.what,
        )
    for damage in losses.trees:
        yield json_line(
            type="lost_devices",
            first_id=damage.first_key,
            last_id=_open_end(damage.last_key),
            **_damage_fields(damage),
        )
    for loss in losses.devices:
        yield from _device_json(loss)
    for subtree in losses.undecided:
        yield json_line(
            type="undecided_subtree",
            first_block=subtree.first_key,
            last_block=subtree.last_key,
            metadata_block=subtree.block,
            nr_mappings=subtree.nr_mappings,
            device_ids=subtree.device_ids,
        )


def last_word(losses: Losses) -> str:
    """Return in one line how much is lost."""
    incomplete = [loss for loss in losses.devices if not loss.is_complete]
    missing = sum(loss.missing or 0 for loss in incomplete)
    without_details = sum(loss.has_no_details for loss in losses.devices)
    counts = {
        f"{len(incomplete)} of {len(losses.devices)} devices are not complete": len(incomplete),
        f"{missing} mappings are missing": missing,
        f"{losses.nr_likely} mappings are only likely": losses.nr_likely,
        f"the details of {without_details} devices are lost": without_details,
        "there may be more devices": len(losses.trees),
    }
    what = [text for text, count in counts.items() if count]
    return f"the metadata is damaged: {', '.join(what)}; all that is sound was read"


def _device_text(loss: DeviceLoss) -> Iterator[str]:
    name = _called(loss.tree)
    if loss.is_complete and (loss.tree.root is None or loss.ranges):
        yield f"{name}: its mapping tree is damaged, but by its details it has no mappings"
        return
    if loss.tree.root is None:
        yield f"{name}: its mapping tree is lost"
    if loss.has_no_details:
        yield f"{name}: its details are lost; its times and its transaction id are made up"
    for lost in loss.ranges:
        end = "the end" if lost.last_key == LAST_KEY else lost.last_key
        more = f", and {lost.nr_nodes - 1} more nodes" if lost.nr_nodes > 1 else ""
        yield (
            f"{name}: origin blocks {lost.first_key} to {end} are lost: metadata block "
            f"{lost.damage.block}: {lost.damage.what.partition(';')[0]}{more}"
        )
    if loss.beyond:
        yield (
            f"{name}: {loss.beyond} mappings to data blocks past the end of the data device "
            "are left out"
        )
    stored = loss.tree.stored
    if loss.missing:
        yield f"{name}: {loss.missing} of the {stored} mappings in its details are missing"
    elif stored is not None and stored < loss.found:
        yield f"{name}: has {loss.found} mappings, but its details say {stored}"


def _device_json(loss: DeviceLoss) -> Iterator[bytes]:
    is_as_told = loss.tree.device_id is None or loss.found == loss.tree.stored
    if loss.is_complete and is_as_told:
        return
    yield json_line(
        type="loss",
        device_id=loss.tree.device_id,
        mapping_root=loss.tree.root,
        mapped_blocks_stored=loss.tree.stored,
        mapped_blocks_found=loss.found,
        mapped_blocks_missing=loss.missing,
        beyond_data_device=loss.beyond,
        complete=loss.is_complete,
    )
    for lost in loss.ranges:
        yield json_line(type="lost_range", device_id=loss.tree.device_id, **_range_fields(lost))


def _range_fields(lost: LostRange) -> dict[str, Any]:
    return {
        "first_block": lost.first_key,
        "last_block": _open_end(lost.last_key),
        "nr_nodes": lost.nr_nodes,
        **_damage_fields(lost.damage),
    }


def _damage_fields(damage: Damage) -> dict[str, Any]:
    return {"metadata_block": damage.block, "what": damage.what}


def _open_end(last: int | None) -> int | None:
    return None if last == LAST_KEY else last


def _called(tree: ExaminedTree) -> str:
    return f"root:{tree.root}" if tree.device_id is None else f"device {tree.device_id}"
