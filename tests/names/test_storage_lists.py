"""Roots of Podman and CRI-O: the same names as Docker's, of the same devices."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.cases import FIXTURES
from tests.names.called import names_in
from tests.names.docker_roots import CASES, root_of
from tests.names.other_homes import METADATA, containers_storage, told_of
from tests.names.test_docker_damaged import ANYTHING
from tests.properties import examples
from thinmeta.analyse.layers import stack
from thinmeta.names.catalogue import NameKind, find
from thinmeta.names.docker.root import read_docker_root

TOP = "f4641a59475094eac3f43d043dec5a4f72f4574dff84fcbe649996705dcb9202"  # demo:latest
LAYERS = "devicemapper-layers/layers.json"
IMAGES = "devicemapper-images/images.json"
CONTAINERS = "devicemapper-containers/containers.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return containers_storage(tmp_path / "storage")


def changed(path: Path, which: int, **fields: Any) -> None:
    listed = json.loads(path.read_text())
    listed[which] |= fields
    path.write_text(json.dumps(listed))


@pytest.mark.parametrize("case", CASES)
def test_it_tells_of_each_device_what_dockers_root_tells(case: str, tmp_path: Path) -> None:
    docker = read_docker_root(containers_storage(tmp_path / "storage", case))

    assert docker.notes == ()
    assert told_of(docker) == told_of(root_of(case), with_state=False)


def test_containers_and_tags_are_names_of_their_devices(root: Path) -> None:
    catalogue = read_docker_root(root).catalogue()

    for text, named in (("dead1", 25), ("demo", 8), ("demo2:latest", 17), (TOP[:8], 8)):
        assert find([catalogue], text).device_id == named
    assert find([catalogue], "dead1").kind is NameKind.CONTAINER


@pytest.mark.parametrize("folder", ["layers", "images", "containers"])
def test_a_list_may_be_missing(folder: str, root: Path) -> None:
    shutil.rmtree(root / f"devicemapper-{folder}")

    docker = read_docker_root(root)

    names = set(names_in(docker.catalogue()).values())
    assert len(names) == 14
    assert ("dead1" in names) == (folder != "containers")
    assert ("demo:latest" in names) == (folder == "containers")
    assert bool(docker.notes) == (folder == "layers")


def test_a_container_has_the_name_of_its_metadata_too(root: Path) -> None:
    changed(root / CONTAINERS, 0, names=[], metadata='{"name": "other", "image-name": "x"}')
    changed(root / CONTAINERS, 1, names=None, metadata="{")

    docker = read_docker_root(root)

    containers = {each.container.name: each.container for each in docker.devices.values()
                  if each.container}  # fmt: skip
    assert containers["other"].image_name == "x"
    ids = {each.container_id for each in containers.values()}
    assert any(name == container_id[:12] for name in containers for container_id in ids)


def test_an_image_may_be_on_several_devices_for_mapped_users(root: Path) -> None:
    other = next(
        each.hash for each in read_docker_root(root).devices.values() if each.name == "demo2:latest"
    )
    listed = json.loads((root / IMAGES).read_text())
    which = next(place for place, each in enumerate(listed) if each["names"] == ["demo:latest"])
    changed(root / IMAGES, which, **{"mapped-layers": [other, "../x", 5]})

    docker = read_docker_root(root)

    assert [tag for image in docker.devices[other].images for tag in image.tags].count(
        "demo:latest"
    )
    assert find([docker.catalogue()], "demo:latest").device_id == 8
    assert find([docker.catalogue()], "demo2:latest").device_id == 17


def test_a_layer_that_is_not_whole_is_marked(root: Path) -> None:
    changed(root / LAYERS, 3, flags={"incomplete": True})
    layer_id = json.loads((root / LAYERS).read_text())[3]["id"]

    assert read_docker_root(root).devices[layer_id].is_deleted


def test_what_is_lost_when_the_host_starts_anew_is_read(root: Path) -> None:
    (root / CONTAINERS).rename(root / "devicemapper-containers/volatile-containers.json")

    assert find([read_docker_root(root).catalogue()], "dead1").device_id == 25


@examples(40)
@given(layers=ANYTHING, images=ANYTHING, containers=ANYTHING)
def test_lists_of_any_kind_are_read(
    layers: Any, images: Any, containers: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("storage")
    some_id = 32 * "ab"
    (root / METADATA).mkdir(parents=True)
    (root / METADATA / some_id).write_text('{"device_id": 1}')
    own = {"id": some_id, "layer": some_id, "parent": some_id}
    for path, content in ((LAYERS, layers), (IMAGES, images), (CONTAINERS, containers)):
        (root / path).parent.mkdir()
        (root / path).write_text(json.dumps([content, own | {"names": content}, {"id": content}]))

    docker = read_docker_root(root)

    assert set(names_in(docker.catalogue())) == {1}
    for device in docker.devices.values():
        assert stack(docker.devices, device)[-1] is device


def test_no_list_is_noted(root: Path) -> None:
    (root / LAYERS).write_text("{}")
    (root / IMAGES).write_text('[{"id": "../../etc"}]')

    notes = read_docker_root(root).notes

    assert f"{LAYERS}: holds no JSON list" in notes
    assert f"{IMAGES}: names an image without an id" in notes


def test_layers_that_stand_on_each_other_cost_no_more_than_they_say(root: Path) -> None:
    nr_layers = 20_000
    layers = [{"id": f"{n:064x}", "parent": f"{n - 1:064x}"} for n in range(nr_layers)]
    (root / LAYERS).write_text(json.dumps(layers))
    images = [{"id": f"{n:064x}", "layer": f"{n:064x}"} for n in range(nr_layers)]
    (root / IMAGES).write_text(json.dumps(images))

    docker = read_docker_root(root)

    assert sum(len(image.chain_ids) for image in docker.images.values()) == nr_layers


PODMAN = "podman-direct-lvm-ext4-512k"


def test_a_real_podman_s_images_and_containers_are_those_that_it_listed() -> None:
    folder = FIXTURES / PODMAN
    docker = read_docker_root(folder / "storage")
    truth = [line.split() for line in (folder / "truth/ids.txt").read_text().splitlines()]
    images = (folder / "podman-images.txt").read_text().splitlines()[1:]
    containers = (folder / "podman-ps.txt").read_text().splitlines()[1:]

    assert docker.notes == ()
    assert {
        (each.record.device_id, each.record.size, each.hash)
        for each in docker.devices.values()
        if each.record
    } == {(int(device_id), int(size), name) for device_id, size, name in truth}
    for line in images:
        name, tag, _, image_id, *_ = line.split()
        found = docker.called(image_id.removeprefix("sha256:"))
        assert name == "<none>" or f"{name}:{tag}" in found.images[0].tags
    assert len(images) == 6
    for line in containers:
        container_id, image, *_, name = line.split()
        device = docker.called(name)
        assert device.container is not None
        assert (device.container_id, device.container.image_name) == (container_id, image)
        below = docker.devices[device.parent or ""]
        assert image in below.images[0].tags
    assert len(containers) == 3
