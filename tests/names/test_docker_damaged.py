"""Roots that are incomplete, damaged or made to harm: nothing raises, the rest is named."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.names.called import names_in
from tests.names.docker_roots import CASE, copied, root_of
from tests.properties import examples
from thinmeta.analyse.layers import stack
from thinmeta.errors import InputError
from thinmeta.names.catalogue import NamedDevice, NameKind, find
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.files import DockerFiles
from thinmeta.names.docker.found_root import loop_files
from thinmeta.names.docker.root import DockerRoot, read_docker_root

METADATA = Path("devicemapper/metadata")
LAYERDB = Path("image/devicemapper/layerdb")
CONTENT = Path("image/devicemapper/imagedb/content/sha256")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path / "docker")


def read(root: Path) -> DockerRoot:
    """Read a root and all that can be made of it."""
    docker = read_docker_root(root)
    names_in(docker.catalogue())
    for device in docker.devices.values():
        assert stack(docker.devices, device)[-1] is device
    return docker


def needed(device: DockerDevice, named: NamedDevice) -> set[Path]:
    """Return the files without which a device cannot have this name."""
    files = {METADATA / device.hash}
    if device.container_id:
        files.add(LAYERDB / "mounts" / device.container_id / "mount-id")
        files.add(Path("containers", device.container_id, "config.v2.json"))
    if device.layer:
        files.add(LAYERDB / "sha256" / device.layer.chain_id / "cache-id")
        image = next(each for each in device.images if each.name == named.name)
        files.add(CONTENT / image.image_id)
        if image.tags:
            files.add(Path("image/devicemapper/repositories.json"))
    return files


NAMED = [
    (device, named)
    for device in root_of(CASE).devices.values()
    for named in root_of(CASE).catalogue().devices
    if device.record and device.record.device_id == named.device_id
    if device.kind is not NameKind.INIT
    if named.name != "base"
]


def damaged(path: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Take a file away, cut it short, or put something else in its place."""
    content = path.read_bytes()
    path.unlink()
    match draw(st.sampled_from(["gone", "cut", "junk", "folder", "loop", "json"])):
        case "cut":
            path.write_bytes(content[: draw(st.integers(0, max(0, len(content) - 1)))])
        case "junk":
            path.write_bytes(draw(st.binary(max_size=64)))
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
        case "json":
            path.write_text(json.dumps(draw(ANYTHING)))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "device_id", "size", "transaction_id", "deleted", "Devices", "rootfs",
                    "diff_ids", "history", "created_by", "Repositories", "demo", "Name", "State",
                    "Running", "ExitCode", "Image", "Config", "open_transaction_id", "",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@examples(40)
@given(data=st.data())
def test_whatever_is_damaged_the_rest_is_named(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = copied(tmp_path_factory.mktemp("docker") / "docker")
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    chosen = set(data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=25)))
    for path in chosen:
        damaged(root / path, data.draw)

    docker = read(root)

    assert docker.notes == docker.catalogue().notes
    for device, named in NAMED:
        if not needed(device, named) & chosen:
            assert find([docker.catalogue()], named.name).device_id == named.device_id
    shutil.rmtree(root)


@examples(40)
@given(config=ANYTHING, device=ANYTHING, container=ANYTHING, repositories=ANYTHING)
def test_json_of_any_kind_is_read(
    config: Any,
    device: Any,
    container: Any,
    repositories: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("docker")
    some_id = 32 * "ab"
    for path, content in (
        (METADATA / some_id, device),
        (METADATA / "transaction-metadata", device),
        (METADATA / "deviceset-metadata", device),
        (CONTENT / some_id, config),
        (Path("containers", some_id, "config.v2.json"), container),
        (Path("image/devicemapper/repositories.json"), repositories),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))

    read(root)

    shutil.rmtree(root)


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        (Path("containers"), {"base", "demo:latest"}),
        (Path("image"), {"base"}),
        (Path("devicemapper"), set()),
        (METADATA, set()),
        (LAYERDB, {"base"}),
        (LAYERDB / "mounts", {"base", "demo:latest"}),
        (CONTENT, {"base", "dead1"}),
    ],
    ids=lambda value: str(value) if isinstance(value, Path) else "",
)
def test_a_folder_may_be_missing(folder: Path, named: set[str], root: Path) -> None:
    shutil.rmtree(root / folder)

    docker = read(root)

    names = set(names_in(docker.catalogue()).values())
    assert docker.notes
    assert len(names) == (14 if named else 0)
    assert names & {"base", "demo:latest", "dead1"} == named


