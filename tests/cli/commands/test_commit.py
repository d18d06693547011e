"""`thinmeta commit`: the image that the recorded `docker commit` made of the same container."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result

from tests.cases import FIXTURES
from tests.conftest import Thinmeta
from tests.docker_cases import ODD, docker_words, recorded_tar
from thinmeta.errors import ExitCode

XFS = "docker-loop-lvm-xfs-64k"
ODD_ID = "70e45e5d144bdf8f3f7ca89921068d0b7a502efd268bc053dc154f04e7398bf6"
FINISHED = "2026-11-26T02:31:48.279280973Z"
OF_THE_HOST = {"www-data", "backup", "nobody", "nogroup"}
"""Users of the machine that Docker ran on; no file of Docker's names them."""

PUT_BY_DOCKER = {
    *(".dockerenv", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/hosts"),
    *("etc/mtab", "etc/resolv.conf"),
}
"""What every container has below its own files, and its image has not."""


class ReadImage(NamedTuple):
    """An image that was written, or recorded."""

    tags: list[str]
    config: dict[str, Any]
    layers: list[bytes]


def read_image(content: bytes) -> ReadImage:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:

        def read(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

        (entry,) = json.loads(read("manifest.json"))
        layers = [read(name) for name in entry["Layers"]]
        return ReadImage(entry["RepoTags"], json.loads(read(entry["Config"])), layers)


@pytest.fixture(scope="module")
def recorded() -> ReadImage:
    return read_image(recorded_tar("docker-save-committed.tar"))


def entries(layer: bytes) -> list[tuple[Any, ...]]:
    """Return what a tar says of each file, without names of the host's users."""
    with tarfile.open(fileobj=io.BytesIO(layer), errors="surrogateescape") as archive:
        found = []
        for each in archive:
            names = ["" if name in OF_THE_HOST else name for name in (each.uname, each.gname)]
            content = archive.extractfile(each) if each.isreg() else None
            is_whiteout = Path(each.name).name.startswith(".wh.")
            found.append(
                (
                    *(each.name, each.type, each.mode, each.uid, each.gid, each.size, names),
                    *(each.linkname, each.devmajor, each.devminor, each.pax_headers),
                    None if is_whiteout else each.mtime,
                    content.read() if content else b"",
                )
            )
        return found


@pytest.fixture(scope="module")
def committed(thinmeta: Thinmeta) -> Result:
    words = ["--author", "author", "--message", "message"]
    return thinmeta("commit", "odd", "odd:committed", *words, *docker_words(ODD))


def test_the_image_is_the_one_that_docker_committed(recorded: ReadImage, committed: Result) -> None:
    assert committed.exit_code == ExitCode.DONE
    image = read_image(committed.stdout_bytes)
    assert image.tags == recorded.tags
    assert image.layers[:-1] == recorded.layers[:-1]
    assert entries(image.layers[-1]) == entries(recorded.layers[-1])
    assert len(image.layers[-1]) == len(recorded.layers[-1])
    diff_ids = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in image.layers]
    history = [*recorded.config["history"]]
    history[-1] = {**history[-1], "created": FINISHED}
    expected = {
        **recorded.config,
        "created": FINISHED,
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    del expected["docker_version"]
    assert image.config == expected


def test_what_was_removed_was_so_when_the_container_stopped(committed: Result) -> None:
    layer = read_image(committed.stdout_bytes).layers[-1]
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        times = {each.mtime for each in archive if "/.wh." in each.name}
    assert times == {1795660308}  # FINISHED


def test_owners_are_called_as_on_the_host(thinmeta: Thinmeta, tmp_path: Path) -> None:
    root = tmp_path / "var/lib/docker"
    shutil.copytree(FIXTURES / ODD / "docker-state", root)
    users = {33: "www-data", 34: "backup", 65534: "nobody"}
    groups = users | {65534: "nogroup"}
    (tmp_path / "etc").mkdir()
    for file, names, rest in (("passwd", users, "::/:/bin/sh"), ("group", groups, "")):
        lines = [
            f"{name}:x:{number}:{number if rest else ''}{rest}\n" for number, name in names.items()
        ]
        (tmp_path / "etc" / file).write_text("".join(lines))

    result = thinmeta("commit", "odd", "odd:committed", *docker_words(ODD, root))

    named = {}
    for content in (result.stdout_bytes, recorded_tar("docker-save-committed.tar")):
        layer = read_image(content).layers[-1]
        with tarfile.open(fileobj=io.BytesIO(layer), errors="surrogateescape") as archive:
            named[content] = {each.name: (each.uname, each.gname) for each in archive}
    ours, recorded = named.values()
    assert ours == recorded
    assert ours["odd-now/owner-65534"] == ("nobody", "nogroup")


def test_the_same_container_gives_the_same_file(
    committed: Result, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    words = ["--author", "author", "--message", "message", "-o", tmp_path / "image.tar"]
    thinmeta("commit", ODD_ID[:12], "odd:committed", *words, *docker_words(ODD))

    assert (tmp_path / "image.tar").read_bytes() == committed.stdout_bytes


def test_what_is_not_in_the_image_is_listed(committed: Result) -> None:
    volume = "da0578a1e02c49620bcd78cb991955542c2c66dcf5e1ba20760b4b770f451e5c"
    assert committed.stderr.splitlines() == [
        "Warning: what is in /bound is not in the image: /tmp/ctx of the host",
        f"Warning: what is in /data is not in the image: volume {volume}, which is "
        f"volumes/{volume}/_data in Docker's root",
        "Warning: 1 socket was left out: no tar has it",
    ]


def test_a_container_that_changed_nothing_adds_no_layer(
    recorded: ReadImage, thinmeta: Thinmeta
) -> None:
    result = thinmeta("commit", "never", "never:was", *docker_words(ODD))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    image = read_image(result.stdout_bytes)
    assert image.layers == recorded.layers[:3]
    created = "2026-11-26T02:31:49.64067559Z"  # that of the container, which never ran
    step = {"created": created, "created_by": "/bin/true", "empty_layer": True}
    assert image.config["history"] == [*recorded.config["history"][:-1], step]
    assert image.config["created"] == created
    assert image.config["rootfs"]["diff_ids"] == recorded.config["rootfs"]["diff_ids"][:3]
    assert image.config["config"]["Cmd"] == ["/bin/true"]


@pytest.mark.parametrize("container", ["dead1", "runner"])
def test_the_layer_has_what_docker_diff_listed(container: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("commit", container, "a", *docker_words(XFS))

    assert result.exit_code == ExitCode.DONE
    listed = {"A": set[str](), "C": set[str](), "D": set[str]()}
    for line in (FIXTURES / XFS / f"docker-diff-{container}.txt").read_text().splitlines():
        listed[line[0]].add(line[3:])
    layer = read_image(result.stdout_bytes).layers[-1]
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        names = set(archive.getnames())
    removed = {name.replace(".wh.", "") for name in names if ".wh." in name}
    assert removed == listed["D"]
    assert {name for name in names if ".wh." not in name} == listed["A"] | listed["C"]


@pytest.mark.parametrize(
    ("words", "exit_code", "why"),
    [
        (("odd:built", "a"), ExitCode.USAGE, "is an image: `thinmeta save odd:built` writes it"),
        (("odd-init", "a"), ExitCode.NOT_THERE, "odd-init is no container: Docker calls it init"),
        (("1", "a"), ExitCode.NOT_THERE, "1 is no container: Docker calls it base"),
        (("none", "a"), ExitCode.NOT_THERE, "no device is called 'none'"),
        (("odd", "A"), ExitCode.USAGE, "'A' is no name of an image"),
        (("odd", "a@sha256:" + 64 * "0"), ExitCode.USAGE, "is no name of an image"),
        (("odd", 64 * "0"), ExitCode.USAGE, "is no name of an image"),
    ],
)
def test_what_is_no_container_or_no_name(
    words: tuple[str, str], exit_code: int, why: str, thinmeta: Thinmeta
) -> None:
    result = thinmeta("commit", *words, *docker_words(ODD))

    assert result.exit_code == exit_code
    assert why in result.stderr.replace("\n", " ")
    assert result.stdout == ""


def test_a_pool_without_docker(thinmeta: Thinmeta) -> None:
    words = docker_words(ODD)

    result = thinmeta("commit", "8", "a", *words[: words.index("--docker-root")])

    assert result.exit_code == ExitCode.USAGE
    assert "--docker-root says where its files are" in result.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a Docker root of the test's own."""
    shutil.copytree(FIXTURES / ODD / "docker-state", tmp_path / "docker")
    return tmp_path / "docker"


@pytest.fixture
def lost_block(thinmeta: Thinmeta, tmp_path: Path) -> list[object]:
    """Return options by which the one block of a file of the container, sparse, is not there."""
    words = docker_words(ODD)
    xml = thinmeta("dump", *words[:2]).stdout
    block = '<single_mapping origin_block="2390" data_block="690" time="17"/>'
    assert block in xml
    (tmp_path / "dump.xml").write_text(
        xml.replace(block, block.replace("690", "40000")).replace('="32768"', '="50000"')
    )
    made = thinmeta("restore", "-i", tmp_path / "dump.xml", "-o", tmp_path / "meta.bin")
    assert made.exit_code == ExitCode.DONE
    return ["-p", tmp_path / "meta.bin", *words[2:]]


@pytest.mark.parametrize("is_salvaged", [False, True])
def test_a_file_of_which_a_part_is_lost(
    is_salvaged: bool, lost_block: list[object], recorded: ReadImage, thinmeta: Thinmeta
) -> None:
    salvage = ["--salvage"] if is_salvaged else []
    result = thinmeta("commit", "odd", "a", *lost_block, *salvage)

    assert result.exit_code == ExitCode.SALVAGED
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: /odd-now/sparse: ")
    assert "bytes 1499136..1503231 of the file" in last
    found = {each[0]: each for each in entries(read_image(result.stdout_bytes).layers[-1])}
    expected = {each[0]: each for each in entries(recorded.layers[-1])}
    whole = expected.pop("odd-now/sparse")
    if is_salvaged:
        assert "are zeros in the archive" in last
        sparse = found.pop("odd-now/sparse")
        assert sparse[:-1] == whole[:-1]
        zeros = whole[-1][:1499136] + bytes(4096) + whole[-1][1503232:]
        assert sparse[-1] == zeros != whole[-1]
    assert found == expected


def change_container(root: Path, **fields: Any) -> None:
    path = root / "containers" / ODD_ID / "config.v2.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("state", "created"),
    [
        ({"FinishedAt": "0001-01-01T00:00:00Z"}, "2446-01-01T00:00:00Z"),
        ({"FinishedAt": "soon"}, "2446-01-01T00:00:00Z"),
        ({"FinishedAt": FINISHED, "Running": True}, "2446-01-01T00:00:00Z"),
        (
            {"FinishedAt": FINISHED, "StartedAt": "2026-11-26T02:31:50Z"},
            "2446-01-01T00:00:00Z",
        ),
        (
            {"FinishedAt": FINISHED, "StartedAt": "2026-11-26T02:31:41.954776161Z"},
            FINISHED,
        ),
    ],
)
def test_a_container_that_was_not_stopped_is_as_old_as_its_newest_file(
    state: dict[str, Any], created: str, root: Path, thinmeta: Thinmeta
) -> None:
    change_container(root, State=state)

    result = thinmeta("commit", "odd", "a", *docker_words(ODD, root))

    assert read_image(result.stdout_bytes).config["created"] == created


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"Config": None}, "has no Config"),
        ({"Image": "sha256:" + 64 * "0"}, "the image of container odd, 0000000"),
        ({"Image": "../../etc"}, "odd, of which nobody says the id, is missing; thinmeta export"),
        ({"Config": {"A": float("nan")}}, "is out of shape"),
    ],
)
def test_what_docker_kept_is_not_complete(
    fields: dict[str, Any], why: str, root: Path, thinmeta: Thinmeta
) -> None:
    change_container(root, **fields)

    result = thinmeta("commit", "odd", "a", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.INPUT
    assert why in result.stderr


def test_a_container_of_which_only_its_mount_is_known(root: Path, thinmeta: Thinmeta) -> None:
    shutil.rmtree(root / "containers" / ODD_ID)

    result = thinmeta("commit", ODD_ID[:12], "a", *docker_words(ODD, root))

    assert result.exit_code == ExitCode.INPUT
    assert "was run with is missing: containers/*/config.v2.json" in result.stderr
    assert "thinmeta export writes its files" in result.stderr


@pytest.fixture(scope="module")
def written(committed: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "image.tar"
    path.write_bytes(committed.stdout_bytes)
    return path


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="there is no skopeo")
def test_skopeo_takes_it(written: Path, tmp_path: Path) -> None:
    source, copied = f"docker-archive:{written}:odd:committed", tmp_path / "copied"
    command = ["skopeo", "--insecure-policy", "copy", "-q", source, f"dir:{copied}"]
    subprocess.run(command, check=True)

    image = read_image(written.read_bytes())
    digest = json.loads((copied / "manifest.json").read_text())["config"]["digest"]
    assert json.loads((copied / digest.removeprefix("sha256:")).read_text()) == image.config


@pytest.mark.skipif(shutil.which("umoci") is None, reason="there is no umoci")
def test_umoci_makes_the_container_s_files_of_it(written: Path, tmp_path: Path) -> None:
    oci, bundle = tmp_path / "oci", tmp_path / "bundle"
    with tarfile.open(written) as archive:
        archive.extractall(oci, filter="data")
    command = ["umoci", "unpack", "--rootless", "--image", f"{oci}:committed", str(bundle)]
    subprocess.run(command, check=True, capture_output=True)

    with tarfile.open(fileobj=io.BytesIO(recorded_tar("docker-export-odd.tar"))) as archive:
        exported = {name for name in archive.getnames() if name not in PUT_BY_DOCKER}
    found = {str(each.relative_to(bundle / "rootfs")) for each in bundle.glob("rootfs/**/*")}
    assert found == exported
    assert "change/to-folder/inside" in found
    assert "change/removed" not in found
