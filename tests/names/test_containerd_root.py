"""containerd's names of devices that Docker made: the same as Docker's, and what disagrees."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from tests.docker_cases import docker_words
from tests.names.called import names_in
from tests.names.containerd_roots import (
    CASE,
    NAMESPACES,
    POOL,
    SNAPSHOTTER,
    Trees,
    kept_root,
    made_root,
    trees,
)
from tests.names.docker_roots import root_of
from tests.names.made_bolt import varint
from thinmeta.analyse.layers import stack
from thinmeta.errors import InputError, NotThereError
from thinmeta.names.catalogue import NameKind, find
from thinmeta.names.containerd.containerd_root import read_containerd_root
from thinmeta.names.docker.root import DockerRoot
from thinmeta.units import DeviceId

DEVICES, SNAPSHOTS, NAMES = (
    f"{SNAPSHOTTER}/{POOL}.db",
    f"{SNAPSHOTTER}/metadata.db",
    str(NAMESPACES),
)
DEAD1 = "3de7c945f91bce9212a48e9ccbda553bb4dc0753889891c1296ce800e396088f"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept_root(tmp_path_factory.mktemp("containerd"))


def read(root: Path, files: Trees) -> DockerRoot:
    """Read a root with these files, and all that can be made of it."""
    made_root(root, files)
    found = read_containerd_root(root)
    names_in(found.catalogue())
    for device in found.devices.values():
        assert stack(found.devices, device)[-1] is device
    return found


def ids_of(root: DockerRoot, hash_: str | None) -> int | None:
    record = root.devices[hash_].record if hash_ else None
    return record.device_id if record else None


def test_it_tells_of_each_device_what_docker_tells(kept: Path) -> None:
    root, docker = read_containerd_root(kept), root_of(CASE)
    told = {each.record.device_id: each for each in root.devices.values() if each.record}
    expected = {each.record.device_id: each for each in docker.devices.values() if each.record}

    assert root.notes == ()
    assert set(told) == {
        device_id
        for device_id, each in expected.items()
        if each.kind not in (NameKind.BASE, NameKind.INIT)
    }
    for device_id, device in told.items():
        other = expected[device_id]
        assert device.kind is other.kind
        assert device.record is not None
        assert other.record is not None
        assert device.record.size == other.record.size
        assert device.instruction == other.instruction
        assert [image.image_id for image in device.images] == [
            image.image_id for image in other.images
        ]
        below = ids_of(docker, other.parent)
        while below is not None and below not in told:
            below = ids_of(docker, expected[DeviceId(below)].parent)
        assert ids_of(root, device.parent) == below
        assert device.is_first == (below is None)
        if device.layer is not None and other.layer is not None:
            assert device.layer.chain_id == other.layer.chain_id


@pytest.mark.parametrize(
    ("text", "device_id"),
    [
        ("docker.io/library/demo:latest", 8),
        ("demo", 8),
        ("demo2:latest", 17),
        ("prod/dead1-0/dead1", 25),
        (DEAD1, 25),
        (DEAD1[:8], 25),
        (f"{POOL}-snap-8", 25),
    ],
)
def test_images_and_containers_are_found(text: str, device_id: int, kept: Path) -> None:
    catalogue = read_containerd_root(kept).catalogue()

    assert find([catalogue], text).device_id == device_id


def test_the_commands_take_its_names(kept: Path, thinmeta: Thinmeta) -> None:
    words = ("-p", unpacked(CASE), "--containerd-root", kept)
    docker = ("-p", unpacked(CASE), *docker_words(CASE)[4:])

    listed = thinmeta("ls", "-f", "json", *words)
    names = {each["name"]: each["device_id"] for each in map(json.loads, listed.stdout.splitlines())
             if each.get("name")}  # fmt: skip
    assert (listed.exit_code, len(names)) == (0, 10)
    for name, device_id in names.items():
        by_name = thinmeta("layers", name, "-f", "json", *words)
        assert json.loads(by_name.stdout.splitlines()[-1])["device_id"] == device_id
    for name, other in (("prod/dead1-0/dead1", "dead1"), ("demo", "demo")):
        ours, theirs = (
            thinmeta("extract", name, "--size", "4K", *words),
            thinmeta("extract", other, "--size", "4K", *docker),
        )
        assert ours.stdout_bytes == theirs.stdout_bytes


def test_layers_is_drawn_without_base_and_init(kept: Path, thinmeta: Thinmeta) -> None:
    words = ("-p", unpacked(CASE), "--containerd-root", kept)

    lines = thinmeta("layers", *words).stdout.splitlines()

    devices = [int(line.split()[0]) for line in lines[1:11]]
    assert devices == [2, 4, 6, 8, 11, 14, 17, 29, 25, 31]
    assert lines[1].split("  ")[-1] == "Imported from -"
    assert "28.5 MiB  28.5 MiB" in lines[1]  # the lowest layer was created from nothing
    assert lines[12] == "The pool and containerd disagree:"


def test_files_of_layers_are_those_of_the_whole_volume(kept: Path, thinmeta: Thinmeta) -> None:
    """The devices are Docker's here, so what is in `rootfs` changed as `diff` has it."""
    words = ("-p", unpacked(CASE), "--data", unpacked(CASE, "data"))
    ours = thinmeta("layers", "--files", DEAD1, *words, "--containerd-root", kept)
    theirs = thinmeta("diff", "8", "25", "--files", *words)

    assert (ours.exit_code, theirs.exit_code) == (0, 0)
    last = ours.stdout.partition("container of docker.io/library/demo")[2].splitlines()[1:]
    of_rootfs = [line.strip().replace(" /rootfs/", " /") for line in last if "/rootfs/" in line]
    assert set(theirs.stdout.splitlines()) <= set(of_rootfs)
    assert len(theirs.stdout.splitlines()) > 3


