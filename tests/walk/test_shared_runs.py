"""What thin_dump 1.x prints as `<def>` and `<ref>`: its rule, restated, and its own vectors.

The rule is that of `build_runs()`, thin-provisioning-tools 1.1.0, src/thin/runs.rs.
"""

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties import examples
from tests.walk.growing import Shape, forests, grouped, grown, leaf_numbers, planted
from tests.walk.test_forest import grown_forest
from thinmeta.walk.forest import Forest
from thinmeta.walk.shared_runs import find_shared_runs

AtomicRun = tuple[tuple[int, ...], bool]
"""Leaves that follow each other, and whether they are shared."""

Lists = Sequence[Sequence[int]]

VECTORS: list[tuple[Lists, list[AtomicRun]]] = [
    ([], []),
    ([[1]], [((1,), False)]),
    ([[1, 2, 3]], [((1, 2, 3), False)]),
    ([[1, 2], [1, 2, 3]], [((1, 2), True), ((3,), False)]),
    ([[2, 3], [1, 2, 3]], [((1,), False), ((2, 3), True)]),
    ([[1, 2, 3, 4], [2, 3, 4, 5]], [((1,), False), ((2, 3, 4), True), ((5,), False)]),
    ([[2, 3, 4, 5], [1, 2, 3, 4]], [((1,), False), ((2, 3, 4), True), ((5,), False)]),
    (
        [[1, 2, 3, 4], [2, 3, 4, 5, 6], [3, 4], [5, 6]],
        [((1,), False), ((2,), True), ((3, 4), True), ((5, 6), True)],
    ),
    (
        [[2, 3, 4, 5], [2, 3, 4, 6], [1, 3, 4, 5]],
        [((1,), False), ((2,), True), ((3, 4), True), ((5,), True), ((6,), False)],
    ),
    ([[1, 2], [2, 1]], [((1,), True), ((2,), True)]),
]


class Cutter:
    """Step B: cuts lists of leaves into runs, one leaf after the other."""

    def __init__(self, lists: Lists) -> None:
        self.heads: set[int] = set()
        self.tails: set[int] = set()
        self.shared: set[int] = set()
        self.successors: dict[int, set[int]] = {}
        self.predecessor: dict[int, int] = {}
        for leaves in lists:
            self._feed(leaves)

    def _mark_head(self, leaf: int) -> None:
        if leaf in self.heads:
            self.shared.add(leaf)
        self.heads.add(leaf)

    def _feed(self, leaves: Sequence[int]) -> None:
        before: int | None = None
        for leaf in leaves:
            if before is None:
                self._mark_head(leaf)
            else:
                if leaf in self.successors[before]:
                    self.shared.add(leaf)
                self.successors[before].add(leaf)
                if self.predecessor.setdefault(leaf, before) != before:
                    self._mark_head(leaf)
            self.successors.setdefault(leaf, set())
            before = leaf
        if before is not None:
            self.tails.add(before)

    def runs(self) -> list[AtomicRun]:
        self.tails |= {
            leaf
            for leaf, after in self.successors.items()
            if len(after) != 1 or min(after) in self.heads
        }
        for tail in sorted(self.tails):
            for leaf in sorted(self.successors[tail]):
                (self.shared if leaf in self.heads else self.heads).add(leaf)
        return [(self._run(head), head in self.shared) for head in sorted(self.heads)]

    def _run(self, head: int) -> tuple[int, ...]:
        run = [head]
        while run[-1] not in self.tails:
            run.append(min(self.successors[run[-1]]))
        return tuple(run)


Section = tuple[bool, list[int]]


def rewritten(leaves: Sequence[int], runs: list[AtomicRun]) -> list[Section]:
    """Step C: a list as shared runs and what is between them."""
    by_head = {run[0]: (run, shared) for run, shared in runs}
    sections: list[Section] = []
    at = 0
    while at < len(leaves):
        run, shared = by_head[leaves[at]]
        if shared or not sections or sections[-1][0]:
            sections.append((shared, []))
        sections[-1][1].extend(run)
        at += len(run)
    return sections


def sections_of(forest: Forest, nr_trees: int) -> list[list[Section]]:
    found = find_shared_runs(forest)
    if found is None:
        return [[(False, forest.leaves(tree).blocks.tolist())] for tree in range(nr_trees)]
    return [
        [(shared, leaves.blocks.tolist()) for shared, leaves in found.sections(tree)]
        for tree in range(nr_trees)
    ]


def atomic_runs(forest: Forest, nr_trees: int) -> list[AtomicRun]:
    """Return the runs of all trees as they were found, ascending by their heads."""
    found = find_shared_runs(forest)
    runs: set[AtomicRun] = set()
    for tree in range(nr_trees):
        places = forest.leaf_places(tree).tolist()
        blocks = forest.levels[0].nodes.blocks
        begins = (
            [0]
            if found is None
            else [at for at, place in enumerate(places) if found.is_head[place]]
        )
        for begin, end in zip(begins, [*begins[1:], len(places)], strict=True):
            shared = found is not None and bool(found.is_shared[places[begin]])
            runs.add((tuple(int(blocks[place]) for place in places[begin:end]), shared))
    return sorted(runs)


