"""What `dmsetup table` prints is read; it names pool, device, size and origin."""

import pytest

from tests.cases import FIXTURES
from thinmeta.formats.dm_table import DmTables, PoolLine, ThinLine


def test_docker_on_an_lvm_pool() -> None:
    tables = DmTables.parse(
        (FIXTURES / "docker-direct-lvm-ext4-512k/dmsetup-table-live.txt").read_text()
    )

    name = "docker-254:0-8807-88e73f1bcf58d995d2e7e837297320c4e7f1d71a3e8259973400b87af12cd934"
    assert tables.thins == (ThinLine(name, 1048576, "253:2", 29, None),)
    assert tables.pools == (PoolLine("dockervg-docker--pool", 1024),)
    assert tables.pool_of(tables.thins[0]) == "/dev/mapper/dockervg-docker--pool"


def test_lvm_with_two_pools() -> None:
    tables = DmTables.parse((FIXTURES / "c01-lvm-thin-one-pv/dmsetup-table-live.txt").read_text())

    by_name = {thin.name: thin for thin in tables.thins}
    assert by_name["vgthin-home"].device_id == 2
    assert by_name["vgthin-home"].sectors == 209715200 // 512
    assert {pool.data_block_sectors for pool in tables.pools} == {128, 512}
    assert tables.pool_of(by_name["vgthin-home"]) == by_name["vgthin-home"].pool


def test_a_line_without_a_name_and_with_an_origin() -> None:
    tables = DmTables.parse("0 2048 thin /dev/mapper/pool 7 253:9\n")

    assert tables.thins == (ThinLine(None, 2048, "/dev/mapper/pool", 7, "253:9"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices found\n",
        "x: 0 8 linear 8:1 0\n",
        "x: 0 many thin 253:1 7\n",
        "0 8 thin\n",
        "a: ",
    ],
)
def test_other_lines_are_passed_over(text: str) -> None:
    assert DmTables.parse(text) == DmTables((), ())
