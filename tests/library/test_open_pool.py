"""A pool opened from anything, its devices by name, and its answers against the recorded ones."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import thinmeta
from tests.cases import FIXTURES, image_bytes, packed_image, unpacked
from tests.golden import parsed_xml, thin_dump
from tests.made_images import Image, mappings
from thinmeta.library.entrance import Source

CASE = "a09-discards-and-deletes"
DOCKER = "docker-loop-lvm-xfs-64k"
OTHER_DOCKER = "docker-direct-lvm-ext4-512k"
LVM = "c01-lvm-thin-one-pv"


def runs_of(pool: thinmeta.OpenPool) -> dict[int, list[thinmeta.Run]]:
    return {each: list(device.runs().read()) for each, device in pool.devices.items()}


def expected() -> dict[int, list[thinmeta.Run]]:
    devices = parsed_xml(thin_dump(CASE, "meta", "thin_dump", "0.9.0")).devices
    return {device.device_id: device.runs for device in devices}


class Short(io.BytesIO):
    """Returns less than is asked for, as a raw file may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1000 if size is None or size < 0 else min(size, 1000))


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "packed", "file", "short"])
def test_a_pool_is_opened_from_anything(kind: str) -> None:
    path = packed_image(CASE)
    plain = image_bytes(CASE)
    file = Short(plain) if kind == "short" else io.BytesIO(plain)
    sources: dict[str, Source] = {
        "path": path,
        "text": str(path),
        "bytes": plain,
        "packed": path.read_bytes(),
    }

    with thinmeta.open_pool(sources.get(kind, file)) as pool:
        assert runs_of(pool) == expected()
    assert not file.closed


def test_a_member_of_an_archive_is_read_in_place(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("meta.bin", image_bytes(CASE))

    with (
        zipfile.ZipFile(tmp_path / "images.zip") as archive,
        archive.open("meta.bin") as member,
        thinmeta.open_pool(member) as pool,
    ):
        assert runs_of(pool) == expected()


def test_threads_read_one_file_object() -> None:
    with (
        thinmeta.open_pool(io.BytesIO(image_bytes(CASE))) as pool,
        ThreadPoolExecutor(8) as threads,
    ):
        found = list(threads.map(lambda _: runs_of(pool), range(16)))

    assert found == [expected()] * 16


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (io.BytesIO(), "BytesIO: "),
        (io.StringIO("text"), "no binary file"),
        (b"#!/bin/sh\n", "<bytes>: is text"),
        (object(), "no binary file"),
    ],
)
def test_what_is_no_metadata_is_an_input_error(source: object, what: str) -> None:
    with pytest.raises(thinmeta.InputError) as caught:
        thinmeta.open_pool(source)  # type: ignore[arg-type]

    assert what in str(caught.value)


def test_a_closed_pool_reads_no_more() -> None:
    pool = thinmeta.open_pool(io.BytesIO(image_bytes(CASE)))
    pool.close()

    with pytest.raises(thinmeta.DamagedMetadataError):
        list(pool.devices)


def test_a_device_is_found_as_the_command_line_does() -> None:
    root = FIXTURES / DOCKER / "docker-state"
    with thinmeta.open_pool(
        packed_image(DOCKER), names=thinmeta.NameSources(docker_root=root)
    ) as pool:
        by_name = pool.device("dead1")

        assert (by_name.device_id, by_name.name) == (25, "dead1")
        assert by_name.mapping_root == pool.device(25).mapping_root == pool.devices[25].mapping_root
        assert pool.device(f"root:{by_name.mapping_root}").device_id is None
        assert pool.layers("dead1")[0].docker.kind.value == "base"
        with pytest.raises(thinmeta.NotThereError, match="no device is called 'nobody'"):
            pool.device("nobody")
    with thinmeta.open_pool(packed_image(DOCKER)) as pool:
        with pytest.raises(thinmeta.NotThereError, match="nobody says which device"):
            pool.device("dead1")
        with pytest.raises(thinmeta.NotThereError, match="layers are Docker's"):
            pool.layers()


def test_data_of_another_pool_than_the_names_is_refused() -> None:
    root, data = FIXTURES / DOCKER / "docker-state", unpacked(DOCKER, "data")
    other = FIXTURES / OTHER_DOCKER / "docker-state"

    with thinmeta.open_pool(
        packed_image(DOCKER), names=thinmeta.NameSources(docker_root=other)
    ) as pool:
        device = pool.device(25)
        with pytest.raises(thinmeta.InputError, match="is the root of another pool"):
            device.open(data)
    with (
        thinmeta.open_pool(
            packed_image(DOCKER), names=thinmeta.NameSources(docker_root=root)
        ) as pool,
        pool.device(25).open(data) as volume,
    ):
        assert volume.size


def test_a_pool_on_disks_is_found_and_read_there() -> None:
    sources = thinmeta.NameSources(lvm=[unpacked(LVM, "pv")], lv="vgthin/pool0")

    with thinmeta.open_pool(names=sources) as pool, pool.device("vgthin/home").open() as volume:
        assert volume.size == pool.device("vgthin/home").size == 409600 * 512


def test_nobody_says_where_the_metadata_is() -> None:
    with pytest.raises(thinmeta.InputError, match="nobody says where the metadata is"):
        thinmeta.open_pool()


def test_runs_past_int64_are_damage() -> None:
    image = Image()
    root = image.leaf(
        [
            *mappings(5, [0]),
            *mappings(2**63 - 2, [1, 2]),
            *mappings(2**64 - 1, [9]),
        ]
    )
    content = image.pool({1: root}, {1: 4})

    with thinmeta.open_pool(content) as pool:
        pieces = pool.device(1).runs().chunks()
        assert [run.origin_begin for run in next(pieces)] == [5]
        with pytest.raises(thinmeta.DamagedMetadataError, match="2\\^63"):
            list(pieces)
    told: list[thinmeta.Damage] = []
    with thinmeta.open_pool(content, on_damage=told.append) as pool:
        assert len(pool.device(1).runs().read()) == 1
        assert [damage.first_key for damage in told] == [2**63 - 2, 2**64 - 1]
        told.clear()
        assert len(pool.usage()) == 0
        assert "2^63 or more" in told[-1].what
