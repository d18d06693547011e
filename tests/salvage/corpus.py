"""Damages to real pools, each with what is bad by it: a node at a time, in every way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.anatomy import Anatomy, Place
from tests.damage import DamagedImage
from tests.salvage.remains import IsBad, bad_blocks
from thinmeta.schemas.btree_node import INTERNAL_NODE, LEAF_NODE

SNAPSHOTS = "a08-snapshots-of-snapshots"
DELETES = "a09-discards-and-deletes"
HELD = "a13-metadata-snapshot-held"
REUSED = "a19-device-id-reuse"
DOCKER = "docker-direct-lvm-ext4-512k"
LONG = "a23-long-runs-and-holes"

CASES = (SNAPSHOTS, DELETES, HELD, REUSED, DOCKER)

Apply = Callable[[DamagedImage], None]


@dataclass(frozen=True)
class Damaged:
    """A damage: what it does to a sound image, and which nodes of mapping trees are bad by it."""

    name: str
    apply: Apply
    is_bad: IsBad

    def __str__(self) -> str:
        return self.name


def mapping_nodes(anatomy: Anatomy) -> list[int]:
    return sorted(anatomy.occurrences)


def places_of(anatomy: Anatomy, block: int) -> list[Place]:
    return [place for place in anatomy.mapping_places() if place.block == block]


def destroyed(anatomy: Anatomy) -> Iterator[Damaged]:
    """Each node of the mapping trees: zeroed, scratched, swapped with another."""
    nodes = mapping_nodes(anatomy)
    for place, block in enumerate(nodes):
        other = nodes[(place + 1) % len(nodes)]
        first = 32 + 7919 * block % 64
        yield Damaged(f"zero {block}", lambda i, b=block: i.zero(b), bad_blocks([block]))  # type: ignore[misc]
        yield Damaged(
            f"scratch {block} from byte {first} on",
            lambda i, b=block, at=first: scratch(i, b, at),  # type: ignore[misc]
            bad_blocks([block]),
        )
        yield Damaged(
            f"swap {block} and {other}",
            lambda i, b=block, o=other: i.swap(b, o),  # type: ignore[misc]
            bad_blocks([block, other]),
        )


def scratch(image: DamagedImage, block: int, first: int) -> None:
    """Change so much all over a block that nothing tells what it was."""
    image.block(block)[first::64] ^= 255


Edit = Callable[[DamagedImage, int], None]


def field(name: str, value: int) -> Edit:
    def edit(image: DamagedImage, block: int) -> None:
        image.header(block)[name] = value

    return edit


def other_kind(image: DamagedImage, block: int) -> None:
    header = image.header(block)
    header["flags"] = LEAF_NODE if header["flags"] == INTERNAL_NODE else INTERNAL_NODE


def keys_turned(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[-1] = keys[0]
    keys[:1] += 1


def key_past_the_range(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[-1] = 2**64 - 1


def key_before_the_range(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[0] = 0


def edited(anatomy: Anatomy) -> Iterator[Damaged]:
    """Each node with a field changed and its checksum right again; the root stays of its kind."""
    edits: dict[str, Edit] = {
        "nr_entries": field("nr_entries", 2**32 - 1),
        "max_entries": field("max_entries", 2**32 - 1),
        "value_size": field("value_size", 9),
        "flags": field("flags", 3),
        "blocknr": field("blocknr", 3),
        "keys turned": keys_turned,
        "the other kind": other_kind,
        "key past the range": key_past_the_range,
        "key before the range": key_before_the_range,
    }
    for block in mapping_nodes(anatomy):
        places = places_of(anatomy, block)
        entries = len(anatomy.entries(block))
        for name, edit in edits.items():
            if name == "keys turned" and entries < 2:
                continue
            if name == "the other kind" and any(place.is_root for place in places):
                continue
            if name.startswith("key ") and not (
                entries
                and all(place.is_leaf for place in places)
                and all(
                    place.low if "before" in name else place.last < 2**64 - 1 for place in places
                )
            ):
                continue
            yield Damaged(f"{name} of {block}", restamped(edit, block), bad_blocks([block]))


def restamped(edit: Edit, block: int) -> Apply:
    def apply(image: DamagedImage) -> None:
        edit(image, block)
        image.restamp(block)

    return apply


def misled(anatomy: Anatomy) -> Iterator[Damaged]:
    """Each pointer of the mapping trees leads elsewhere: to its neighbours, past the end, ..."""
    for block in mapping_nodes(anatomy):
        if places_of(anatomy, block)[0].is_leaf:
            continue
        children = [child for _, child in anatomy.entries(block)]
        for place, child in enumerate(children):
            for target in {children[place - 1], children[(place + 1) % len(children)], 0, 2**40}:
                if target != child:
                    yield _misled(anatomy, block, place, target)


def _misled(anatomy: Anatomy, block: int, place: int, target: int) -> Damaged:
    def apply(image: DamagedImage) -> None:
        image.children(block)[place] = target
        image.restamp(block)

    holders = {each.device_id for each in places_of(anatomy, block)}
    child = anatomy.entries(block)[place][1]

    def is_bad(each: Place) -> int | None:
        return target if each.block == child and each.device_id in holders else None

    return Damaged(f"child {place} of {block} is {target}", apply, is_bad)


def sample(damages: Iterator[Damaged], step: int) -> list[Damaged]:
    """Return every so manieth."""
    return list(damages)[::step]