def test_without_layerdb_a_container_is_known_by_its_init(root: Path) -> None:
    shutil.rmtree(root / "image")

    named = find([read(root).catalogue()], "707b6db148a2")

    assert (named.kind, named.device_id, named.origin) == (NameKind.CONTAINER, 25, 24)


def test_what_docker_leaves_behind_is_no_device(root: Path) -> None:
    metadata = root / METADATA
    for name in (f"{32 * 'ab'}.migrated", ".tmp123", ".json"):
        (metadata / name).write_text('{"device_id": 999}')

    docker = read(root)

    assert 999 not in names_in(docker.catalogue())
    assert docker.notes == ()


def test_a_half_deleted_layer_is_named_and_marked(root: Path) -> None:
    chain = (
        root / LAYERDB / "sha256/4c3b13df39a479f113e575af5d9c45e795c24d9fd9ee7d721ef5f8907b84ed3e"
    )
    chain.rename(chain.with_name(f"{chain.name}-123456-removing"))

    named = find([read(root).catalogue()], "f4641a594750")

    assert (named.device_id, named.is_deleted) == (8, True)


def test_a_deleted_device_is_marked_and_an_old_record_is_not(root: Path) -> None:
    path = root / METADATA / "f4641a59475094eac3f43d043dec5a4f72f4574dff84fcbe649996705dcb9202"
    path.write_text('{"device_id":8,"size":1,"transaction_id":10,"initialized":false}')
    base = root / METADATA / "base"
    base.write_text('{"device_id":0,"deleted":true}')

    catalogue = read(root).catalogue()

    demo = find([catalogue], "demo")
    assert (demo.is_deleted, demo.size, demo.transaction_id) == (False, 1, 9)
    zero = next(each for each in catalogue.devices if each.device_id == 0)
    assert (zero.kind, zero.is_deleted) == (NameKind.BASE, True)
    assert (zero.size, zero.transaction_id) == (None, None)


def test_the_one_file_of_the_oldest_docker_is_read(tmp_path: Path) -> None:
    container_id = 32 * "cd"
    old = tmp_path / "devicemapper/devicemapper"
    old.mkdir(parents=True)
    devices = {
        "": {"device_id": 0, "size": 10, "transaction_id": 1, "initialized": True},
        container_id: {"device_id": 5, "size": 10, "transaction_id": 7, "initialized": False},
    }
    (old / "json").write_text(json.dumps({"Devices": devices}))
    (tmp_path / "containers" / container_id).mkdir(parents=True)
    config = {"Name": "/web", "State": {"Running": True, "Paused": True}}
    (tmp_path / "containers" / container_id / "config.json").write_text(json.dumps(config))

    docker = read(tmp_path)

    assert names_in(docker.catalogue()) == {0: "base", 5: "web"}
    container = docker.devices[container_id].container
    assert container is not None
    assert container.state == "paused"


def test_a_layer_of_buildkit_has_a_shorter_id(root: Path) -> None:
    short = "nb7wspnxafx9hcjd2k3lml1em"
    old = "f4641a59475094eac3f43d043dec5a4f72f4574dff84fcbe649996705dcb9202"
    chain = "4c3b13df39a479f113e575af5d9c45e795c24d9fd9ee7d721ef5f8907b84ed3e"
    (root / METADATA / old).rename(root / METADATA / short)
    (root / LAYERDB / "sha256" / chain / "cache-id").write_text(short)

    docker = read(root)

    assert docker.notes == ()
    assert find([docker.catalogue()], "demo").device_id == 8
    assert find([docker.catalogue()], short).device_id == 8


@pytest.mark.parametrize("device_id", [-1, 1 << 24, 1 << 70, "8", 8.0, True, None, [8]])
def test_a_device_id_that_is_none_is_noted(device_id: Any, root: Path) -> None:
    name = "f4641a59475094eac3f43d043dec5a4f72f4574dff84fcbe649996705dcb9202"
    (root / METADATA / name).write_text(json.dumps({"device_id": device_id}))

    docker = read(root)

    assert 8 not in names_in(docker.catalogue())
    assert f"{METADATA / name}: has no device id" in docker.notes
    assert f"image demo:latest: {name} has no device id" in docker.notes


def test_layers_that_stand_on_each_other_are_cut_apart(root: Path) -> None:
    layers = root / LAYERDB / "sha256"
    bottom = "61d60cbd497ae6aff4521b32eaee661767683cbe05eef63cd858186eb625c035"
    top = "4c3b13df39a479f113e575af5d9c45e795c24d9fd9ee7d721ef5f8907b84ed3e"
    (layers / bottom / "parent").write_text(f"sha256:{top}")

    docker = read(root)

    assert any(note.endswith("stands on itself") for note in docker.notes)
    assert find([docker.catalogue()], "demo").device_id == 8


