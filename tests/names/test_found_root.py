"""Roots are found around and below what was given, and named where there are several."""

from pathlib import Path

import pytest

from tests.names.docker_roots import state_of
from tests.names.other_homes import containers_storage
from thinmeta.errors import InputError
from thinmeta.names.catalogue import find
from thinmeta.names.docker.root import read_docker_root

DOCKER = Path("/").joinpath("var/lib/docker").relative_to("/")
PODMAN = Path("/").joinpath("var/lib/containers/storage").relative_to("/")


def a_root(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(state_of("docker-loop-lvm-xfs-64k"))
    return folder


def device_of_dead1(path: Path) -> int:
    return find([read_docker_root(path).catalogue()], "dead1").device_id


@pytest.mark.parametrize("given", [".", DOCKER, DOCKER / "100000.100000"], ids=str)
def test_the_root_of_mapped_users_is_found(given: str | Path, tmp_path: Path) -> None:
    root = a_root(tmp_path / DOCKER / "100000.100000")
    a_root(tmp_path / DOCKER / "100000.100000-old")

    assert device_of_dead1(tmp_path / given) == 25
    assert read_docker_root(tmp_path / given).root == root


def test_several_roots_of_mapped_users_are_named(tmp_path: Path) -> None:
    roots = [a_root(tmp_path / DOCKER / name) for name in ("1000.1000", "231072.231072")]

    with pytest.raises(InputError) as raised:
        read_docker_root(tmp_path / DOCKER)

    assert str(raised.value) == (
        f"{tmp_path / DOCKER}: holds several roots; give the one of this pool: "
        f"{roots[0]}, {roots[1]}"
    )


def test_a_root_beside_that_of_mapped_users_is_noted(tmp_path: Path) -> None:
    for folder in state_of("docker-loop-lvm-xfs-64k").iterdir():
        (tmp_path / DOCKER).mkdir(parents=True, exist_ok=True)
        (tmp_path / DOCKER / folder.name).symlink_to(folder)
    other = a_root(tmp_path / DOCKER / "100000.100000")

    docker = read_docker_root(tmp_path / DOCKER)

    assert docker.root == tmp_path / DOCKER
    what = "100000.100000 is a root, too, of a daemon that maps its users"
    assert docker.notes == (f"{what}: {other}",)


@pytest.mark.parametrize(
    "given", [".", "var/lib/containers", PODMAN, PODMAN / "devicemapper-images"], ids=str
)
def test_the_root_of_podman_is_found(given: str | Path, tmp_path: Path) -> None:
    (tmp_path / PODMAN).parent.mkdir(parents=True)
    containers_storage(tmp_path / PODMAN)

    assert device_of_dead1(tmp_path / given) == 25


def test_a_host_with_docker_and_podman_has_several(tmp_path: Path) -> None:
    a_root(tmp_path / DOCKER)
    a_root(tmp_path / PODMAN)

    with pytest.raises(InputError, match="holds several roots; give the one of this pool: "):
        read_docker_root(tmp_path)
