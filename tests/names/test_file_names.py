"""Files named after volumes: never elsewhere, never two alike, whatever these are called."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.names.file_names import file_names

any_name = st.one_of(
    st.text(max_size=12),
    st.text("./~%aA", max_size=6),
    st.sampled_from([".", "..", "", "a.map", "a.MAP", "a", "A", "\udcff", "ä" * 300, "x" * 201]),
)
LONGEST = 200 + len("~16777215")


@examples(300)
@given(st.dictionaries(st.integers(0, 2**24 - 1), any_name, max_size=6))
def test_no_name_leads_elsewhere_or_is_there_twice(names: dict[int, str]) -> None:
    found = file_names(names)

    assert found.keys() == names.keys()
    assert len({each.lower() for each in found.values()}) == len(names)
    for each in found.values():
        assert re.fullmatch(r"[A-Za-z0-9._+%~-]+", each)
        assert each not in (".", "..")
        assert len(each) <= LONGEST
        assert not each.lower().endswith(".map")  # which is what a rescue keeps beside it
        encoded = each.partition("~")[0]
        assert encoded == "%" or not re.search("%(?![0-9A-F]{2})", encoded)


def test_what_is_plain_stays_as_it_is() -> None:
    names = {1: "vm-100-disk-0", 2: "a.b_c+d", 3: "vg/root", 4: "name:186", 5: "ü"}

    assert file_names(names) == {
        1: "vm-100-disk-0",
        2: "a.b_c+d",
        3: "vg%2Froot",
        4: "name%3A186",
        5: "%C3%BC",
    }


def test_those_that_are_alike_have_their_ids() -> None:
    long = "x" * 300

    found = file_names({1: long, 2: long + "y", 3: "Web", 4: "web", 5: "web~4"})

    assert found == {1: "x" * 200 + "~1", 2: "x" * 200 + "~2", 3: "Web~3", 4: "web~4", 5: "web%7E4"}