def test_names_that_no_terminal_should_see_are_not_taken(root: Path) -> None:
    container = next((root / "containers").iterdir()) / "config.v2.json"
    container.write_text(json.dumps({"Name": "/\x1b[31mred", "Config": {"Image": "a\nb"}}))
    (root / METADATA / "\x1b[2J").write_text('{"device_id": 77}')
    bad = {"Repositories": {"x": {"x:\x1b[31m": "sha256:" + 32 * "ab"}}}
    (root / "image/devicemapper/repositories.json").write_text(json.dumps(bad))

    docker = read(root)

    shown = [*docker.notes, *(device.name for device in docker.catalogue().devices)]
    assert all(text.isprintable() for text in shown)


def hostile(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "deep":
            path.write_text('{"history":' + 200_000 * "[")
        case "long number":
            path.write_text('{"device_id":' + 100_000 * "9" + "}")
        case "device":
            path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["pipe", "huge", "deep", "long number", "device"])
@pytest.mark.parametrize("folder", [METADATA, CONTENT], ids=str)
def test_a_file_that_is_made_to_harm_is_noted(kind: str, folder: Path, root: Path) -> None:
    path = min(path for path in (root / folder).iterdir() if path.name != "base")
    hostile(path, kind)

    docker = read(root)

    assert any(note.startswith(f"{folder / path.name}: ") for note in docker.notes)
    assert find([docker.catalogue()], "/created1").device_id == 31


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_file_that_becomes_another_after_it_was_listed_is_noted(kind: str, root: Path) -> None:
    path = min((root / METADATA).iterdir())
    files = DockerFiles(root)
    with files.folder(path.parent) as folder:
        assert path.name in folder.names()
        hostile(path, kind)

        assert folder.text(path.name) is None

    assert files.notes == (f"{METADATA / path.name}: cannot be read: it is no regular file",)
    assert not files.read


def test_of_many_files_each_is_opened_and_read_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be a hundred thousand, and most of the time is the system's."""
    for number in range(1000):
        (root / METADATA / f"{number:064x}").write_text(f'{{"device_id": {number + 1000}}}')
    called: Counter[str] = Counter()
    for name in ("stat", "open", "fstat", "read"):
        monkeypatch.setattr(os, name, counted(getattr(os, name), name, called))

    assert len(read_docker_root(root).devices) > 1000

    assert called["stat"] < 1000
    assert all(1000 < called[name] < 1500 for name in ("open", "fstat", "read"))


def counted(function: Callable[..., Any], name: str, called: Counter[str]) -> Callable[..., Any]:
    def call(*args: Any, **others: Any) -> Any:
        called[name] += 1
        return function(*args, **others)

    return call


def test_a_link_to_a_file_is_followed(root: Path) -> None:
    path = min(path for path in (root / METADATA).iterdir() if path.name != "base")
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")

    docker = read(root)

    assert docker.notes == root_of(CASE).notes
    assert docker.devices == root_of(CASE).devices


def test_many_notes_are_counted(root: Path) -> None:
    for number in range(300):
        (root / METADATA / f"{number:064x}").write_text("{")

    assert read(root).notes[-1] == "and 200 more"


def test_a_root_is_found_from_around_it(root: Path, tmp_path: Path) -> None:
    host = tmp_path / "host/var/lib"
    host.mkdir(parents=True)
    (host / "docker").symlink_to(root)
    for path in (root, root.parent, tmp_path / "host", root / "devicemapper", root / "image"):
        assert find([read(path).catalogue()], "/dead1").device_id == 25
    assert find([read(root / METADATA).catalogue()], "/dead1").device_id == 25


def test_the_metadata_folder_alone_is_enough(root: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(root / METADATA, alone / "metadata")

    for path in (alone, alone / "metadata"):
        docker = read(path)

        assert len(names_in(docker.catalogue())) == 14
        assert docker.transaction is not None
        assert find([docker.catalogue()], "707b6db148a2").kind is NameKind.CONTAINER


def test_loop_files_are_found(root: Path) -> None:
    assert loop_files(root) is None
    folder = root / "devicemapper/devicemapper"
    folder.mkdir()
    (folder / "metadata").touch()
    assert loop_files(root) is None
    (folder / "data").touch()

    assert loop_files(root) == (folder / "metadata", folder / "data")


def test_what_is_not_dockers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(InputError, match=str(path)):
            read_docker_root(path)
