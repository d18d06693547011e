"""Lines made many at once are the lines that `str.format` makes one by one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.formats.lines import ROWS_AT_ONCE, Lines

LAST = 2**64 - 1

# Where the number of digits changes, the number of groups, or the type that counts.
EDGES = sorted(
    {0, 2**32 - 1, 2**32, 2**40 - 1, 2**63, LAST}
    | {10**power + step for power in range(20) for step in (-1, 0, 1) if 10**power + step >= 0}
)
NUMBERS = st.sampled_from(EDGES) | st.integers(0, LAST) | st.integers(0, 99)
NARROW = st.integers(0, 19).flatmap(
    lambda digits: st.integers(10**digits, min(10 ** (digits + 1) - 1, LAST))
)
WORDS = st.text(alphabet=st.characters(codec="ascii", exclude_characters="\0{}"), max_size=9)


def column(numbers: Sequence[int]) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def rendered(
    lines: Lines, columns: dict[str, np.ndarray], nr_rows: int, shapes: np.ndarray | None = None
) -> bytes:
    return b"".join(text.tobytes() for text in lines.render(columns, nr_rows, shapes))


def formatted(
    templates: Sequence[str], columns: Mapping[str, Sequence[int]], shapes: Sequence[int]
) -> bytes:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "".join(
        templates[shape].format(**row) for shape, row in zip(shapes, rows, strict=True)
    ).encode()


@st.composite
def tables(draw: st.DrawFn, nr_columns: int) -> dict[str, list[int]]:
    """Return columns of which some have numbers of the same length."""
    size = draw(st.integers(1, 30))
    return {
        f"c{place}": draw(
            st.lists(
                draw(st.sampled_from([NUMBERS, NARROW, st.just(7)])), min_size=size, max_size=size
            )
        )
        for place in range(nr_columns)
    }


@examples(100)
@given(data=st.data(), words=st.lists(WORDS, min_size=2, max_size=5))
def test_lines_equal_str_format(data: st.DataObject, words: list[str]) -> None:
    columns = data.draw(tables(len(words) - 1))
    template = words[0] + "".join(
        f"{{{name}}}{word}" for name, word in zip(columns, words[1:], strict=True)
    )
    size = len(columns["c0"])

    text = rendered(Lines(template), {name: column(each) for name, each in columns.items()}, size)

    assert text == formatted([template], columns, [0] * size)


# Each shape has some of the first one's numbers, in the first one's order.
SHAPES = [
    "    <range a={c0} b={c1} length={c2} time={c3}/>\n",
    "    <single origin={c0} data={c1} t={c3}/>\n",
    "{c2}",
    "no number at all\n",
    "<{c1}{c3}>",
]


@examples(100)
@given(data=st.data(), chosen=st.lists(st.integers(1, len(SHAPES) - 1), max_size=3))
def test_lines_of_several_shapes_equal_str_format(data: st.DataObject, chosen: list[int]) -> None:
    templates = [SHAPES[0], *(SHAPES[place] for place in chosen)]
    columns = data.draw(tables(4))
    size = len(columns["c0"])
    shapes = data.draw(st.lists(st.integers(0, len(chosen)), min_size=size, max_size=size))

    text = rendered(
        Lines(*templates),
        {name: column(each) for name, each in columns.items()},
        size,
        np.array(shapes, dtype=np.uint8),
    )

    assert text == formatted(templates, columns, shapes)


@pytest.mark.parametrize("number", EDGES)
def test_each_length_of_a_number_alone_and_among_shorter_ones(number: int) -> None:
    lines = Lines("<{c0}>\n")

    assert rendered(lines, {"c0": column([number])}, 1) == f"<{number}>\n".encode()
    assert rendered(lines, {"c0": column([0, number, 1])}, 3) == (
        f"<0>\n<{number}>\n<1>\n".encode()
    )


@pytest.mark.parametrize(
    "nr_rows", [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE + 7]
)
def test_slices_follow_each_other(nr_rows: int) -> None:
    numbers = list(range(nr_rows))
    lines = Lines("{c0}\n")

    assert (
        rendered(lines, {"c0": column(numbers)}, nr_rows)
        == "".join(f"{number}\n" for number in numbers).encode()
    )


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_several_shapes_follow_each_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    nr_rows = 2 * ROWS_AT_ONCE + 100
    # The first slice has one shape, the second both, the third one has the other.
    shapes = np.zeros(nr_rows, dtype=np.uint8)
    shapes[ROWS_AT_ONCE : 2 * ROWS_AT_ONCE] = random.integers(0, 2, ROWS_AT_ONCE)
    shapes[2 * ROWS_AT_ONCE :] = 1
    columns = {
        name: random.integers(0, 10 ** (4 * place + 1), nr_rows, dtype=np.uint64)
        for place, name in enumerate(("c0", "c1", "c2", "c3"))
    }

    text = rendered(Lines(*SHAPES[:2]), columns, nr_rows, shapes)

    plain = {name: each.tolist() for name, each in columns.items()}
    assert text == formatted(SHAPES[:2], plain, shapes.tolist())


def test_the_same_lines_can_be_written_with_other_numbers() -> None:
    # Matrices are kept by the numbers' widths: what was in them must not show through.
    lines = Lines("[{c0}|{c1}]\n", "({c1})\n")
    for numbers in ([1000, 2000], [5, 2000], [5, 7], [1234567, 7], [1000, 3000]):
        for shapes in ([0, 0], [1, 1], [0, 1]):
            columns = {"c0": numbers, "c1": numbers[::-1]}
            text = rendered(
                lines,
                {name: column(each) for name, each in columns.items()},
                2,
                np.array(shapes, dtype=np.uint8),
            )
            assert text == formatted(["[{c0}|{c1}]\n", "({c1})\n"], columns, shapes)


def test_more_widths_than_matrices_are_kept_for() -> None:
    lines = Lines("{c0} {c1}\n")
    for power in range(19):
        for other in (0, 5):
            columns = {"c0": [10**power], "c1": [10**other]}
            text = rendered(lines, {name: column(each) for name, each in columns.items()}, 1)
            assert text == formatted(["{c0} {c1}\n"], columns, [0])


def test_braces_in_a_format_string_are_doubled() -> None:
    assert rendered(Lines('{{"a": {c0}}}\n'), {"c0": column([3])}, 1) == b'{"a": 3}\n'
