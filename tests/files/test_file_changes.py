"""What changed between two trees is what a slow model finds, and never more than is known."""

import random
import stat
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.made_trees import MemoryFiles
from tests.properties import examples
from thinmeta.files.file_changes import ComparedTree, FileChange, file_changes
from thinmeta.files.file_system import DirectoryError, Entry, FileError, Inode

SECOND = 10**9
CAPABILITY = b"security.capability"

Changes = list[tuple[str, bytes]]
Errors = list[tuple[bytes, str]]


class Node(NamedTuple):
    """A file of a tree that is drawn; a directory has children."""

    mode: int
    uid: int
    mtime: int
    size: int
    capability: bytes | None
    children: "dict[bytes, Node]"


def nodes(children: "st.SearchStrategy[dict[bytes, Node]]", kinds: list[int]) -> st.SearchStrategy:
    return st.builds(
        Node,
        mode=st.builds(int.__or__, st.sampled_from(kinds), st.sampled_from([0o644, 0o755])),
        uid=st.sampled_from([0, 0, 0, 33]),
        mtime=st.sampled_from([SECOND, SECOND, SECOND + 5, SECOND + 6, 3 * SECOND]),
        size=st.sampled_from([0, 0, 7]),
        capability=st.sampled_from([None, None, None, b"\1"]),
        children=children,
    )


NAMES = st.sampled_from([b"a", b"a-b", b"b", b"c", b"\xff\n"])
LEAVES = nodes(st.just({}), [stat.S_IFREG, stat.S_IFLNK, stat.S_IFSOCK, stat.S_IFIFO])
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda inner: st.dictionaries(NAMES, LEAVES | nodes(inner, [stat.S_IFDIR]), max_size=5),
    max_leaves=12,
)


def built(tree: dict[bytes, Node]) -> MemoryFiles:
    files = MemoryFiles()

    def fill(number: int, children: dict[bytes, Node]) -> None:
        for name, node in children.items():
            others = {"uid": node.uid, "mtime": node.mtime, "size": node.size}
            child = files.add(node.mode, **others)
            files.enter(number, name, child)
            if node.capability is not None:
                files.attributes[child] = {CAPABILITY: node.capability}
            if stat.S_ISDIR(node.mode):
                files.directories[child] = []
                fill(child, node.children)

    fill(files.directory(), tree)
    return files


def compared(left: MemoryFiles | None, right: MemoryFiles) -> tuple[list[FileChange], Errors]:
    errors: Errors = []

    def tree(files: MemoryFiles) -> ComparedTree:
        root = files.inode(files.root)
        return ComparedTree(files, root, lambda path, error: errors.append((path, str(error))))

    return list(file_changes(tree(left) if left else None, tree(right))), errors


def said(changes: list[FileChange]) -> Changes:
    return [(change.kind.value, change.path) for change in changes]


