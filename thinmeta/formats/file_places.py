"""How `lookup --file` writes where a file is: a paragraph for people, or JSON lines."""

from collections.abc import Iterator

from thinmeta.analyse.file_places import FilePlace
from thinmeta.files.file_parts import FilePart
from thinmeta.files.file_tree import FoundFile
from thinmeta.formats.files import name_fields, name_text
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.volume.layout import Source

_WORDS = {
    FilePart.UNWRITTEN: "set aside, never written",
    FilePart.MAP: "where its content is",
    FilePart.ATTRIBUTES: "extended attributes",
    FilePart.INODE: "inode",
}
_SOURCES = {
    None: "zeros",
    Source.DATA: "data",
    Source.ORIGIN: "origin",
    Source.PAST_END: "past_end",
    Source.LOST: "lost",
}


def places_text(
    chosen: ChosenDevice, file: FoundFile, places: list[FilePlace], block_bytes: int
) -> Iterator[bytes]:
    """Return a line about a file, and one for each part of it."""
    name = f"device {chosen.name}" if chosen.device is not None else chosen.name
    inode = file.inode
    yield text_line(f"{name}, /{name_text(file.path)}: inode {inode.number}, {inode.size} bytes")
    for place in places:
        what = _WORDS.get(place.part, f"bytes {place.begin}..{place.begin + place.length}")
        if place.part is FilePart.UNWRITTEN:
            what = f"bytes {place.begin}..{place.begin + place.length}, {what}"
        newer = "; as it is read, in the journal" if place.is_replayed else ""
        yield text_line(f"  {what}: {_where(place, block_bytes)}{newer}")


def places_json(
    chosen: ChosenDevice, file: FoundFile, places: list[FilePlace], block_bytes: int
) -> Iterator[bytes]:
    """Return an object for each part of a file."""
    for place in places:
        is_data = place.source in (Source.DATA, Source.PAST_END)
        is_content = place.part in (FilePart.CONTENT, FilePart.UNWRITTEN)
        yield json_line(
            type="file_place",
            device=chosen.name,
            device_id=chosen.device.device_id if chosen.device else None,
            **name_fields("path", b"/" + file.path),
            inode=file.inode.number,
            part=place.part.name.lower(),
            file_begin=place.begin if is_content else None,
            length=place.length,
            device_byte=place.device_byte,
            where=_SOURCES[place.source],
            data_block=place.place // block_bytes if is_data else None,
            data_byte=place.place if is_data else None,
            origin_byte=place.place if place.source is Source.ORIGIN else None,
            replayed=place.is_replayed,
        )


def _where(place: FilePlace, block_bytes: int) -> str:
    origin_block, offset = divmod(place.device_byte, block_bytes)
    in_device = f"block {origin_block}{_plus(offset)} of the device"
    if place.source is None:
        return f"not mapped: zeros; {in_device}"
    if place.source is Source.ORIGIN:
        return f"byte {place.place} of the external origin; {in_device}"
    if place.source is Source.LOST:
        return f"not known, the metadata is damaged; {in_device}"
    data_block, offset = divmod(place.place, block_bytes)
    past = "past the end of the data, " if place.source is Source.PAST_END else ""
    return f"{past}data block {data_block}{_plus(offset)}, byte {place.place}; {in_device}"


def _plus(offset: int) -> str:
    return f" + {offset} bytes" if offset else ""
