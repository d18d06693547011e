"""What stands around metadata, made to harm: XML, LVM's text, Docker's roots, containers.

Each function takes what is sound and returns it with something odd about it.
"""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.cases import FIXTURES, unpacked
from tests.fuzz.chance import Rng, pick
from tests.golden import thin_dump
from tests.in_process import invoked
from tests.lvm.lvm_images import (
    EXTENT_SECTORS,
    SECTOR,
    group,
    physical_volume,
    striped,
    thin,
    thin_pool,
    volume,
)
from tests.names.containerd_roots import made_root, trees
from tests.names.docker_roots import state_of

EXTENT = EXTENT_SECTORS * SECTOR
NUMBERS = [0, 1, 2, 127, 128, 129, 2**21, 2**24, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1, 2**64]
WORDS = [
    b"",
    b"-1",
    b"1e9",
    b"0x10",
    b"\xc2\xb2",
    b"\xd9\xa3",
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xe2\x80\xae",
]
_LONGEST_LINE = 1 << 20  # bytes; one may be repeated, and repeated again

JUNK = [
    b"{",
    b"}",
    b"[",
    b'"',
    b"<",
    b">",
    b"&",
    b"#",
    b"=",
    b"\n",
    b"\r",
    b"\\",
    b"../",
    b"\x9b31m",
]


def odd_text(rng: Rng, text: bytes) -> bytes:
    """Return text with a few numbers, lines or characters changed."""
    for _ in range(pick(rng, [1, 1, 2, 4])):
        lines = text.split(b"\n")
        at, other = int(rng.integers(len(lines))), int(rng.integers(len(lines)))
        match int(rng.integers(9)):
            case 0 | 1 | 2:
                found = list(re.finditer(rb"\d+", text))
                if found:
                    number = pick(rng, found)
                    new = str(pick(rng, NUMBERS)).encode() if rng.integers(4) else pick(rng, WORDS)
                    text = text[: number.start()] + new + text[number.end() :]
                continue
            case 3:
                del lines[at]
            case 4:
                lines.insert(other, lines[at])
            case 5:
                lines[at], lines[other] = lines[other], lines[at]
            case 6:
                place = int(rng.integers(len(lines[at]) + 1))
                lines[at] = lines[at][:place] + pick(rng, JUNK + WORDS) + lines[at][place:]
            case 7:
                return text[: int(rng.integers(len(text) + 1))]
            case _:
                lines[at] = (lines[at] * int(pick(rng, [2, 1000])))[:_LONGEST_LINE]
        text = b"\n".join(lines)
    return text


# XML

XML_CASES = ["a08-snapshots-of-snapshots", "a09-discards-and-deletes", "a20-transaction-ids"]
SUPERBLOCK = (
    b'<superblock uuid="" time="1" transaction="2" version="2" data_block_size="128"'
    b' nr_data_blocks="%s">\n%s</superblock>\n'
)
DEVICE = (
    b'<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">'
    b"\n%s</device>\n"
)


def _range(origin: object, data: object, length: object, time: object = 0) -> bytes:
    return (
        f'<range_mapping origin_begin="{origin}" data_begin="{data}" length="{length}"'
        f' time="{time}"/>\n'
    ).encode()


def _xml(nr_data_blocks: int, *devices: bytes, before: bytes = b"") -> bytes:
    body = before + b"".join(DEVICE % (n, 1, each) for n, each in enumerate(devices))
    return SUPERBLOCK % (str(nr_data_blocks).encode(), body)


HOSTILE_XML: list[Callable[[], bytes]] = [
    lambda: _xml(2**64 - 1),
    lambda: _xml(2**64 - 1, _range(0, 0, 1)),
    lambda: _xml(2**40, _range(0, 0, 2**40)),
    lambda: _xml(2**40, *[_range(0, 0, 2**30)] * 20),
    lambda: _xml(100, _range(0, 0, 2**64 - 1)),
    lambda: _xml(100, _range(2**64 - 1, 5, 1)),
    lambda: _xml(100, _range(2**64 - 1, 5, 2)),
    lambda: _xml(100, _range(5, 2**40 - 1, 1)),
    lambda: _xml(100, _range(5, 5, 0)),
    lambda: _xml(100, _range(0, 0, 9, 2**24)),
    lambda: _xml(100, b'<ref name="x"/>\n'),
    lambda: _xml(100, b'<ref name="x"/>\n', before=b'<def name="x">\n<ref name="x"/>\n</def>\n'),
    lambda: _xml(100, before=b'<def name="x">\n</def>\n' * 2),
    lambda: _xml(100, before=b"<def>\n" * 5000),
    lambda: _xml(
        10**6,
        *[b'<ref name="x"/>\n'] * 3000,
        before=b'<def name="x">\n%s</def>\n' % b"".join(_range(2 * n, n, 1) for n in range(3000)),
    ),
    lambda: b"<a>" * 100_000,
    lambda: b'<?xml version="1.0" encoding="utf-99"?>\n' + _xml(100, _range(0, 0, 1)),
    lambda: b'<?xml version="1.0" encoding="utf-16"?>\n' + _xml(100, _range(0, 0, 1)),
    lambda: _xml(100, _range(0, 0, 1)).decode().encode("utf-16"),
    lambda: (
        b'<!DOCTYPE superblock [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
        + b"]>\n"
        + _xml(100, b"<x>&j;</x>\n")
    ),
    lambda: b'<!DOCTYPE superblock SYSTEM "/etc/passwd">\n' + _xml(100),
    lambda: _xml(100, b"<single_mapping " + b'a="1" ' * 50_000 + b"/>\n"),
    lambda: _xml(100, b'<single_mapping origin_block="' + b"9" * 10_000 + b'"/>\n'),
]


