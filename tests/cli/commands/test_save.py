"""`thinmeta save`: the layers and configurations that the recorded `docker save` wrote."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from tests.docker_cases import ODD, docker_words, recorded_tar
from tests.names.other_homes import containers_storage, docker_1_9
from thinmeta.errors import ExitCode

BUILT = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
LAYERS = "image/devicemapper/layerdb/sha256"


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def images(content: bytes) -> dict[str, tuple[bytes, list[str]]]:
    """Return configuration and sha256 of the layers of each tag of a docker-archive."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in json.loads(read(archive, "manifest.json")):
            layers = [hashlib.sha256(read(archive, name)).hexdigest() for name in entry["Layers"]]
            for tag in entry["RepoTags"] or [""]:
                found[tag] = (read(archive, entry["Config"]), layers)
    return found


def test_images_are_those_that_docker_saved(thinmeta: Thinmeta) -> None:
    result = thinmeta("save", "odd:built", "odd:base", "odd:committed", *docker_words(ODD))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert images(result.stdout_bytes) == {
        **images(recorded_tar("docker-save.tar")),
        **images(recorded_tar("docker-save-committed.tar")),
    }


def test_images_of_containers_storage_are_the_same(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = containers_storage(tmp_path / "storage", ODD)

    result = thinmeta("save", "odd:built", "odd:base", *docker_words(ODD, root))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert images(result.stdout_bytes) == images(recorded_tar("docker-save.tar"))


def test_images_that_podman_built_are_proven(thinmeta: Thinmeta) -> None:
    case = "podman-direct-lvm-ext4-512k"
    inspected = json.loads((FIXTURES / case / "podman-inspect-demo2.json").read_text())[0]

    result = thinmeta("save", "localhost/demo2", *docker_words(case, FIXTURES / case / "storage"))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    config, layers = images(result.stdout_bytes)["localhost/demo2:latest"]
    assert hashlib.sha256(config).hexdigest() == inspected["Id"]
    assert [f"sha256:{each}" for each in layers] == inspected["RootFS"]["Layers"]


def test_images_of_docker_1_9_are_made_without_proof(tmp_path: Path, thinmeta: Thinmeta) -> None:
    words = ("save", "demo", *docker_words(BUILT[0], docker_1_9(tmp_path / "v1", BUILT[0])))

    refused, made = thinmeta(*words), thinmeta(*words, "--unproven")

    assert (refused.exit_code, refused.stdout) == (ExitCode.INPUT, "")
    assert "no hash of it was kept, as none was before Docker 1.10; --unproven" in refused.stderr
    assert made.exit_code == ExitCode.DONE
    ((config, layers),) = images(made.stdout_bytes).values()
    fields = json.loads(config)
    assert [f"sha256:{each}" for each in layers] == fields["rootfs"]["diff_ids"]
    made_by = [each.get("created_by", "") for each in fields["history"]]
    assert [" COPY file:" in each for each in made_by] == [False, True, True, True, False]
    assert len(layers) == 4


@pytest.mark.parametrize("case", BUILT)
@pytest.mark.parametrize("is_split", [True, False])
def test_every_layer_is_proven_by_its_hash(
    case: str, is_split: bool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    inspected = json.loads((FIXTURES / case / "docker-inspect-images.json").read_text())
    expected = {each["Id"].removeprefix("sha256:"): each["RootFS"]["Layers"] for each in inspected}
    root = tmp_path / "docker"
    shutil.copytree(FIXTURES / case / "docker-state", root)
    nr_splits = 7 if is_split else forget_splits(root)

    result = thinmeta("save", *expected, *docker_words(case, root))

    assert result.exit_code == ExitCode.DONE
    made = [line for line in result.stderr.splitlines() if line.endswith("is what its hash says")]
    assert len(made) == 7 - nr_splits == len(result.stderr.splitlines())
    found = {}
    with tarfile.open(fileobj=io.BytesIO(result.stdout_bytes)) as archive:
        for entry in json.loads(read(archive, "manifest.json")):
            assert entry["RepoTags"] is None
            layers = [hashlib.sha256(read(archive, name)).hexdigest() for name in entry["Layers"]]
            image_id = hashlib.sha256(read(archive, entry["Config"])).hexdigest()
            found[image_id] = [f"sha256:{each}" for each in layers]
    assert found == expected
    assert len({layer for layers in expected.values() for layer in layers}) == 7


def forget_splits(root: Path) -> int:
    """Remove the tar-splits of all layers but the lowest; return how many are left."""
    splits = [*root.glob(f"{LAYERS}/*/tar-split.json.gz")]
    built = [each for each in splits if (each.parent / "parent").exists()]
    for each in built:
        each.unlink()
    return len(splits) - len(built)


def test_the_same_blobs_are_an_oci_layout(thinmeta: Thinmeta) -> None:
    content = thinmeta("save", "odd", *docker_words(ODD)).stdout_bytes

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert json.loads(read(archive, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        index = json.loads(read(archive, "index.json"))
        named = {}
        for entry in index["manifests"]:
            _, layers = oci_image(archive, entry)
            named[entry["annotations"]["io.containerd.image.name"]] = len(layers)
    assert named == {
        "docker.io/library/odd:base": 1,
        "docker.io/library/odd:built": 3,
        "docker.io/library/odd:committed": 4,
    }


def oci_image(archive: tarfile.TarFile, entry: Any) -> tuple[Any, list[str]]:
    """Return the configuration of an image of an OCI layout, and the hashes of its layers."""
    manifest = json.loads(blob(archive, entry))
    config = json.loads(blob(archive, manifest["config"]))
    layers = [hashlib.sha256(blob(archive, each)).hexdigest() for each in manifest["layers"]]
    assert [f"sha256:{each}" for each in layers] == config["rootfs"]["diff_ids"]
    return config, layers


def blob(archive: tarfile.TarFile, descriptor: Any) -> bytes:
    content = read(archive, "blobs/" + descriptor["digest"].replace(":", "/"))
    assert len(content) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"]
    return content


needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="there is no skopeo")
needs_umoci = pytest.mark.skipif(shutil.which("umoci") is None, reason="there is no umoci")


def copied_by_skopeo(kind: str, saved: Path) -> str:
    """Return the id of odd:built, as skopeo copies it out of a docker-archive or an OCI layout."""
    source, tag = f"docker-archive:{saved}", "odd:built"
    if kind == "oci":
        source, tag = f"oci:{unpacked_layout(saved)}", "built"
    copied = saved.parent / "copied"
    command = ["skopeo", "--insecure-policy", "copy", "-q", f"{source}:{tag}", f"dir:{copied}"]
    subprocess.run(command, check=True)
    config = json.loads((copied / "manifest.json").read_text())["config"]["digest"]
    return str(config).removeprefix("sha256:")


def unpacked_layout(saved: Path) -> Path:
    with tarfile.open(saved) as archive:
        archive.extractall(saved.parent / "oci", filter="data")
    return saved.parent / "oci"


@needs_skopeo
@pytest.mark.parametrize("kind", ["docker-archive", "oci"])
def test_skopeo_takes_it(kind: str, thinmeta: Thinmeta, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    assert thinmeta("save", "odd:built", *docker_words(ODD), "-o", saved).exit_code == ExitCode.DONE

    assert copied_by_skopeo(kind, saved) == hashlib.sha256(built_config()).hexdigest()


def built_config() -> bytes:
    return images(recorded_tar("docker-save.tar"))["odd:built"][0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a Docker root of the test's own."""
    shutil.copytree(FIXTURES / ODD / "docker-state", tmp_path / "docker")
    return tmp_path / "docker"


def tar_split_of(root: Path, name: str) -> Path:
    """Return the tar-split of the layer that has a file of this name."""
    for path in sorted(root.glob(f"{LAYERS}/*/tar-split.json.gz")):
        if f'"{name}"'.encode() in gzip.decompress(path.read_bytes()):
            return path
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"added/acl"', b'"added/empty"', "/added/empty: has 0 bytes; in the layer it had 4"),
        (b'"added/acl"', b'"added/none"', "/added/none: is not there"),
        (b'"added/owner-34"', b'"added/owner-33"', "/added/owner-33: its contents are not those"),
        (b'"payload":"YWRkZWQv', b'"payload":"YWRkZWQw', "its tar-split is not"),
    ],
)
def test_a_layer_that_is_another_is_refused(
    old: bytes, new: bytes, why: str, root: Path, thinmeta: Thinmeta
) -> None:
    split = tar_split_of(root, "added/acl")
    text = gzip.decompress(split.read_bytes())
    assert old in text
    split.write_bytes(gzip.compress(text.replace(old, new, 1)))
    output = root.parent / "saved.tar"

    result = thinmeta("save", "odd:built", *docker_words(ODD, root), "-o", output)

    assert result.exit_code == ExitCode.INPUT
    assert "Error: odd:built: layer " in result.stderr
    assert why in result.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b'{"type":1}\n', mtime=0),  # each process names the tests alike
        gzip.compress(b"[" * 5000, mtime=0),
        gzip.compress(b"1", mtime=0),
    ],
)
def test_a_tar_split_that_is_none(content: bytes, root: Path, thinmeta: Thinmeta) -> None:
    tar_split_of(root, "added/acl").write_bytes(content)

    result = thinmeta("save", "odd:built", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.INPUT
    assert "tar-split" in result.stderr.splitlines()[-1]


def test_a_configuration_that_was_changed(root: Path, thinmeta: Thinmeta) -> None:
    image_id = hashlib.sha256(built_config()).hexdigest()
    path = root / "image/devicemapper/imagedb/content/sha256" / image_id
    path.write_bytes(path.read_bytes() + b" ")

    result = thinmeta("save", "odd:built", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.INPUT
    assert "is not what its name says: its sha256 is another" in result.stderr


@pytest.mark.parametrize(
    ("image", "exit_code", "why"),
    [
        ("odd", ExitCode.DONE, ""),
        ("never", ExitCode.USAGE, "never is a container: thinmeta commit makes an image of it"),
        ("1", ExitCode.NOT_THERE, "base is no image, but a base"),
        ("none:1", ExitCode.NOT_THERE, "no device is called 'none:1'"),
    ],
)
def test_what_is_no_image_is_said_to_be(
    image: str, exit_code: ExitCode, why: str, thinmeta: Thinmeta
) -> None:
    # The repository `odd` has the name of a container: its tags are images.
    result = thinmeta("save", image, *docker_words(ODD))

    assert result.exit_code == exit_code
    assert why in result.stderr


def add_image(root: Path, tag: str, config: dict[str, Any]) -> str:
    """Add an image to a Docker root; return its id."""
    folder = root / "image/devicemapper"
    content = json.dumps(config).encode()
    image_id = hashlib.sha256(content).hexdigest()
    (folder / "imagedb/content/sha256" / image_id).write_bytes(content)
    repositories = json.loads((folder / "repositories.json").read_bytes())
    repositories["Repositories"][tag.rpartition(":")[0]] = {tag: f"sha256:{image_id}"}
    (folder / "repositories.json").write_text(json.dumps(repositories))
    return image_id


def add_half(root: Path) -> dict[str, tuple[bytes, list[str]]]:
    """Add an image of the two lowest layers of odd:built, odd:half; return what it is."""
    config = json.loads(built_config())
    layers = [each.removeprefix("sha256:") for each in config["rootfs"]["diff_ids"][:2]]
    config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][:2]
    config["history"] = config["history"][:2]
    add_image(root, "odd:half", config)
    return {"odd:half": (json.dumps(config).encode(), layers)}


NO_LAYERS = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}


