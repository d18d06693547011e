"""Docker's names against what Docker itself said: inspect, history, ps and images."""

import re
from itertools import groupby

import pytest

from tests.names.called import names_in
from tests.names.docker_roots import CASES, columns_of, json_of, root_of, text_of
from thinmeta.analyse.layers import stack
from thinmeta.names.catalogue import NamedDevice, NameKind, find
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.imagedb import chain_ids
from thinmeta.units import DeviceId

each_case = pytest.mark.parametrize("case", CASES)


def found(case: str, text: str) -> NamedDevice:
    return find([root_of(case).catalogue()], text)


def device_of(case: str, text: str) -> DockerDevice:
    device = root_of(case).device(found(case, text).device_id)
    assert device is not None
    return device


@each_case
def test_each_hash_has_the_device_id_and_size_that_the_kernel_had(case: str) -> None:
    truth = [line.split() for line in text_of(case, "truth/ids.txt").splitlines()]

    devices = root_of(case).devices

    assert len(truth) == 14
    assert {
        (device.record.device_id, device.record.size, device.hash)
        for device in devices.values()
        if device.record
    } == {(int(device_id), int(size), name) for device_id, size, name in truth}
    assert root_of(case).notes == ()


@each_case
@pytest.mark.parametrize("kind", ["images", "containers"])
def test_each_id_and_name_leads_to_the_device_that_docker_inspect_shows(
    case: str, kind: str
) -> None:
    inspected = json_of(case, f"docker-inspect-{kind}.json")
    assert len(inspected) == {"images": 9, "containers": 3}[kind]
    for each in inspected:
        data = each["GraphDriver"]["Data"]
        names = each.get("RepoTags", []) or [each.get("Name")] * ("Name" in each)
        digest = each["Id"].removeprefix("sha256:")

        for text in (each["Id"], digest, digest[:12], digest[:6], *names):
            named = found(case, text)

            assert named.device_id == int(data["DeviceId"])
            assert named.size == int(data["DeviceSize"])
            assert named.kind is (NameKind.IMAGE if kind == "images" else NameKind.CONTAINER)
            hash_ = data["DeviceName"].rpartition("-")[2]
            assert device_of(case, text).hash == hash_
            assert found(case, hash_[:10]).device_id == named.device_id


@each_case
def test_layers_are_those_of_docker_inspect(case: str) -> None:
    for each in json_of(case, "docker-inspect-images.json"):
        devices = stack(root_of(case).devices, device_of(case, each["Id"]))
        base, *layers = devices

        assert base.kind is NameKind.BASE
        diff_ids = [f"sha256:{device.layer.diff_id}" for device in layers if device.layer]
        assert diff_ids == each["RootFS"]["Layers"]
        listed = [text.removeprefix("sha256:") for text in diff_ids]
        chain = chain_ids(listed)
        assert [device.layer.chain_id for device in layers if device.layer] == list(chain)


@each_case
@pytest.mark.parametrize("image", ["base", "demo", "demo2"])
def test_instructions_are_those_of_docker_history(case: str, image: str) -> None:
    history = columns_of(text_of(case, f"docker-history-{image}.txt"))
    _, *layers = stack(root_of(case).devices, device_of(case, f"{image}:latest"))
    # What made no layer shares the device of what precedes it, which stands below it.
    by_device = groupby(history, key=lambda row: found(case, row["IMAGE"]).device_id)
    made = [list(rows)[-1] for _, rows in by_device][::-1]

    assert len(layers) == len(made) == {"base": 1, "demo": 4, "demo2": 7}[image]
    for device, row in zip(layers, made, strict=True):
        assert device.instruction is not None
        assert device.layer is not None
        assert device.layer.size is not None
        assert (device.instruction.created_by or "").strip() == row["CREATED BY"]
        assert (device.instruction.comment or "") == row["COMMENT"]
        size = re.fullmatch(r"([\d.]+)(B|MB)", row["SIZE"])
        assert size is not None
        number, unit = size.groups()
        assert f"{device.layer.size / {'B': 1, 'MB': 1e6}[unit]:.3g}" == number


@each_case
def test_containers_are_those_of_docker_ps(case: str) -> None:
    rows = columns_of(text_of(case, "docker-ps.txt"))
    containers = {
        device.container.name: device
        for device in root_of(case).devices.values()
        if device.container and device.kind is NameKind.CONTAINER
    }

    assert containers.keys() == {row["NAMES"] for row in rows} == {"dead1", "runner", "created1"}
    for row in rows:
        device = containers[row["NAMES"]]
        assert device.container is not None
        assert device.container_id == device.container.container_id == row["CONTAINER ID"]
        assert device.container.image_name == row["IMAGE"]
        if row["NAMES"] == "runner":  # stopped with Docker, after docker ps
            assert (device.container.state, device.container.exit_code) == ("exited", 137)
        else:
            status = re.match(r"(\w+)(?: \((\d+)\))?", row["STATUS"])
            assert status is not None
            assert device.container.state == status[1].lower()
            assert device.container.exit_code == int(status[2] or 0)


@each_case
def test_images_are_those_of_docker_images(case: str) -> None:
    rows = columns_of(text_of(case, "docker-images.txt"))

    listed = {
        (image.image_id, tag)
        for device in root_of(case).devices.values()
        for image in device.images
        for tag in image.tags or ("<none>:<none>",)
    }

    assert listed == {
        (row["IMAGE ID"].removeprefix("sha256:"), f"{row['REPOSITORY']}:{row['TAG']}")
        for row in rows
    }


@each_case
def test_a_container_stands_on_its_image_and_is_never_its_init(case: str) -> None:
    for name, image in (("dead1", "demo"), ("runner", "demo2"), ("created1", "base:latest")):
        *_, top, init, own = stack(root_of(case).devices, device_of(case, name))

        assert own.kind is NameKind.CONTAINER
        assert (init.kind, init.hash) == (NameKind.INIT, f"{own.hash}-init")
        assert top == device_of(case, image)
        assert found(case, own.hash).device_id == found(case, own.hash[:8]).device_id
        assert found(case, own.hash).kind is NameKind.CONTAINER
        assert found(case, init.hash).kind is NameKind.INIT
        assert found(case, f"{name}-init").kind is NameKind.INIT


@each_case
def test_names_of_a_device_come_with_the_tag_first(case: str) -> None:
    names = names_in(root_of(case).catalogue())

    assert {device_id: names[DeviceId(device_id)] for device_id in (1, 2, 8, 17, 25, 29, 31)} == {
        1: "base",
        2: "base:latest",
        8: "demo:latest",
        17: "demo2:latest",
        25: "dead1",
        29: "runner",
        31: "created1",
    }


@each_case
def test_the_base_device_goes_before_an_image_of_that_name(case: str) -> None:
    assert found(case, "base").kind is NameKind.BASE
    assert found(case, "base:latest").kind is NameKind.IMAGE


@each_case
def test_what_the_pool_should_be_is_told(case: str) -> None:
    root = root_of(case)

    catalogue = root.catalogue()

    assert (catalogue.transaction_id, catalogue.changing) == (48, 31)
    assert root.file_system == {"docker-loop-lvm-xfs-64k": "xfs"}.get(case, "ext4")
    origins = {device.device_id: device.origin for device in catalogue.devices}
    assert origins[DeviceId(31)] == 30
    assert origins[DeviceId(30)] == 2
    assert origins[DeviceId(2)] == 1
    assert origins[DeviceId(1)] is None