def any_xml(rng: Rng) -> bytes:
    if rng.integers(4) == 0:
        return pick(rng, HOSTILE_XML)()
    text = thin_dump(pick(rng, XML_CASES), "meta", "thin_dump", pick(rng, ["1.1.0", "0.9.0"]))
    return odd_text(rng, text) if rng.integers(3) else text


# LVM

LVM_TEXT = FIXTURES / "c01-lvm-thin-one-pv/vgcfgbackup.txt"
LVM_POOL = "vgthin/pool0"

HOSTILE_LVM: list[Callable[[], bytes]] = [
    lambda: b"a {\n" * 20_000,
    lambda: b"a = [" * 20_000,
    lambda: b"a = [" + b"1, " * 200_000 + b"]\n",
    lambda: b'a = "' + b"x" * 1_000_000,
    lambda: b"vg {\nphysical_volumes = 5\nlogical_volumes = []\n}\n",
    lambda: b"vg {\nlogical_volumes {\npool {\nsegment_count = 1000000000\n}\n}\n}\n",
    lambda: b"a = " + b"9" * 20_000,
]


def any_lvm_text(rng: Rng) -> bytes:
    if rng.integers(6) == 0:
        return pick(rng, HOSTILE_LVM)()
    return odd_text(rng, LVM_TEXT.read_bytes())


def lvm_disk(rng: Rng, metadata: bytes) -> bytes:
    """Return a disk with the pool `vg/pool` that has `metadata`; often something is odd."""
    extents = -(-len(metadata) // EXTENT)
    texts = []
    for seqno in (1, 2):
        text = group(
            volume("pool", thin_pool(32), letter="1"),
            volume("pool_tmeta", striped(0, extents, ("pv0", 0)), letter="2"),
            volume("pool_tdata", striped(0, 32, ("pv0", extents)), letter="3"),
            volume("root", thin(20, 1, 0), letter="4"),
            *[volume("past", thin(20, 2, 1), letter="5")] * (seqno == 1),
            seqno=seqno,
            extents=extents + 32,
        )
        texts.append(odd_text(rng, text) if rng.integers(2) else text)
    disk = physical_volume(texts, metadata.ljust(extents * EXTENT, b"\0") + bytes(32 * EXTENT))
    for _ in range(pick(rng, [0, 0, 1, 5])):
        at = int(rng.integers(pick(rng, [1024, 8192, 1 << 20])))
        disk[at] ^= 1 << int(rng.integers(8))
    return bytes(disk)


# Docker

ODD_JSON: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        2**63,
        2**64,
        10**400,
        "",
        "x",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        [],
        {},
    ),
    *(["x"] * 10_000, {"a": {"a": {}}}, "sha256:" + "0" * 64, "../../etc/passwd", "a" * 100_000),
]


def odd_json(rng: Rng, value: Any) -> Any:
    """Return the value with something in it replaced by something of another type."""
    if rng.integers(3) and isinstance(value, dict) and value:
        key = pick(rng, sorted(value))
        return value | {key: odd_json(rng, value[key])}
    if rng.integers(3) and isinstance(value, list) and value:
        at = int(rng.integers(len(value)))
        return [*value[:at], odd_json(rng, value[at]), *value[at + 1 :]]
    return pick(rng, ODD_JSON)


