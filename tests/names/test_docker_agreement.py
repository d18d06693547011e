"""Where pools and Docker disagree, from real pools whose names were changed."""

from collections.abc import Callable

import pytest

from tests.cases import unpacked
from tests.names.docker_roots import CASE, CASES, root_of
from thinmeta.model.pool import open_pool
from thinmeta.names.catalogue import Catalogue, NamedDevice, NameKind
from thinmeta.names.disagreements import Disagreement, DisagreementKind, disagreements
from thinmeta.units import DeviceId


def found(*catalogues: Catalogue, case: str = CASE, image: str = "meta") -> list[Disagreement]:
    with open_pool(unpacked(case, image)) as pool:
        return disagreements(pool.devices, pool.superblock.transaction_id, catalogues)


def docker(case: str = CASE) -> Catalogue:
    return root_of(case).catalogue()


def changed(which: int, change: Callable[[NamedDevice], NamedDevice]) -> Catalogue:
    devices = docker().devices
    return docker()._replace(
        devices=tuple(change(d) if d.device_id == which else d for d in devices)
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("image", ["meta", "meta-live-raw"])
def test_docker_and_its_pool_agree(case: str, image: str) -> None:
    assert found(docker(case), case=case, image=image) == []


def test_a_device_without_a_name_is_told() -> None:
    names = tuple(each for each in docker().devices if each.device_id not in (17, 31))

    one, other = found(docker()._replace(devices=names))

    assert (one.kind, one.device_id, one.name) == (DisagreementKind.UNNAMED, 17, None)
    assert one.what == "device 17 has no name"
    assert other.what == "device 31 has no name: it was just being created or deleted"


def test_names_of_all_sources_count() -> None:
    names = docker().devices

    assert found(*(docker()._replace(devices=part) for part in (names[:5], names[5:]))) == []


def test_a_source_that_names_nothing_is_of_no_account() -> None:
    assert found(Catalogue("lvm", (), transaction_id=0)) == []
    assert found(Catalogue("lvm", (), transaction_id=0), docker()) == []
    assert found() == []


def test_a_name_without_a_device_is_told() -> None:
    gone = NamedDevice(DeviceId(99), NameKind.VOLUME, "vg/gone")

    (only,) = found(docker()._replace(devices=(*docker().devices, gone)))

    assert (only.kind, only.device_id, only.name) == (DisagreementKind.GONE, 99, "vg/gone")
    assert only.what == "volume vg/gone (device 99) is not in the pool"


def test_a_deleted_device_is_told_while_it_is_there() -> None:
    (only,) = found(changed(25, lambda device: device._replace(is_deleted=True)))
    deleted = NamedDevice(DeviceId(99), NameKind.LAYER, "deleted", is_deleted=True)

    assert (only.kind, only.device_id, only.name) == (DisagreementKind.DELETED, 25, "dead1")
    assert found(docker()._replace(devices=(*docker().devices, deleted))) == []


def test_an_id_that_was_given_again_is_told_once() -> None:
    (only,) = found(changed(17, lambda device: device._replace(transaction_id=5)))

    assert (only.kind, only.device_id) == (DisagreementKind.REUSED, 17)
    assert only.what == (
        "image demo2:latest (device 17) was created in transaction 5, the pool's device in 23: "
        "it may be another"
    )


@pytest.mark.parametrize(
    ("known", "what"),
    [
        (47, "what the pool did since is not recorded there"),
        (49, "device 31 was just being created or deleted"),
        (60, "the pool's metadata is older"),
    ],
)
def test_another_transaction_is_told(known: int, what: str) -> None:
    (only,) = found(docker()._replace(transaction_id=known, source="root"))

    assert (only.kind, only.device_id) == (DisagreementKind.POOL_TRANSACTION, None)
    assert only.what == f"the pool is at transaction 48, root at {known}: {what}"
