"""`find`: exact names, beginnings of ids, and what is ambiguous."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.names.called import names_in
from tests.properties import examples
from thinmeta.errors import NotThereError
from thinmeta.names.catalogue import Catalogue, NamedDevice, NameKind, find
from thinmeta.units import DeviceId


def device(device_id: int, name: str, *, aliases: str = "", ids: str = "") -> NamedDevice:
    return NamedDevice(
        DeviceId(device_id), NameKind.IMAGE, name, tuple(aliases.split()), tuple(ids.split())
    )


FIRST = Catalogue(
    "here",
    (
        device(1, "web:latest", aliases="web", ids="186abc 5f5f"),
        device(1, "web:v1", ids="186fff"),
        device(2, "db", ids="187abc"),
    ),
)
SECOND = Catalogue("there", (device(3, "vg/root", aliases="root"), device(4, "186")))


def found(text: str) -> int:
    return find([FIRST, SECOND], text).device_id


@pytest.mark.parametrize(
    ("text", "device_id"),
    [
        ("web:latest", 1),
        ("web", 1),
        ("web:v1", 1),
        ("vg/root", 3),
        ("root", 3),
        ("187", 2),
        ("187abc", 2),
        ("sha256:187", 2),
        ("5f", 1),
        ("186", 4),  # a name goes before the beginning of an id
        ("186a", 1),
        ("sha256:186", 1),  # of two names, but of one device
    ],
)
def test_a_device_is_found(text: str, device_id: int) -> None:
    assert found(text) == device_id


@pytest.mark.parametrize("text", ["", "sha256:", "we", "WEB", "186abcd", "5f5f5", "latest", "vg/"])
def test_nobody_is_called_so(text: str) -> None:
    with pytest.raises(NotThereError, match=r"no device is called '.*' in here, there"):
        found(text)


def test_an_empty_text_is_nobody_even_if_there_is_only_one() -> None:
    with pytest.raises(NotThereError):
        find([Catalogue("here", (device(1, "a", ids="ab"),))], "")


def test_what_is_ambiguous_is_listed() -> None:
    with pytest.raises(NotThereError) as raised:
        found("18")

    assert str(raised.value) == (
        "'18' may be image web:latest (device 1), image web:v1 (device 1), image db (device 2); "
        "say more of it, or the device id"
    )


def test_a_long_list_is_cut() -> None:
    many = Catalogue("here", tuple(device(number, f"n{number}", ids="ab") for number in range(11)))

    with pytest.raises(NotThereError, match=r"image n9 \(device 9\), …; say more"):
        find([many], "a")


@examples(60)
@given(
    ids=st.lists(st.text("01ab", min_size=4, max_size=4), min_size=1, max_size=8, unique=True),
    text=st.text("01ab", min_size=1, max_size=5),
)
def test_a_beginning_finds_the_only_one_that_has_it(ids: list[str], text: str) -> None:
    catalogue = Catalogue(
        "here", tuple(device(number, f"n{number}", ids=each) for number, each in enumerate(ids))
    )
    fitting = [number for number, each in enumerate(ids) if each.startswith(text)]

    if len(fitting) == 1:
        assert find([catalogue], text).device_id == fitting[0]
    else:
        with pytest.raises(NotThereError):
            find([catalogue], text)


def test_the_first_name_is_the_best() -> None:
    assert names_in(FIRST) == {1: "web:latest", 2: "db"}
