"""A tree on the host: what is hostile, on the volume or at the destination, harms one file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.files.made_trees import BLOCK, MemoryFiles, MemorySource
from thinmeta.copies.tree_copy import CopyRules, TreeCopy
from thinmeta.device.inputs import Inputs
from thinmeta.errors import OutputError
from thinmeta.files.file_system import Entry, FileError
from thinmeta.files.file_tree import FoundFile
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.part_of_source import pieces_of
from thinmeta.volume.byte_ranges import NO_RANGES

SOURCE = MemorySource(
    bytes(range(1, 129)) * 40, lost_ranges=[(1024, 1536)], unreadable=[(2048, 2560)]
)

PLAIN = CopyRules()


@pytest.fixture
def files() -> MemoryFiles:
    made = MemoryFiles()
    made.directory()
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


class Copied:
    """What a copy told."""

    def __init__(self) -> None:
        self.errors: dict[bytes, str] = {}
        self.refused: list[str] = []
        self.written: list[int] = []


def copy(
    files: MemoryFiles, out: Path, rules: CopyRules = PLAIN, inputs: Inputs | None = None
) -> Copied:
    told = Copied()

    def on_error(path: bytes, error: FileError) -> None:
        told.errors[path] = str(error)

    base = os.open(out, os.O_PATH)
    made = TreeCopy(
        OpenedFiles(files, SOURCE, 0, None, NO_RANGES, pieces_of(SOURCE)),
        base,
        "out",
        inputs or Inputs(),
        rules,
        on_error=on_error,
        on_refused=lambda _, what: told.refused.append(what),
        on_written=told.written.append,
    )
    try:
        made.add(FoundFile(b"", files.inode(files.root)), b"")
        made.finish()
    finally:
        made.close()
        os.close(base)
    return told


def test_names_are_bytes(files: MemoryFiles, out: Path) -> None:
    names = [b"a\nb", b"caf\xe9", b" ", b"\x1b[2J", b"-rf", b"x" * 255]
    for name in names:
        files.file(files.root, name, name)

    told = copy(files, out)

    assert (told.errors, told.refused) == ({}, [])
    assert sorted(os.listdir(os.fsencode(out))) == sorted(names)  # noqa: PTH208
    assert (out / "a\nb").read_bytes() == b"a\nb"


@pytest.mark.parametrize("name", [b"..", b".", b"", b"a/b", b"../x", b"/tmp/x", b"a\0b"])
def test_names_that_lead_elsewhere_are_left_out(name: bytes, files: MemoryFiles, out: Path) -> None:
    files.file(files.root, name, b"evil")
    files.file(files.root, b"good", b"good")

    told = copy(files, out, CopyRules(force=True))

    assert list(told.errors.values()) == ["is no name of a file"]
    assert [*out.parent.rglob("*")] == [out, out / "good"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("link_first", [False, True])
def test_nothing_is_written_through_a_link_of_the_volume(
    link_first: bool, force: bool, files: MemoryFiles, out: Path
) -> None:
    """Whatever the order of the names, a link that is there twice, or below another's name."""
    victim = out.parent / "victim"
    victim.mkdir()
    if link_first:
        files.link(files.root, b"a", os.fsencode(victim))
    inside = files.directory(files.root, b"a")
    files.file(inside, b"evil", b"evil")
    if not link_first:
        files.link(files.root, b"a", os.fsencode(victim))
    files.link(files.root, b"0", os.fsencode(victim))
    files.link(inside, b"up", b"..")

    told = copy(files, out, CopyRules(force=force))

    assert list(told.errors.values()) == ["its directory has this name twice"]
    assert [*victim.iterdir()] == []
    assert (out / "0").readlink() == victim


@pytest.mark.parametrize("force", [False, True])
def test_a_link_at_the_destination_is_not_entered(
    force: bool, files: MemoryFiles, out: Path
) -> None:
    victim = out.parent / "victim"
    victim.mkdir(mode=0o711)
    (out / "a").symlink_to(victim)
    inside = files.directory(files.directory(files.root, b"a"), b"b")
    files.file(inside, b"evil", b"evil")
    files.link(inside, b"link", b"evil")
    files.file(files.root, b"good", b"good")

    told = copy(files, out, CopyRules(force=force))

    what = "out/a: is there already, and is no folder: what would be in it is left out"
    assert told.refused[:1] == [what]
    assert [*victim.iterdir()] == []
    assert stat.S_IMODE(victim.stat().st_mode) == 0o711
    assert sorted(path.name for path in out.iterdir()) == ["a", "good"]