def flat(lists: Lists) -> list[Shape]:
    return [tuple(leaves) for leaves in lists]


each_vector = pytest.mark.parametrize(("lists", "runs"), VECTORS, ids=lambda each: str(each)[:40])


@each_vector
def test_the_rule_restated_gives_the_vectors(lists: Lists, runs: list[AtomicRun]) -> None:
    assert Cutter(lists).runs() == runs


@each_vector
def test_the_vectors_of_thin_dump(lists: Lists, runs: list[AtomicRun]) -> None:
    assert atomic_runs(planted(flat(lists)), len(lists)) == runs


@each_vector
def test_the_sections_of_the_vectors(lists: Lists, runs: list[AtomicRun]) -> None:
    assert sections_of(planted(flat(lists)), len(lists)) == [
        rewritten(leaves, runs) for leaves in lists
    ]


SORTED_LISTS = st.lists(st.sets(st.integers(0, 9), min_size=1, max_size=8).map(sorted), max_size=6)
ANY_LISTS = st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=7, unique=True), max_size=5)


@examples(200)
@given(lists=SORTED_LISTS)
def test_runs_are_those_of_the_rule(lists: Lists) -> None:
    forest = planted(flat(lists))
    runs = Cutter(lists).runs()

    assert atomic_runs(forest, len(lists)) == runs
    assert sections_of(forest, len(lists)) == [rewritten(leaves, runs) for leaves in lists]


@examples(100)
@given(lists=ANY_LISTS)
def test_runs_are_those_of_the_rule_whatever_the_order_of_the_leaves(lists: Lists) -> None:
    forest = planted(flat(lists))

    assert atomic_runs(forest, len(lists)) == Cutter(lists).runs()


@examples(100)
@given(trees=forests())
def test_how_the_leaves_are_grouped_makes_no_difference(trees: list[Shape]) -> None:
    lists = [leaf_numbers(tree) for tree in trees]
    runs = Cutter(lists).runs()

    assert atomic_runs(planted(trees), len(trees)) == runs
    assert sections_of(planted(trees), len(trees)) == [rewritten(leaves, runs) for leaves in lists]


@examples(60)
@given(trees=forests())
def test_runs_in_an_image_are_those_of_the_rule(trees: list[Shape]) -> None:
    made = grown(trees)
    lists = [made.blocks(leaf_numbers(tree)) for tree in trees]

    forest = grown_forest(made.image, made.roots)

    assert atomic_runs(forest, len(trees)) == Cutter(lists).runs()


@examples(60)
@given(trees=forests())
def test_sections_are_all_of_a_trees_leaves_in_order(trees: list[Shape]) -> None:
    for tree, sections in zip(trees, sections_of(planted(trees), len(trees)), strict=True):
        assert [leaf for _, leaves in sections for leaf in leaves] == leaf_numbers(tree)
        kinds = [(shared, len(list(run))) for shared, run in groupby(sections, lambda s: s[0])]
        assert all(count == 1 for shared, count in kinds if not shared)


@examples(60)
@given(
    leaves=st.sets(st.integers(0, 12), min_size=1).map(sorted),
    cuts=st.frozensets(st.integers(0, 12)),
    height=st.integers(1, 3),
)
def test_one_tree_shares_nothing(leaves: list[int], cuts: frozenset[int], height: int) -> None:
    assert find_shared_runs(planted([grouped(leaves, cuts, height)])) is None


@examples(60)
@given(lists=SORTED_LISTS)
def test_trees_without_a_common_leaf_share_nothing(lists: Lists) -> None:
    occurrences = [leaf for leaves in lists for leaf in leaves]
    assume(len(set(occurrences)) == len(occurrences))

    assert find_shared_runs(planted(flat(lists))) is None


def test_a_shared_root_is_one_run() -> None:
    tree: Shape = ((1, 2), (3,))

    assert sections_of(planted([tree, tree]), 2) == [[(True, [1, 2, 3])]] * 2


def test_a_shared_root_that_is_a_leaf_is_one_run() -> None:
    assert sections_of(planted([5, 5]), 2) == [[(True, [5])]] * 2


def test_a_leaf_that_is_a_root_here_and_a_child_there_is_shared() -> None:
    assert sections_of(planted([2, (1, 2, 3)]), 2) == [
        [(True, [2])],
        [(False, [1]), (True, [2]), (False, [3])],
    ]


def test_more_shared_runs_than_leaves_that_are_not() -> None:
    lists = [[*range(10)], [*range(0, 10, 2)], [*range(1, 10, 2)]]

    assert sections_of(planted(flat(lists)), 3)[0] == [(True, [leaf]) for leaf in range(10)]
