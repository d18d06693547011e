"""Metadata whose superblock is gone: what is left of it, and what to type next."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from thinmeta.cli.bad_map_option import bad_map_words
from thinmeta.cli.naming import metadata_place, metadata_words
from thinmeta.errors import InputError, NoSuperblockError, WipedSuperblockError

if TYPE_CHECKING:
    from thinmeta.analyse.recover.glance import Glance
    from thinmeta.cli.metadata import MetadataChoice
    from thinmeta.device.blocks import BlockDevice

_MOST_UNPACKED_BLOCKS = 1 << 14
"""Of a compressed image, 64 MiB: about two seconds of the slowest."""


def refusal(choice: "MetadataChoice", error: NoSuperblockError) -> InputError:
    """Return what to say of metadata without a superblock, after a short look at the rest.

    Args:
        choice: which metadata.
        error: what is known of its first block.
    """
    from thinmeta.analyse.recover.glance import glance

    device = _reopened(choice)
    if device is None:
        return error
    with closing(device):
        seen = glance(device)
        odd = "".join(f"; {note}" for note in device.notes)  # such as that a copy is sound
        if seen.sound_block is not None:
            return WipedSuperblockError(
                f"{device.name}: has no thin-pool superblock in its first block, but sound "
                f"metadata is left, as in block {seen.sound_block}: "
                f"{_commands(choice, device)}{odd}"
            )
        return InputError(f"{device.name}: {_described(seen, choice, device.name)}{odd}")


def recovery_commands(choice: "MetadataChoice") -> str:
    """Return the commands that go on where the superblock is of no use."""
    device = _reopened(choice)
    if device is None:
        return _commands(choice, None)
    with closing(device):
        return _commands(choice, device)


def _commands(choice: "MetadataChoice", device: "BlockDevice | None") -> str:
    from thinmeta.formats.printable import command_text

    words = _words(choice)
    repair = ["repair", *words, "-o", "NEW"]
    if choice.data_block_sectors or not choice.names.lvm:  # who would know it
        sectors = choice.data_block_sectors or _copied_block_sectors(device)
        repair += ["--data-block-size", str(sectors or "SECTORS")]
    return (
        f"`{command_text('scan', *words)}` lists what is left, `{command_text(*repair)}` makes "
        "new metadata of it"
    )


def _copied_block_sectors(device: "BlockDevice | None") -> int:
    """Return the data block size as the superblock of a metadata snapshot has it; 0 without one.

    Where a look at all blocks would take long there is none.
    """
    from thinmeta.analyse.recover.glance import MOST_BYTES
    from thinmeta.model.superblock import copied_superblock
    from thinmeta.units import METADATA_BLOCK_BYTES

    if device is None or device.nr_blocks > MOST_BYTES // METADATA_BLOCK_BYTES:
        return 0
    return copied_superblock(device).data_block_sectors


def _words(choice: "MetadataChoice") -> list[str]:
    """Return the words that name the same metadata: no names, but of LVM, for the block size."""
    if choice.path is None or choice.names.lvm:
        return metadata_words(choice.names, choice.path)
    return ["-p", str(choice.path), *bad_map_words()]


def _reopened(choice: "MetadataChoice") -> "BlockDevice | None":
    """Open the metadata again, whatever its first block is; of a compressed image a part."""
    from thinmeta.device.opening import open_blocks
    from thinmeta.device.signatures import refuse_other_formats
    from thinmeta.model.state import State

    def inspect(beginning: bytes) -> int:
        refuse_other_formats(beginning)
        return _MOST_UNPACKED_BLOCKS

    exclusive = choice.state is not State.SNAP
    place = metadata_place(choice.path, choice.names, exclusive=exclusive, inspect=inspect)
    if isinstance(place, Path):
        return open_blocks(place, inspect=inspect, exclusive=exclusive)
    return place


def _described(seen: "Glance", choice: "MetadataChoice", name: str) -> str:
    from thinmeta.device.part_of_file import PartOfFile
    from thinmeta.formats.printable import command_text, shell_word
    from thinmeta.formats.sizes import size_text

    looked = size_text(seen.nr_bytes)
    scan = f"`{command_text('scan', *_words(choice))}` looks at the rest"
    nothing = "has no thin-pool superblock in its first block"
    if seen.written_over is not None:
        return seen.written_over
    if seen.begins_at is not None:
        found = f"{nothing}, but metadata begins at its byte {seen.begins_at}"
        if choice.path is None and choice.names.has_disks:
            return found
        path, offset = PartOfFile.of(name)
        place = shell_word(f"{path}@{(offset or 0) + seen.begins_at}")
        return f"{found}: `-p {place}` reads it"
    if seen.is_zeros:
        return "is all zeros" if seen.is_all else f"is all zeros in its first {looked}; {scan}"
    tmeta = "a pool's data device (_tdata) has none, its metadata device (_tmeta) has"
    if seen.is_all:
        return f"{nothing}, and no sound metadata in any other; {tmeta}"
    return f"{nothing}, and no sound metadata in its first {looked}; {tmeta}; {scan}"