@pytest.mark.parametrize("diff_ids", [{}, {"diff_ids": None}, {"diff_ids": []}])
@pytest.mark.parametrize("by_tag", [False, True])
def test_an_image_without_layers_is_saved(
    diff_ids: dict[str, Any], by_tag: bool, root: Path, thinmeta: Thinmeta
) -> None:
    config = {**NO_LAYERS, "rootfs": {"type": "layers", **diff_ids}}
    image_id = add_image(root, "empty:1", config)

    result = thinmeta("save", "empty:1" if by_tag else image_id[:9], *docker_words(ODD, root))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert images(result.stdout_bytes) == {
        "empty:1" if by_tag else "": (json.dumps(config).encode(), [])
    }


@pytest.mark.parametrize("diff_ids", [["sha256:1"], [1], "../../etc", {"a": 1}, 7, [f"{'A' * 64}"]])
def test_hashes_of_layers_that_are_none(diff_ids: Any, root: Path, thinmeta: Thinmeta) -> None:
    add_image(root, "odd:hostile", {**NO_LAYERS, "rootfs": {"diff_ids": diff_ids}})

    result = thinmeta("save", "odd:hostile", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.INPUT
    assert "image odd:hostile: its list of layers cannot be believed" in result.stderr


def test_two_images_of_the_same_layers_are_not_taken_for_each_other(
    root: Path, thinmeta: Thinmeta
) -> None:
    config = json.loads(built_config())
    beginnings: dict[str, int] = {}
    number = 0
    while max(beginnings.values(), default=0) < 2:  # until two begin alike
        config["author"] = str(number)
        number += 1
        beginning = add_image(root, "odd:2", config)[:2]
        if not beginning.isdigit():
            beginnings[beginning] = beginnings.get(beginning, 0) + 1
    asked = max(beginnings, key=lambda each: beginnings[each])

    result = thinmeta("save", asked, *docker_words(ODD, root))

    assert result.exit_code == ExitCode.NOT_THERE
    assert f"{asked!r} may be image {asked}" in result.stderr


def test_hashes_are_those_of_the_configuration(root: Path, thinmeta: Thinmeta) -> None:
    for path in root.glob(f"{LAYERS}/*/diff"):
        path.write_text(f"sha256:{'0' * 64}")

    result = thinmeta("save", "odd:built", *docker_words(ODD, root))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")


UNTOUCHED = "odd:base"


@pytest.fixture
def without_splits(root: Path) -> Path:
    """Return a Docker root without tar-splits of built layers."""
    forget_splits(root)
    return root


def test_a_layer_that_cannot_be_proven_is_refused(without_splits: Path, thinmeta: Thinmeta) -> None:
    # Its files belong to users who had names on the host that built it, and have none in it.
    result = thinmeta("save", "odd:built", *docker_words(ODD, without_splits))

    assert result.exit_code == ExitCode.INPUT
    last = result.stderr.splitlines()[-1]
    assert "tar-split.json.gz: cannot be read: No such file or directory; made of its " in last
    assert last.endswith(
        "is not what its hash says; --unproven writes it as another layer, of an image with "
        "another id"
    )


def test_a_layer_that_cannot_be_proven_is_written_as_another(
    without_splits: Path, thinmeta: Thinmeta
) -> None:
    words = ("save", "odd:built", UNTOUCHED, *docker_words(ODD, without_splits), "--unproven")

    result = thinmeta(*words)

    assert result.exit_code == ExitCode.DONE
    recorded = images(recorded_tar("docker-save.tar"))
    config, layers = images(result.stdout_bytes)["odd:built"]
    old = json.loads(recorded["odd:built"][0])
    new = json.loads(config)
    old_layers = recorded["odd:built"][1]
    assert [layers[0], layers[2]] == [old_layers[0], old_layers[2]]
    assert layers[1] != old_layers[1]
    word = new["history"].pop()
    old_id = hashlib.sha256(recorded["odd:built"][0]).hexdigest()
    new_id = hashlib.sha256(config).hexdigest()
    assert word == {
        "created": old["created"],
        "created_by": "thinmeta save --unproven",
        "comment": f"not proven, of image {old_id}: layer {old_layers[1]} is now {layers[1]}",
        "empty_layer": True,
    }
    old["rootfs"]["diff_ids"] = [f"sha256:{each}" for each in layers]
    assert new == old
    assert f"odd:built: is written as image {new_id}, no longer {old_id}\n" in result.stderr
    with tarfile.open(fileobj=io.BytesIO(result.stdout_bytes)) as archive:
        for entry in json.loads(read(archive, "index.json"))["manifests"]:
            oci_image(archive, entry)
    assert images(result.stdout_bytes)[UNTOUCHED] == recorded[UNTOUCHED]
    assert thinmeta(*words).stdout_bytes == result.stdout_bytes


def layer_members(content: bytes, tag: str, place: int) -> dict[str, tuple[Any, ...]]:
    """Return what is said of each file of a layer, but for the names of owners."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        entries = json.loads(read(archive, "manifest.json"))
        name = next(each for each in entries if tag in each["RepoTags"])["Layers"][place]
        layer = io.BytesIO(read(archive, name))
    with tarfile.open(fileobj=layer, errors="surrogateescape") as archive:
        return {
            each.name: (
                *(each.type, each.mode, each.uid, each.gid, each.size, each.linkname),
                *(each.devmajor, each.devminor, dict(each.pax_headers)),
                archive.extractfile(each).read() if each.isreg() else b"",  # type: ignore[union-attr]
                None if "/.wh." in each.name else each.mtime,
            )
            for each in archive
        }


def test_another_layer_has_the_same_files(without_splits: Path, thinmeta: Thinmeta) -> None:
    words = docker_words(ODD, without_splits)

    content = thinmeta("save", "odd:built", *words, "--unproven").stdout_bytes

    recorded = layer_members(recorded_tar("docker-save.tar"), "odd:built", 1)
    assert layer_members(content, "odd:built", 1) == recorded
    assert len(recorded) > 30


@needs_skopeo
@pytest.mark.parametrize("kind", ["docker-archive", "oci"])
def test_skopeo_takes_what_is_not_proven(
    kind: str, without_splits: Path, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.tar"
    words = docker_words(ODD, without_splits)
    result = thinmeta("save", "odd:built", *words, "--unproven", "-o", saved)
    assert result.exit_code == ExitCode.DONE

    assert f"is written as image {copied_by_skopeo(kind, saved)}," in result.stderr


@needs_umoci
def test_umoci_unpacks_what_is_not_proven(
    without_splits: Path, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.tar"
    words = docker_words(ODD, without_splits)
    thinmeta("save", "odd:built", *words, "--unproven", "-o", saved)
    image = f"{unpacked_layout(saved)}:built"

    command = ["umoci", "unpack", "--rootless", "--image", image, str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True)

    added = tmp_path / "bundle/rootfs/added"
    assert (added / "by-run").read_text() == "by-run\n"
    assert not (added / "acl-folder").exists()


@pytest.mark.parametrize(
    ("saved", "place", "is_pulled", "why"),
    [
        ("docker-save.tar", 0, False, "no hope if another host made it"),
        ("docker-save.tar", 1, True, "no hope if another host made it"),
        # Times before 1970 are lost, as Docker does not unpack them.
        ("docker-save-committed.tar", 3, False, "--search-seconds N looks longer"),
    ],
)
def test_whether_there_is_hope_is_said(
    *, saved: str, place: int, is_pulled: bool, why: str, root: Path, thinmeta: Thinmeta
) -> None:
    recorded = images(recorded_tar(saved))
    tag = max(recorded, key=lambda each: len(recorded[each][1]))
    layers = recorded[tag][1]
    for path in root.glob(f"{LAYERS}/*/diff"):
        if path.read_text() == f"sha256:{layers[place]}":
            (path.parent / "tar-split.json.gz").unlink()
    if is_pulled:
        folder = root / "image/devicemapper/distribution/v2metadata-by-diffid/sha256"
        folder.mkdir(parents=True)
        (folder / layers[1]).write_text("[]")

    result = thinmeta("save", tag, *docker_words(ODD, root), "--search-seconds", "0")

    assert result.exit_code == ExitCode.INPUT
    assert why in result.stderr.splitlines()[-1]


def test_wrong_contents_are_named_and_written_as_they_are(root: Path, thinmeta: Thinmeta) -> None:
    split = tar_split_of(root, "added/acl")
    text = gzip.decompress(split.read_bytes())
    split.write_bytes(gzip.compress(text.replace(b'"added/owner-34"', b'"added/owner-33"', 1)))

    result = thinmeta("save", "odd:built", *docker_words(ODD, root), "--unproven")

    assert result.exit_code == ExitCode.SALVAGED
    last = result.stderr.splitlines()[-1]
    assert "/added/owner-33: its contents are not those that the layer had; it is written" in last
    recorded = layer_members(recorded_tar("docker-save.tar"), "odd:built", 1)
    assert layer_members(result.stdout_bytes, "odd:built", 1) == recorded


def test_a_tar_split_of_another_layer_is_passed_over(root: Path, thinmeta: Thinmeta) -> None:
    other = tar_split_of(root, "added/acl").read_bytes()
    tar_split_of(root, "added/by-run").write_bytes(other)
    words = ("save", "odd:built", *docker_words(ODD, root))

    refused, written = thinmeta(*words), thinmeta(*words, "--unproven")

    assert refused.exit_code == ExitCode.INPUT
    assert refused.stderr.splitlines()[-1].endswith("of an image with another id")
    assert written.exit_code == ExitCode.DONE
    assert "made of its files alone it is what its hash says\n" in written.stderr
    assert images(written.stdout_bytes)["odd:built"][0] == built_config()


BLOCK_OF_INODES = 720
"""The data block with most inodes that the second layer added; what is past it is of later ones."""


def test_what_is_lost_is_left_out_and_listed(
    root: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    whole = add_half(root)
    data = tmp_path / "data"
    with unpacked(ODD, "data").open("rb") as file:
        data.write_bytes(file.read(BLOCK_OF_INODES * 65536))
    words = ("save", "odd:half", *docker_words(ODD, root), "--data", data)
    assert images(thinmeta("save", "odd:half", *docker_words(ODD, root)).stdout_bytes) == whole

    refused, written = thinmeta(*words), thinmeta(*words, "--unproven")

    lost = "data block 720, byte 47185920: is past the end of the data device"
    assert refused.exit_code == ExitCode.INPUT
    assert f"/added/bits: inode 115: {data}: {lost}" in refused.stderr
    assert written.exit_code == ExitCode.SALVAGED
    recorded = layer_members(recorded_tar("docker-save.tar"), "odd:built", 1)
    found = layer_members(written.stdout_bytes, "odd:half", 1)
    assert found == {name: recorded[name] for name in found}
    assert "added" in found
    said = written.stderr.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    for name in {*recorded} - {*found}:
        if name.isascii() and name.isprintable() and Path(name).parent == Path("added"):
            assert f"layer {whole['odd:half'][1][1][:12]} (device 4): /{name}: " in said

    told = thinmeta(*words, "--unproven", "-f", "json")

    objects = [json.loads(line) for line in told.stderr.splitlines()]
    problems = {each["path"]: each for each in objects if each["type"] == "problem"}
    assert problems["/added/bits"]["outcome"] == "left_out"
    assert lost in problems["/added/bits"]["why"]
    assert "(device 4)" in problems["/added/bits"]["layer"]
    assert len(problems) > len({*recorded} - {*found}) // 2
    warnings = [each for each in objects if each["type"] == "warning"]
    assert len(warnings) < len(problems)


def change_record(root: Path, of: int, **fields: int) -> None:
    """Change what Docker wrote down of a device."""
    for path in (root / "devicemapper/metadata").iterdir():
        record = json.loads(path.read_bytes())
        if record.get("device_id") == of:
            path.write_text(json.dumps({**record, **fields}))
            return
    raise AssertionError(of)


def test_what_is_not_proven_is_of_no_other_device(root: Path, thinmeta: Thinmeta) -> None:
    whole = add_half(root)
    change_record(root, 4, transaction_id=99)
    words = ("save", "odd:half", *docker_words(ODD, root), "--unproven")

    proven = thinmeta(*words)
    forget_splits(root)
    refused = thinmeta(*words)

    assert images(proven.stdout_bytes) == whole
    assert refused.exit_code == ExitCode.NOT_THERE
    assert "was created in transaction 3, so it may be another" in refused.stderr


def test_a_device_that_is_none_of_a_layer(root: Path, thinmeta: Thinmeta) -> None:
    add_half(root)
    change_record(root, 4, device_id=1)

    for option in ([], ["--unproven"]):
        result = thinmeta("save", "odd:half", *docker_words(ODD, root), *option)

        assert result.exit_code == ExitCode.INPUT
        assert "device 1: has no rootfs, as Docker's have" in result.stderr.splitlines()[-1]


PASSWD = """root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nwww-data:x:33:\nbackup:x:34:\nnogroup:x:65534:\n"


def test_owners_have_the_names_that_they_have_on_the_host(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    root = tmp_path / "host/var/lib/docker"
    shutil.copytree(FIXTURES / ODD / "docker-state", root)
    forget_splits(root)
    etc = tmp_path / "host/etc"
    etc.mkdir()
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)

    result = thinmeta("save", "odd:built", "odd:base", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.DONE
    assert images(result.stdout_bytes) == images(recorded_tar("docker-save.tar"))