@pytest.mark.parametrize("given", [".", "var/lib/containerd", "snapshotter", "pool"])
def test_it_is_found_around_and_below(given: str, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    root = tmp_path / "var/lib/containerd"
    root.symlink_to(kept)
    places = {"snapshotter": root / SNAPSHOTTER, "pool": root / DEVICES}

    found = read_containerd_root(places.get(given, tmp_path / given))

    assert find([found.catalogue()], "demo").device_id == 8
    assert found.notes == ()


def test_the_snapshotter_may_be_elsewhere(kept: Path, tmp_path: Path) -> None:
    """Its `root_path` is often /var/lib/containerd/devmapper."""
    shutil.copytree(kept, tmp_path / "root", symlinks=True)
    (tmp_path / "root" / SNAPSHOTTER).rename(tmp_path / "root/devmapper")

    found = read_containerd_root(tmp_path / "root")

    assert (found.notes, find([found.catalogue()], "demo").device_id) == ((), 8)


def test_several_pools_are_named(tmp_path: Path) -> None:
    files = trees() | {f"{SNAPSHOTTER}/other.db": {"devices": {}}}
    made_root(tmp_path, files)

    with pytest.raises(InputError) as raised:
        read_containerd_root(tmp_path)

    pools = f"{tmp_path / SNAPSHOTTER / POOL}.db, {tmp_path / SNAPSHOTTER / 'other'}.db"
    assert str(raised.value) == (
        f"{tmp_path}: has several pools; give the file of this one: {pools}"
    )
    assert find([read_containerd_root(tmp_path / DEVICES).catalogue()], "demo").device_id == 8


def test_what_is_not_containerds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not containerd's root: there is no POOL\.db"):
        read_containerd_root(tmp_path)
    with pytest.raises(InputError, match="is no directory and no file"):
        read_containerd_root(tmp_path / "nothing")


@pytest.mark.parametrize("missing", [DEVICES, SNAPSHOTS, NAMES])
def test_one_of_the_files_may_be_no_bbolt_file(missing: str, tmp_path: Path) -> None:
    made_root(tmp_path, trees())
    (tmp_path / missing).write_bytes(bytes(8192))

    found = read_containerd_root(tmp_path)

    assert f"{tmp_path / missing}: is no bbolt file: it has no sound meta page" in found.notes
    names = set(names_in(found.catalogue()).values())
    assert len(names) == (0 if missing == DEVICES else 10)
    if missing == SNAPSHOTS:
        assert f"{POOL}-snap-1" in names
    if missing == NAMES:
        assert find([found.catalogue()], DEAD1[:12]).device_id == 25
    if missing == DEVICES:
        with pytest.raises(NotThereError, match=f"{POOL}.db/{POOL}-snap-.* is missing"):
            find([found.catalogue()], "prod/dead1-0/dead1")


def first(files: Trees, name: str, *path: str) -> tuple[str, Any]:
    found = files[name]
    for each in path:
        found = found[each]
    key = min(found)
    return key, found[key]


def test_where_the_files_disagree_is_noted(tmp_path: Path) -> None:
    files = trees()
    devices = files[DEVICES]["devices"]
    gone, other, faulty, wrong = (f"{POOL}-snap-{each}" for each in (1, 2, 3, 4))
    snapshots = files[SNAPSHOTS]["v1"]["snapshots"]
    key = {each["id"]: key for key, each in snapshots.items()}
    number = json.loads(devices[other])["device_id"]
    devices["other-snap-9"] = devices.pop(gone)
    devices[faulty] = json.dumps(json.loads(devices[faulty]) | {"state": 13, "error": "it is busy"})
    devices[wrong] = json.dumps(json.loads(devices[wrong]) | {"parent_name": gone})
    files[DEVICES]["device_ids"][str(number)] = b"\x00"
    files[DEVICES]["device_ids"]["99"] = b"\x01"
    names = files[NAMES]["v1"]["k8s.io"]["snapshots"]["devmapper"]
    lost = next(name for name, each in names.items() if each["name"] == key[varint(5)])
    names[lost] = {"name": "k8s.io/77/gone"}

    found = read(tmp_path, files)

    assert set(found.notes) == {
        f"{POOL}.db: device {faulty} is marked as faulty",
        f"{POOL}.db: device {faulty}: it is busy",
        f"{POOL}.db: device {other}: its device id, {number}, is free in the list of ids",
        f"{POOL}.db: device id 99 is taken, and no device has it",
        f"{POOL}.db: device other-snap-9 has no snapshot in metadata.db",
        f"{POOL}.db: device {wrong} was created from {gone}, and metadata.db says from {faulty}",
        "meta.db: snapshot k8s.io/77/gone is not in metadata.db",
        f"metadata.db: snapshot {key[varint(5)]} is not in meta.db",
        f"image docker.io/library/base:latest: {gone} has no device id",
        "image 60ef4c28742a: its top layer, k8s.io/77/gone, is missing",
    }
    assert found.devices[wrong].parent == faulty


def test_a_device_that_is_being_removed_is_marked(tmp_path: Path) -> None:
    files = trees()
    devices = files[DEVICES]["devices"]
    name = f"{POOL}-snap-8"
    devices[name] = json.dumps(json.loads(devices[name]) | {"state": 12})

    assert read(tmp_path, files).devices[name].is_deleted


def test_a_container_is_found_by_its_snapshot_s_name_too(tmp_path: Path) -> None:
    files = trees()
    del files[NAMES]["v1"]["k8s.io"]["snapshots"]["devmapper"][DEAD1]

    found = read(tmp_path, files)

    assert find([found.catalogue()], "prod/dead1-0/dead1").device_id == 25
    assert [note for note in found.notes if note.endswith(f"{DEAD1} is not in meta.db")]


def test_a_container_whose_snapshot_is_gone_is_told(tmp_path: Path) -> None:
    files = trees()
    snapshots = files[SNAPSHOTS]["v1"]["snapshots"]
    key = next(each for each in snapshots if each.endswith(DEAD1))
    del snapshots[key]

    found = read(tmp_path, files)

    where = f"its snapshot {key} is not in metadata.db, so its device is not known"
    assert f"container {DEAD1}: {where}" in found.notes


def test_the_same_names_in_two_namespaces_are_told_apart(tmp_path: Path) -> None:
    files = trees()
    names = files[NAMES]["v1"]
    ours = names["k8s.io"]
    names["default"] = {
        "images": ours["images"],
        "content": ours["content"],
        "snapshots": {"devmapper": {}},
        "containers": {DEAD1: ours["containers"][DEAD1] | {"snapshotter": "overlayfs"}},
    }

    found = read(tmp_path, files)

    assert find([found.catalogue()], "k8s.io/docker.io/library/demo:latest").device_id == 8
    assert find([found.catalogue()], DEAD1).device_id == 25


def test_a_pod_s_containers_of_one_name_are_known_by_their_ids(tmp_path: Path) -> None:
    files = trees()
    containers = files[NAMES]["v1"]["k8s.io"]["containers"]
    labels = containers[DEAD1]["labels"]
    for each in containers.values():
        each["labels"] = labels

    found = read(tmp_path, files)

    names = set(names_in(found.catalogue()).values())
    assert {each[:12] for each in containers} <= names
    with pytest.raises(NotThereError, match="'prod/dead1-0/dead1' may be container "):
        find([found.catalogue()], "prod/dead1-0/dead1")


def test_a_pod_s_own_container_and_one_of_nerdctl_have_their_names(tmp_path: Path) -> None:
    files = trees()
    containers = files[NAMES]["v1"]["k8s.io"]["containers"]
    one, two, _ = sorted(containers)
    containers[one]["labels"].pop("io.kubernetes.container.name")
    containers[two]["labels"] = {"nerdctl/name": "web"}
    pod = containers[one]["labels"]["io.kubernetes.pod.name"]

    found = read(tmp_path, files)

    names = {each.container_id: each.name for each in found.devices.values() if each.container_id}
    assert (names[one], names[two]) == (f"prod/{pod}", "web")


@pytest.mark.parametrize("name", ["docker.io/library/demo2:latest", "25@720:722", "-p", "a\nb"])
def test_a_name_that_nerdctl_does_not_give_is_none(name: str, tmp_path: Path) -> None:
    """An image may bring the label, and call its containers as another image is called."""
    files = trees()
    containers = files[NAMES]["v1"]["k8s.io"]["containers"]
    one = min(containers)
    containers[one]["labels"] = {"nerdctl/name": name}

    found = read(tmp_path, files)

    names = {each.container_id: each.name for each in found.devices.values() if each.container_id}
    assert names[one] == one[:12]
    assert find([found.catalogue()], "docker.io/library/demo2:latest").device_id == 17


def test_an_image_of_several_platforms_is_on_each(tmp_path: Path) -> None:
    files = trees()
    ours = files[NAMES]["v1"]["k8s.io"]
    blobs = ours["content"]["blob"]
    images = ours["images"]
    demo, base = (
        images[f"docker.io/library/{name}:latest"]["target"]["digest"] for name in ("demo", "base")
    )
    refs = {f"containerd.io/gc.ref.content.m.{n}": each for n, each in enumerate((demo, base))}
    blobs["sha256:index"] = {"labels": refs | {"containerd.io/gc.ref.content.m.2": "sha256:index"}}
    images["docker.io/library/both:v1"] = {"target": {"digest": "sha256:index"}}

    found = read(tmp_path, files)

    tags = {
        number: [
            tag for image in found.devices[f"{POOL}-snap-{number}"].images for tag in image.tags
        ]
        for number in (1, 4)
    }
    assert all("docker.io/library/both:v1" in each for each in tags.values())


def test_snapshots_that_stand_on_themselves_are_cut_apart(tmp_path: Path) -> None:
    files = trees()
    snapshots = files[SNAPSHOTS]["v1"]["snapshots"]
    key = next(key for key, each in snapshots.items() if each["id"] == varint(1))
    snapshots[key]["parent"] = next(k for k, each in snapshots.items() if each["id"] == varint(4))

    found = read(tmp_path, files)

    assert any(note.endswith("stands on itself") for note in found.notes)


def test_two_roots_are_refused(kept: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("layers", "-p", "x", "--docker-root", kept, "--containerd-root", kept)

    assert result.exit_code == 2
    assert "--docker-root and --containerd-root: " in result.stderr


REAL = "containerd-devmapper-ext4-64k"


@pytest.fixture(scope="module")
def real() -> DockerRoot:
    return read_containerd_root(FIXTURES / REAL / "containerd")


def test_a_real_host_s_snapshots_are_those_that_ctr_listed(real: DockerRoot) -> None:
    expected = set()
    for namespace in ("default", "k8s.io"):
        _, *lines = (FIXTURES / REAL / f"ctr-{namespace}-snapshots.txt").read_text().splitlines()
        rows = [line.split() for line in lines]
        expected |= {(row[0].removeprefix("sha256:"), row[-1] == "Active") for row in rows}

    found = {
        (each.layer.chain_id if each.layer else each.container_id, each.layer is None)
        for each in real.devices.values()
    }

    assert real.notes == ()
    assert found == expected
    ids = {each.record.device_id for each in real.devices.values() if each.record}
    truth = (FIXTURES / REAL / "truth/ids.txt").read_text().splitlines()
    assert ids == {int(line.split()[0]) for line in truth}


@pytest.mark.parametrize(
    ("text", "device_id"),
    [("dead1", 13), ("runner", 15), ("shop/web-0/app", 14), ("4e1f7c2a", 14)],
)
def test_a_real_host_s_containers_are_found(text: str, device_id: int, real: DockerRoot) -> None:
    assert find([real.catalogue()], text).device_id == device_id


def test_an_image_of_two_namespaces_has_to_be_told_apart(real: DockerRoot) -> None:
    catalogue = real.catalogue()

    assert find([catalogue], "default/localhost/demo:latest").device_id == 4
    assert find([catalogue], "k8s.io/localhost/demo:latest").device_id == 10
    with pytest.raises(NotThereError, match="'localhost/demo:latest' may be image "):
        find([catalogue], "localhost/demo:latest")
