"""`thinmeta layers`: the stack of an image or container, and the forest of all."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cases import image_bytes, unpacked
from tests.cli.invocations import process
from tests.conftest import Thinmeta
from tests.names.called import names_in
from tests.names.docker_roots import CASE, CASES, copied, state_of, text_of
from tests.names.other_homes import docker_1_9
from thinmeta.model.pool import open_pool
from thinmeta.names.name_sources import NameSources

DESCRIBED = re.compile(r" *\d+  \S+ +([\d.]+ \w+)  +(-|[\d.]+ \w+)  ")
COUNT = re.compile(r"\b(\d+)(?: +(\d[\d.]* (?:bytes|[KMG]iB)))?")
DOCS = Path(__file__).resolve().parents[3] / "docs"


def options(case: str = CASE) -> tuple[str, ...]:
    return ("-p", str(unpacked(case)), "--docker-root", str(state_of(case)))


def text(thinmeta: Thinmeta, *args: str) -> str:
    result = thinmeta("layers", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def objects(thinmeta: Thinmeta, *args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(thinmeta, *args, "-f", "json").splitlines()]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["demo", "runner"])
def test_text_and_json_say_the_same(case: str, name: str, thinmeta: Thinmeta) -> None:
    title, empty, header, *lines = text(thinmeta, name, *options(case)).splitlines()
    layers = objects(thinmeta, name, *options(case))

    assert re.match(rf"(image|container) {name}(:latest)?: {len(layers)} devices, ", title)
    assert empty == ""
    assert header.split()[:2] == ["DEV", "LAYER"]
    assert len(lines) == 2 * len(layers)
    for line, layer in zip(lines[::2], layers, strict=True):
        assert line.split()[:2] == [str(layer["device_id"]), layer["name"]]
        words = ("added", "changed", "removed", "shared", "exclusive")
        described = DESCRIBED.match(line)
        assert described is not None
        assert described[1] == "512 MiB"
        assert (described[2] == "-") == (layer["files_bytes"] is None)
        counts = COUNT.findall(line[described.end() :])
        assert [int(blocks) for blocks, _ in counts] == [layer[f"{word}_blocks"] for word in words]
        assert [bool(size) for _, size in counts] == [blocks != "0" for blocks, _ in counts]
    assert all(len(line) <= 100 for line in (title, header, *lines))


@pytest.mark.parametrize("case", CASES)
def test_the_article_s_experiment(case: str, thinmeta: Thinmeta) -> None:
    """Three COPY instructions: each is a device of its own, on top of the last."""
    base, imported, *copies = objects(thinmeta, "demo", *options(case))

    assert (base["kind"], base["device_id"], base["parent_id"]) == ("base", 1, None)
    assert (imported["name"], imported["parent_id"]) == ("base:latest", 1)
    assert [(layer["device_id"], layer["parent_id"]) for layer in copies] == [
        (4, 2),
        (6, 4),
        (8, 6),
    ]
    assert all(" COPY file:" in layer["created_by"] for layer in copies)
    assert all(layer["files_bytes"] == 4 for layer in copies)
    assert all(layer["added_blocks"] + layer["changed_blocks"] > 0 for layer in copies)
    assert [layer["images"][0]["references"] for layer in copies] == [[], [], ["demo:latest"]]


@pytest.mark.parametrize("case", CASES)
def test_the_forest_has_every_device_once(case: str, thinmeta: Thinmeta) -> None:
    ids = {int(line.split()[0]) for line in text_of(case, "truth/ids.txt").splitlines()}

    header, *lines = text(thinmeta, *options(case)).splitlines()
    layers = objects(thinmeta, *options(case))

    assert header.split()[:3] == ["DEV", "NAME", "MAPPED"]
    assert sorted(int(line.split()[0]) for line in lines) == sorted(ids)
    assert [layer["device_id"] for layer in layers] == sorted(ids)
    assert all(len(line) <= 100 for line in lines)
    dead = [line for line in lines if ", dead: " in line]
    names = [re.findall(r"(\w+)  +[\d.]+ \wiB", line)[0] for line in dead]
    assert names == ["runner", "dead1"]
    assert [line.endswith(end) for line, end in zip(dead, ("137", "0"), strict=True)] == [True] * 2


@pytest.mark.parametrize("case", CASES)
def test_the_forest_is_drawn_as_docker_built_it(case: str, thinmeta: Thinmeta) -> None:
    """Read the drawing back: a name stands on the last one that is one column less deep."""
    lines = text(thinmeta, *options(case)).splitlines()[1:]
    layers = {layer["device_id"]: layer for layer in objects(thinmeta, *options(case))}
    above: dict[int, int] = {}  # the last device of each column
    for line in lines:
        device_id, column = int(line.split()[0]), len(line[5:]) - len(line[5:].lstrip(" │├└─"))
        begins = line[5 + column - 3] in "├└"
        below = column - 3 if begins else column
        assert layers[device_id]["parent_id"] == above.get(below)
        above = {place: each for place, each in above.items() if place < column} | {
            column: device_id
        }


@pytest.mark.parametrize(
    "name", ["25", "name:dead1", "/dead1", "dead1", "9beb3151ab42", "707b6db148a2", "name:9beb"]
)
def test_a_container_may_be_named_in_many_ways(name: str, thinmeta: Thinmeta) -> None:
    assert objects(thinmeta, name, *options())[-1]["device_id"] == 25


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "no device is called 'nobody' in "),
        ("99", "Docker knows no device 99"),
        (5000 * "9", "Docker knows no device 9999"),
    ],
)
def test_who_is_not_there_is_told(name: str, message: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("layers", name, *options())

    assert (result.exit_code, result.stdout) == (4, "")
    assert message in result.stderr


def test_a_root_of_docker_1_9_tells_the_same(tmp_path: Path, thinmeta: Thinmeta) -> None:
    other = ("-p", str(unpacked(CASE)), "--docker-root", str(docker_1_9(tmp_path / "docker")))
    made_otherwise = ("name", "hash", "chain_id", "diff_id", "images", "container")

    layers, expected = (
        [{key: each[key] for key in each if key not in made_otherwise} for each in shown]
        for shown in (objects(thinmeta, "dead1", *other), objects(thinmeta, "dead1", *options()))
    )

    assert layers[-1]["device_id"] == 25
    assert [layer | {"kind": None} for layer in layers] == [
        layer | {"kind": None} for layer in expected
    ]


def test_json_fields_are_documented(thinmeta: Thinmeta) -> None:
    page = (DOCS / "layers.md").read_text()
    other = ("-p", str(unpacked("a08-snapshots-of-snapshots")), "--docker-root")
    for shown in (
        objects(thinmeta, *options())[0],
        objects(thinmeta, *other, str(state_of(CASE)))[-1],
    ):
        section = page.partition(f"\n#### The {shown['type']} object\n")[2].partition("\n#")[0]
        rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
        assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(shown)


def test_a_stack_may_be_one_device(thinmeta: Thinmeta) -> None:
    title, _, _, numbers, what = text(thinmeta, "1", *options()).splitlines()

    assert title == "base: 1 device; blocks of 64 KiB"
    assert numbers.split()[:2] == ["1", "base"]
    assert what == "     an empty file system, xfs"


def test_disagreements_are_shown(thinmeta: Thinmeta) -> None:
    args = ("-p", str(unpacked("a08-snapshots-of-snapshots")), "--docker-root")

    _, _, told = text(thinmeta, *args, str(state_of(CASE))).partition(
        "\nThe pool and Docker disagree:\n"
    )
    of_one = text(thinmeta, "demo", *args, str(state_of(CASE)))
    found = [each for each in objects(thinmeta, *args, str(state_of(CASE))) if "what" in each]

    assert "  device 3 has no name\n" in told
    assert "  container dead1 (device 25) is not in the pool\n" in told
    assert told.splitlines() == [f"  {each['what']}" for each in found]
    assert {each["kind"] for each in found} == {"pool_transaction", "unnamed", "gone", "reused"}
    assert "image demo:latest (device 8) was created in transaction 9" in of_one
    assert "dead1" not in of_one


def test_notes_are_warnings(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = copied(tmp_path / "docker")
    (root / "devicemapper/metadata/base").write_text("{")
    args = ("demo", "-p", str(unpacked(CASE)), "--docker-root", str(root))

    loud, quiet = thinmeta("layers", *args), thinmeta("layers", *args, "-q")

    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert loud.stdout == quiet.stdout
    assert loud.stderr.startswith(f"Warning: {root}: devicemapper/metadata/base: is no JSON")
    assert quiet.stderr == ""
    assert loud.stdout.splitlines()[3].split()[:3] == ["2", "base:latest", "512"]


def test_the_pool_in_a_file_under_the_root_is_found(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(tmp_path / "docker")
    folder = root / "devicemapper/devicemapper"
    folder.mkdir()
    (folder / "metadata").write_bytes(image_bytes(CASE))
    (folder / "data").touch()
    expected = text(thinmeta, "demo", *options())

    assert text(thinmeta, "demo", "--docker-root", str(root)) == expected
    monkeypatch.setenv("THINMETA_DOCKER_ROOT", str(root))
    assert text(thinmeta, "demo") == expected
    assert text(thinmeta, "demo", "-p", str(unpacked(CASE))) == expected


def test_without_a_root_nothing_can_be_said(thinmeta: Thinmeta) -> None:
    result = thinmeta("layers", "-p", str(unpacked(CASE)))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--docker-root" in result.stderr


def test_what_is_no_root_is_refused(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("layers", "-p", str(unpacked(CASE)), "--docker-root", str(tmp_path))

    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{tmp_path}: is not Docker's root" in result.stderr


def test_lv_goes_with_lvm(thinmeta: Thinmeta) -> None:
    result = thinmeta("layers", *options(), "--lv", "vg/pool")

    assert result.exit_code == 2
    assert "--lv names a pool of --lvm" in result.stderr


def test_an_instruction_is_one_line_whatever_is_in_it(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = copied(tmp_path / "docker")
    content = root / "image/devicemapper/imagedb/content/sha256"
    for path in content.iterdir():
        config = json.loads(path.read_text())
        for step in config["history"]:
            step["created_by"] = "|1 A=b /bin/sh -c first\n\x1b[31msecond # buildkit"
        path.write_text(json.dumps(config))

    shown = text(thinmeta, "demo", "-p", str(unpacked(CASE)), "--docker-root", str(root))

    assert "\x1b" not in shown
    assert shown.count("     RUN first  [31msecond\n") == 4


def test_the_output_can_be_a_file(tmp_path: Path) -> None:
    ran = process("layers", "demo", *options(), "-o", str(tmp_path / "out"))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert (tmp_path / "out").read_text().startswith("image demo:latest: 5 devices, ")


def test_long_names_and_many_branches_cut_no_number(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = copied(tmp_path / "docker")
    repositories = root / "image/devicemapper/repositories.json"
    tag = "registry.example.com:5000/team/project/service:2023-11-01"
    repositories.write_text(repositories.read_text().replace('"demo:latest"', f'"{tag}"'))

    lines = text(thinmeta, "-p", str(unpacked(CASE)), "--docker-root", str(root)).splitlines()

    (line,) = [line for line in lines if line.startswith("  8  ")]
    assert "…" + tag[-39:] in line
    assert re.search(r" 66\.6 MiB +2\.4 MiB +2\.3 MiB  COPY file:\w+…", line)
    assert objects(thinmeta, tag, "-p", str(unpacked(CASE)), "--docker-root", str(root))


def test_of_a_live_pool_the_host_s_own_root_is_read(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = (copied(tmp_path / "docker"), tmp_path / "storage")
    monkeypatch.setattr("thinmeta.names.docker.live_root._ROOTS", roots)
    names = NameSources()
    with open_pool(unpacked(CASE)) as pool:
        assert names.catalogues(pool) == []

        monkeypatch.setattr(Path, "is_block_device", lambda _: True)
        monkeypatch.setattr("thinmeta.device.kernel.holders_of", lambda _: ["docker-pool"])

        (catalogue,) = names.catalogues(pool)
    assert names_in(catalogue)[25] == "dead1"


def test_what_removing_frees(thinmeta: Thinmeta) -> None:
    """As `ls --together` says of the devices that go; dead1 is 25 on 24, its -init."""
    names = ("containers", "dead1", "demo2:latest", "base:latest")
    words = [word for name in names for word in ("--together", name)]
    found = {each["name"]: each for each in objects(thinmeta, *words, *options())}
    by_devices = "14,17,28,29,11"
    assert found["dead1"]["device_ids"] == [25, 24]
    assert sorted(found["demo2:latest"]["device_ids"]) == sorted(map(int, by_devices.split(",")))
    assert 1 not in found["base:latest"]["device_ids"]
    for group, each in (("25,24", found["dead1"]), (by_devices, found["demo2:latest"])):
        result = thinmeta("ls", "--together", group, "-f", "json", *options())
        assert json.loads(result.stdout)["frees_blocks"] == each["frees_blocks"]
    assert text(thinmeta, *words, *options()).count("\n") == 1 + len(names)


def test_removing_goes_with_no_stack(thinmeta: Thinmeta) -> None:
    for words in (["demo"], ["demo", "--files"]):
        assert thinmeta("layers", *words, "--together", "dead1", *options()).exit_code == 2
    assert thinmeta("layers", "--together", "nobody", *options()).exit_code == 4