def test_links_that_share_an_inode_and_files_do(files: MemoryFiles, out: Path) -> None:
    first = files.file(files.root, b"a", b"one", nlink=3)
    inside = files.directory(files.root, b"in")
    files.enter(inside, b"b", first)
    files.enter(files.root, b"z", first)
    link = files.link(files.root, b"link", b"a")
    files.by_number[link] = files.inode(link)._replace(nlink=2)
    files.enter(inside, b"link", link)

    for rules in (CopyRules(), CopyRules(force=True)):
        told = copy(files, out, rules)

        assert (told.errors, told.refused) == ({}, [])
        assert len({(out / name).stat().st_ino for name in ("a", "in/b", "z")}) == 1
        assert (out / "a").stat().st_nlink == 3
        assert (out / "link").lstat().st_ino == (out / "in/link").lstat().st_ino
        assert len([*out.rglob("*")]) == 6


def test_special_bits_are_for_archives(files: MemoryFiles, out: Path) -> None:
    files.enter(files.root, b"bits", files.add(stat.S_IFREG | 0o6755))
    files.directory(files.root, b"sticky", mode=0o3777)

    copy(files, out)

    assert stat.S_IMODE((out / "bits").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "sticky").stat().st_mode) == 0o777


def test_what_its_owner_does_not_get_has_no_special_bits(
    files: MemoryFiles, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that belongs to whoever copies must not run as them."""
    files.enter(files.root, b"bits", files.add(stat.S_IFREG | 0o6755))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "chown", refused)
        told = copy(files, out, CopyRules(archive=True))

    assert told.refused == ["out/bits: the owner cannot be set: Operation not permitted"]
    assert stat.S_IMODE((out / "bits").stat().st_mode) == 0o755


def test_a_directory_that_may_not_be_written_is_filled(files: MemoryFiles, out: Path) -> None:
    sealed = files.directory(files.root, b"sealed", mode=0o555)
    inside = files.directory(sealed, b"inside", mode=0)
    files.file(inside, b"file", b"here")
    files.link(inside, b"link", b"file")

    told = copy(files, out)

    assert (told.errors, told.refused) == ({}, [])
    assert stat.S_IMODE((out / "sealed").stat().st_mode) == 0o555
    (out / "sealed/inside").chmod(0o700)
    assert (out / "sealed/inside/file").read_bytes() == b"here"
    (out / "sealed").chmod(0o700)


def test_times_of_all_kinds_stay_to_the_nanosecond(files: MemoryFiles, out: Path) -> None:
    mtime = 1_000_000_000_123_456_789
    folder = files.directory(files.root, b"folder")
    for number in (folder, files.file(folder, b"file"), files.link(folder, b"link", b"file")):
        files.by_number[number] = files.inode(number)._replace(mtime=mtime)

    copy(files, out)

    for name in ("folder", "folder/file", "folder/link"):
        assert (out / name).lstat().st_mtime_ns == mtime


def test_existing_folders_are_filled_and_stay_as_they_are(files: MemoryFiles, out: Path) -> None:
    (out / "folder").mkdir(mode=0o711)
    files.file(files.directory(files.root, b"folder", mode=0o750), b"file", b"here")

    copy(files, out)
    plain = stat.S_IMODE((out / "folder").stat().st_mode)
    copy(files, out, CopyRules(force=True))

    assert plain == 0o711
    assert stat.S_IMODE((out / "folder").stat().st_mode) == 0o750
    assert (out / "folder/file").read_bytes() == b"here"


def test_a_folder_is_never_replaced(files: MemoryFiles, out: Path) -> None:
    (out / "file").mkdir()
    files.file(files.root, b"file", b"here")

    told = copy(files, out, CopyRules(force=True))

    assert told.refused == ["out/file: is there already, and is a folder, which is left as it is"]
    assert [*out.rglob("*")] == [out / "file"]


@pytest.mark.parametrize("at", [1024, 2048], ids=["known", "found out"])
def test_a_file_with_a_lost_part(at: int, files: MemoryFiles, out: Path) -> None:
    damaged = files.add(stat.S_IFREG | 0o644, size=3 * BLOCK)
    files.places[damaged] = [(0, 3 * BLOCK, at - BLOCK)]
    files.enter(files.root, b"bad", damaged)
    files.file(files.root, b"good", b"good")

    told = copy(files, out)
    (message,) = told.errors.values()
    names = sorted(path.name for path in out.iterdir())
    salvaged = copy(files, out, CopyRules(salvage=True, force=True))

    assert message.startswith(f"is left out: bytes {BLOCK}..{2 * BLOCK - 1} of the file: ")
    assert message.endswith("; --salvage writes zeros in their place")
    assert names == ["good"]
    assert "they are zeros in the copy" in salvaged.errors[b"bad"]
    content = (out / "bad").read_bytes()
    assert content[BLOCK : 2 * BLOCK] == bytes(BLOCK)
    assert content[:BLOCK] == SOURCE.content[at - BLOCK : at]
    assert len(content) == 3 * BLOCK


def test_holes_take_neither_room_nor_time(files: MemoryFiles, out: Path) -> None:
    sparse = files.add(stat.S_IFREG | 0o644, size=1 << 42)
    files.places[sparse] = [(1 << 41, BLOCK, 0)]
    files.enter(files.root, b"sparse", sparse)

    told = copy(files, out)

    assert (told.errors, told.refused) == ({}, [])
    status = (out / "sparse").stat()
    assert status.st_size == 1 << 42
    assert status.st_blocks <= 16
    assert told.written == [BLOCK]
    with (out / "sparse").open("rb") as file:
        file.seek(1 << 41)
        assert file.read(BLOCK) == SOURCE.content[:BLOCK]


def test_deep_trees_take_few_descriptors(files: MemoryFiles, out: Path) -> None:
    depth = 300
    here = files.root
    for _ in range(depth):
        here = files.directory(here, b"deep")
        files.link(here, b"link", b"..")
    files.file(here, b"bottom", b"here")

    told = copy(files, out)

    assert (told.errors, told.refused) == ({}, [])
    fd, nr_links = os.open(out, os.O_PATH), 0
    for _ in range(depth):
        below = os.open("deep", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        os.close(fd)
        fd = below
        nr_links += os.readlink("link", dir_fd=fd) == ".."
    assert nr_links == depth
    assert os.stat("bottom", dir_fd=fd).st_size == 4
    os.close(fd)


def test_what_the_host_does_not_take_is_told_of_that_file(files: MemoryFiles, out: Path) -> None:
    files.link(files.root, b"empty", b"")
    files.link(files.root, b"nul", b"a\0b")
    files.link(files.root, b"long", b"x" * 5000)
    files.file(files.root, b"name" * 70, b"too long")
    files.by_number[files.file(files.root, b"odd")] = files.inode(files.root)._replace(
        mode=0o170000
    )
    files.file(files.root, b"good", b"good")

    told = copy(files, out)

    assert told.refused == [
        f"out/{'name' * 70}: File name too long",
        "out/empty: No such file or directory",
        "out/long: File name too long",
    ]
    assert set(told.errors) == {b"nul", b"odd"}
    assert [path.name for path in out.iterdir()] == ["good"]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    def write(*_: object) -> int:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", write)
        yield


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_ends_the_copy_leaves_no_half_file(
    error: BaseException,
    force: bool,
    files: MemoryFiles,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files.file(files.root, b"a")
    files.file(files.root, b"b", b"here")
    if force:
        (out / "b").write_text("old")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with failing(monkeypatch, error), pytest.raises((OutputError, KeyboardInterrupt)) as raised:
        copy(files, out, CopyRules(force=force))

    if isinstance(error, OSError):
        what = "out/b: cannot be written: No space left on device"
        assert str(raised.value) == f"{what}; files that were copied before: 1"
    names = sorted(path.name for path in out.iterdir())
    assert names == (["a", "b"] if force else ["a"])
    assert not force or (out / "b").read_text() == "old"
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_folders_that_are_read_are_not_entered(files: MemoryFiles, out: Path) -> None:
    (out / "a/docker").mkdir(parents=True)
    inputs = Inputs()
    inputs.add_folder(out / "a/docker", "Docker's root")
    inside = files.directory(files.directory(files.root, b"a"), b"docker")
    files.file(inside, b"file")

    with pytest.raises(OutputError, match="out/a/docker: is Docker's root "):
        copy(files, out, CopyRules(force=True), inputs)

    assert [*(out / "a/docker").iterdir()] == []


def test_a_directory_that_is_damaged_gives_what_is_left(files: MemoryFiles, out: Path) -> None:
    inside = files.directory(files.root, b"in")
    files.file(inside, b"a", b"a")
    files.file(inside, b"b", b"b")
    files.break_directory(inside, "is damaged")
    entries = files.directories[files.root]
    assert isinstance(entries, list)
    entries.append(Entry(b"gone", 999))

    told = copy(files, out)

    assert told.errors == {b"in": "is damaged", b"gone": "there is no inode 999"}
    assert sorted(path.name for path in out.rglob("*")) == ["a", "in"]