def flat(tree: dict[bytes, Node], prefix: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    for name, node in tree.items():
        yield prefix + name, node
        yield from flat(node.children, prefix + name + b"/")


def expected(left: dict[bytes, Node], right: dict[bytes, Node]) -> Changes:
    """Compare dictionaries of all paths."""
    old, new = dict(flat(left)), dict(flat(right))
    found = {}
    for path, node in new.items():
        if path not in old:
            found[path] = "A"
        elif differs(old[path], node):
            found[path] = "C"
    for path in old:
        parent = path.rpartition(b"/")[0]
        parent_is_folder = parent in new and stat.S_ISDIR(new[parent].mode)
        if path not in new and (not parent or parent_is_folder):
            found[path] = "D"
    for path in list(found):
        parent = path.rpartition(b"/")[0]
        while parent:
            found.setdefault(parent, "C")
            parent = parent.rpartition(b"/")[0]
    return sorted(((kind, path) for path, kind in found.items()), key=lambda each: words(each[1]))


def words(path: bytes) -> list[bytes]:
    return path.split(b"/")


def differs(old: Node, new: Node) -> bool:
    if (old.mode, old.uid, old.capability) != (new.mode, new.uid, new.capability):
        return True
    if stat.S_IFMT(old.mode) in (stat.S_IFDIR, stat.S_IFSOCK):
        return False
    seconds = old.mtime // SECOND == new.mtime // SECOND
    is_rough = 0 in (old.mtime % SECOND, new.mtime % SECOND)
    return old.size != new.size or not (old.mtime == new.mtime or (seconds and is_rough))


@examples(300)
@given(TREES, TREES)
def test_changes_are_those_of_the_slow_model(
    left: dict[bytes, Node], right: dict[bytes, Node]
) -> None:
    changes, errors = compared(built(left), built(right))

    assert said(changes) == expected(left, right)
    assert errors == []


@examples(50)
@given(TREES)
def test_against_nothing_all_is_added(tree: dict[bytes, Node]) -> None:
    changes, errors = compared(None, built(tree))

    assert said(changes) == [("A", path) for path in sorted(dict(flat(tree)), key=words)]
    assert errors == []


@examples(300)
@given(TREES, TREES, st.randoms())
def test_what_cannot_be_read_is_told_and_nothing_is_said_that_is_not_so(
    left: dict[bytes, Node], other: dict[bytes, Node], chance: random.Random
) -> None:
    right = {**left, **other}
    trees = built(left), built(right)
    for _ in range(chance.randint(1, 3)):
        damage(chance.choice(trees), chance)

    changes, errors = compared(*trees)

    true = expected(left, right)
    assert set(said(changes)) <= set(true)
    if said(changes) != true:
        assert errors


def damage(files: MemoryFiles, chance: random.Random) -> None:
    """Lose an inode, attributes, a directory or a part of one; or a name stands there twice."""
    number = chance.choice(list(files.by_number))
    entries = files.directories.get(number)
    kind = chance.choice("iapt" if number != files.root else "pt")
    if kind == "i":
        files.by_number[number] = FileError("its block is lost")
    elif kind == "a":
        files.attributes[number] = FileError("its attributes are damaged")
    elif isinstance(entries, list) and kind == "t" and entries:
        entries.append(Entry(chance.choice(entries).name, 999))
    elif isinstance(entries, list):
        kept = chance.sample(entries, chance.randint(0, len(entries)))
        why = "a block of it is lost"
        files.directories[number] = chance.choice([DirectoryError(why, kept), FileError(why)])


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", ["part", "all", "twice", "inode"])
def test_what_one_tree_cannot_tell_is_neither_added_nor_removed(side: int, kind: str) -> None:
    file = Node(stat.S_IFREG | 0o644, 0, SECOND, 0, None, {})
    folder = file._replace(mode=stat.S_IFDIR | 0o755)
    folder = folder._replace(children=dict.fromkeys((b"p", b"q", b"r", b"s"), file))
    trees = built({b"folder": folder, b"last": file}), built({b"folder": folder})
    broken = trees[side]
    number = broken.root + 1
    entries = broken.directories[number]
    assert isinstance(entries, list)
    if kind == "part":
        broken.break_directory(number, "block 9 is lost")
    elif kind == "all":
        broken.directories[number] = FileError("block 9 is lost")
    elif kind == "twice":
        entries.append(Entry(b"q", 999))
    else:
        broken.by_number[number] = FileError("block 9 is lost")

    changes, errors = compared(*trees)

    assert said(changes) == [("D", b"last")]
    assert [path for path, _ in errors][:1] == [b"folder/q" if kind == "twice" else b"folder"]


def test_what_differs_is_said() -> None:
    file = Node(stat.S_IFREG | 0o644, 0, SECOND, 0, None, {})
    folder = file._replace(mode=stat.S_IFDIR | 0o755)
    others = {
        b"mode": file._replace(mode=stat.S_IFREG | 0o4755),
        b"owner": file._replace(uid=33),
        b"mtime": file._replace(mtime=9),
        b"size": file._replace(size=9),
        b"capability": file._replace(capability=b"\1"),
    }
    old = built({b"below": folder._replace(children=dict.fromkeys(others, file)), b"type": file})
    new = built({b"below": folder._replace(children=others), b"type": folder})
    number = old.file(old.root, b"device")
    old.by_number[number] = Inode(number, stat.S_IFCHR, 0, 0, 1, 0, 0, 0, 0, (1, 3))
    number = new.file(new.root, b"device")
    new.by_number[number] = Inode(number, stat.S_IFCHR, 0, 0, 1, 0, 0, 0, 0, (1, 300))

    changes, _ = compared(old, new)

    assert {change.path: change.what for change in changes} == {
        b"below": (),
        **{b"below/" + word: (word.decode(),) for word in others},
        b"device": ("device",),
        b"type": ("type", "mode"),
    }
    assert all(change.left and change.right for change in changes)


def test_a_directory_that_leads_back_to_itself_is_told() -> None:
    trees = MemoryFiles(), MemoryFiles()
    for files in trees:
        inner = files.directory(files.directory(), b"inner")
        files.enter(inner, b"root", files.root)
        files.enter(inner, b"self", inner)

    changes, errors = compared(*trees)

    assert changes == []
    assert sorted({path for path, _ in errors}) == [b"inner/root", b"inner/self"]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", [b"../../etc/passwd", b"..", b"a\0b", b""])
def test_a_hostile_name_is_told_and_is_no_change(side: int, name: bytes) -> None:
    trees = MemoryFiles(), MemoryFiles()
    for files in trees:
        files.directory()
    trees[side].file(trees[side].root, name)

    changes, errors = compared(*trees)

    assert changes == []
    assert [why for _, why in errors] == ["is no name of a file"]