def odd_docker_root(rng: Rng, case: str, folder: Path) -> None:
    """Make a copy of a case's Docker root in which a few files are odd."""
    shutil.copytree(state_of(case), folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(pick(rng, [0, 1, 1, 2, 5, 30])):
        _spoil(rng, pick(rng, files))
    if rng.integers(10) == 0:
        records = folder / "devicemapper/metadata"
        for number in range(500):
            record = json.dumps({"device_id": number, "size": 1})
            (records / f"{number:064x}").write_text(record)


def odd_containerd_root(rng: Rng, folder: Path) -> None:
    """Make a root of containerd's whose files are odd: in what they say, or in their bytes."""
    files = trees()
    for _ in range(pick(rng, [0, 1, 3, 20])):
        name = pick(rng, sorted(files))
        files[name] = {key: _odd_tree(rng, each) for key, each in files[name].items()}
    made_root(folder, files)
    for name in files:
        data = bytearray((folder / name).read_bytes())
        for _ in range(pick(rng, [0, 0, 1, 5, 40])):
            data[int(rng.integers(128, len(data)))] = int(rng.integers(256))
        (folder / name).write_bytes(data[: pick(rng, [None, None, None, len(data) // 2])])


def _odd_tree(rng: Rng, tree: Any) -> Any:
    """Return a tree with a value or a bucket replaced, taken away, or in another's place."""
    if rng.integers(5) and isinstance(tree, dict) and tree:
        key = pick(rng, sorted(tree))
        return tree | {key: _odd_tree(rng, tree[key])}
    odd: list[Any] = [b"", b"\xff" * 12, b"k8s.io/1/x", "\x1b[2J", {}, {"id": b"\x01"}, tree]
    return pick(rng, odd)


def _spoil(rng: Rng, path: Path) -> None:
    if not path.is_file() or path.is_symlink():
        return
    content = path.read_bytes()
    path.unlink()
    match int(rng.integers(10)):
        case 0:
            return
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(path.name)
        case 3:
            os.mkfifo(path)
        case 4:
            path.write_bytes(b"[" * 100_000)
        case 5:
            path.write_bytes(odd_text(rng, content))
        case 6:
            path.with_name(path.name[:20] + "\x1b]0;x\x07").write_bytes(content)
        case _:
            try:
                value = json.loads(content)
            except (ValueError, RecursionError):
                path.write_bytes(odd_text(rng, content))
            else:
                path.write_text(json.dumps(odd_json(rng, value)))


# What a device-mapper table says

DM_TABLE = b"pool: 0 786432 thin-pool 254:2 254:3 128 0 0\nroot: 0 65536 thin 254:4 1\n"


def any_dm_table(rng: Rng) -> bytes:
    return odd_text(rng, DM_TABLE)


# Containers

PACK_HEADER = struct.Struct("<4Q")
LENGTH = struct.Struct("<Q")


@cache
def _pack_file(case: str) -> bytes:
    result = invoked("pack", unpacked(case))
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes


def _chunks(pack: bytes) -> list[bytes]:
    found, at = [], PACK_HEADER.size
    while at < len(pack):
        (length,) = LENGTH.unpack_from(pack, at)
        at += LENGTH.size
        found.append(zlib.decompress(pack[at : at + length]))
        at += length
    return found


PACKED = ["a02-empty-pool-min-metadata", "a20-transaction-ids", "a26-deleted-volumes"]

# Instructions: set, repeat, a run of 4095 times, a literal longer than a block, a shifted run.
WORDS_OF_THE_MACHINE = [0x08, 0x18, 0x5F, 0x6F, 0xFF, 0x7F, 0x8F, 0xA8, 0xBF, 0x9F, 0xF0]


def odd_pack_file(rng: Rng) -> bytes:
    """Return a pack file whose header, lengths, instructions or streams are odd."""
    pack = _pack_file(pick(rng, PACKED))
    header = list(PACK_HEADER.unpack_from(pack))
    chunks = _chunks(pack)
    for _ in range(pick(rng, [1, 1, 2, 4])):
        match int(rng.integers(7)):
            case 0:
                header[int(rng.integers(1, 4))] = pick(rng, NUMBERS[:-1])
            case 1 | 2 | 3:
                chunk = bytearray(pick(rng, chunks))
                at = int(rng.integers(len(chunk))) if rng.integers(2) else 8
                chunk[at] = pick(rng, [*WORDS_OF_THE_MACHINE, int(rng.integers(256))])
                chunks[int(rng.integers(len(chunks)))] = bytes(chunk)
            case 4:
                chunks.append(bytes(40 << 20))
            case 5:
                chunks += chunks[:1] * 3
            case _:
                chunks[0] = chunks[0][: int(rng.integers(len(chunks[0])))]
    streams = [zlib.compress(chunk, 1) for chunk in chunks]
    lengths = [len(stream) if rng.integers(20) else pick(rng, NUMBERS[:-1]) for stream in streams]
    made = PACK_HEADER.pack(*header) + b"".join(
        LENGTH.pack(length) + stream for length, stream in zip(lengths, streams, strict=True)
    )
    return odd_bytes(rng, made) if rng.integers(4) == 0 else made


def odd_bytes(rng: Rng, data: bytes) -> bytes:
    """Return data with bits flipped, a part missing, or more at its end."""
    changed = bytearray(data)
    match int(rng.integers(4)):
        case 0:
            changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        case 1:
            at = int(rng.integers(len(changed)))
            changed[at : at + 16] = rng.bytes(16)
        case 2:
            del changed[int(rng.integers(len(changed))) :]
        case _:
            changed += data if rng.integers(2) else rng.bytes(100)
    return bytes(changed)


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(data)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1, mtime=0),
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": _zstd,
}


def odd_compressed(rng: Rng, image: bytes) -> bytes:
    """Return the image compressed; often the stream is odd, or twice as long as it should be."""
    compress = pick(rng, list(COMPRESSORS.values()))
    match int(rng.integers(5)):
        case 0 | 1:
            return compress(image)
        case 2:
            return compress(image + bytes(40 << 20))
        case 3:
            return compress(image) + compress(image)
        case _:
            return odd_bytes(rng, compress(image))
