"""Roots of Docker before 1.10: the same names as those of a newer root of the same devices."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.names.called import names_in
from tests.names.docker_roots import CASES, root_of, state_of
from tests.names.other_homes import METADATA, docker_1_9, told_of
from tests.names.test_docker_damaged import ANYTHING
from tests.properties import examples
from thinmeta.analyse.layers import stack
from thinmeta.names.catalogue import NameKind, find
from thinmeta.names.docker.root import read_docker_root

TOP = "f4641a59475094eac3f43d043dec5a4f72f4574dff84fcbe649996705dcb9202"  # demo:latest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return docker_1_9(tmp_path / "docker")


@pytest.mark.parametrize("case", CASES)
def test_it_tells_of_each_device_what_a_newer_root_tells(case: str, tmp_path: Path) -> None:
    docker = read_docker_root(docker_1_9(tmp_path / "docker", case))

    assert docker.notes == ()
    assert told_of(docker) == told_of(root_of(case))


def test_containers_and_tags_are_names_of_their_devices(root: Path) -> None:
    catalogue = read_docker_root(root).catalogue()

    for text, named in (("dead1", 25), ("/dead1", 25), ("demo", 8), ("demo2:latest", 17)):
        assert find([catalogue], text).device_id == named
    assert find([catalogue], "dead1-init").kind is NameKind.INIT
    assert find([catalogue], TOP[:8]).device_id == 8


def test_a_digest_is_a_name(root: Path) -> None:
    digest = f"sha256:{32 * 'ab'}"
    tags = {"Repositories": {"localhost:5000/web": {digest: TOP, "v1": TOP}}}
    (root / "repositories-devicemapper").write_text(json.dumps(tags))

    catalogue = read_docker_root(root).catalogue()

    assert find([catalogue], f"localhost:5000/web@{digest}").device_id == 8
    assert find([catalogue], "localhost:5000/web:v1").device_id == 8


@pytest.mark.parametrize("name", ["parent", "parent_id"])
def test_a_parent_may_stand_elsewhere(name: str, root: Path) -> None:
    config = root / "graph" / TOP / "json"
    fields = json.loads(config.read_text())
    parent = fields.pop("parent")
    if name == "parent":
        config.with_name("parent").write_text(parent)
    else:
        fields["parent_id"] = f"sha256:{parent}"
    config.write_text(json.dumps(fields))

    assert read_docker_root(root).devices[TOP].parent == parent


def test_what_is_missing_is_told(root: Path) -> None:
    (root / "graph" / TOP / "json").unlink()

    docker = read_docker_root(root)

    assert f"image demo:latest: what it is made of, {TOP[:12]}, is missing" in docker.notes
    assert docker.devices[TOP].kind is NameKind.LAYER
    assert find([docker.catalogue()], "dead1").device_id == 25


def test_a_root_that_was_brought_to_the_newer_layout_counts_as_that(root: Path) -> None:
    """Docker left `graph` where it was when it wrote `image` of it."""
    (root / "image").symlink_to(state_of(CASES[1]) / "image")

    docker = read_docker_root(root)

    assert [image.image_id for image in docker.devices[TOP].images] == [
        image.image_id for image in root_of(CASES[1]).devices[TOP].images
    ]


def test_a_circle_is_cut(root: Path) -> None:
    bottom = read_docker_root(root).device(2)
    assert bottom is not None
    (root / "graph" / bottom.hash / "parent").write_text(TOP)

    docker = read_docker_root(root)

    assert any(note.endswith("stands on itself") for note in docker.notes)
    for device in docker.devices.values():
        assert stack(docker.devices, device)[-1] is device


@examples(40)
@given(config=ANYTHING, tags=ANYTHING, container=ANYTHING, parent=st.binary(max_size=80))
def test_files_of_any_kind_are_read(
    config: Any, tags: Any, container: Any, parent: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("docker")
    some_id, other_id = 32 * "ab", 32 * "cd"
    for path, content in (
        (METADATA / some_id, {"device_id": 1}),
        (METADATA / other_id, {"device_id": 2}),
        (Path("graph", some_id, "json"), config),
        (Path("repositories-devicemapper"), tags),
        (Path("containers", other_id, "config.json"), container),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))
    (root / "graph" / some_id / "parent").write_bytes(parent)

    docker = read_docker_root(root)

    assert set(names_in(docker.catalogue())) == {1, 2}


def test_an_id_that_is_none_leads_nowhere(root: Path) -> None:
    (root / "graph/_tmp/..").mkdir(parents=True, exist_ok=True)
    (root / "graph/_tmp/json").write_text('{"id": "_tmp"}')

    assert read_docker_root(root).notes == ()
