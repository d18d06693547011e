"""`dump --salvage` prints what the sound pool had, less what bad nodes covered, and says so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from tests.anatomy import FORMATS, Anatomy
from tests.cli.commands.test_dump_damage import BadSectors
from tests.conftest import Thinmeta
from tests.damage import BLOCK, DamagedImage, ImageFile
from tests.needs import IS_THOROUGH
from tests.salvage import corpus
from tests.salvage.corpus import CASES, DELETES, DOCKER, HELD, LONG, SNAPSHOTS, Damaged
from tests.salvage.remains import Remains, bad_blocks, expanded, mappings_by_device, told_in
from tests.salvage.walker import Walker
from tests.test_damage import aged
from thinmeta.schemas.columns import DEVICE_DETAILS

FORMS = ("xml-0.9", "xml-1.1", "json")


class Salvaged:
    """Runs `thinmeta dump --salvage` and holds the output against the model."""

    def __init__(self, thinmeta: Thinmeta) -> None:
        self._thinmeta = thinmeta

    def __call__(self, path: Path, form: str, *options: object) -> Result:
        result = self._thinmeta("dump", "--salvage", *FORMATS[form], *options, path)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def check(self, path: Path, form: str, remains: Remains, *options: object) -> None:
        result = self(path, form, *options)
        assert result.exit_code == (0 if remains.is_complete else 6), result.stderr
        assert told_in(result.stderr) == remains.told()
        if form == "json":
            objects = [json.loads(line) for line in result.stdout.splitlines()]
            assert [each for each in objects if not each["type"].startswith("los")] == (
                remains.json_objects()
            )
            losses = [each for each in objects if each["type"] in ("loss", "lost_range")]
            assert all(
                "the B-tree node " in each.pop("what", "the B-tree node ") for each in losses
            )
            assert losses == remains.losses()
        elif form == "xml-0.9":
            assert result.stdout_bytes == remains.xml()
        else:
            assert_same_pool(result.stdout_bytes, remains)


def assert_same_pool(xml: bytes, remains: Remains) -> None:
    """Assert that an XML of 1.1 has the devices and mappings of the model, in order."""
    assert mappings_by_device(expanded(xml)) == remains.by_device()


@pytest.fixture
def salvaged(thinmeta: Thinmeta) -> Salvaged:
    return Salvaged(thinmeta)


MAKERS: dict[str, tuple[Callable[[Anatomy], Iterator[Damaged]], int]] = {
    "destroyed": (corpus.destroyed, 3),
    "edited": (corpus.edited, 9),
    "misled": (corpus.misled, 6),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_sound_is_printed_and_what_is_lost_is_told(
    maker: str, case: str, form: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    file = ImageFile(tmp_path / "meta.bin", image)
    make, step = MAKERS[maker]
    step *= 1 if IS_THOROUGH else 2
    for damage in list(make(anatomy))[FORMS.index(form) % step :: step]:
        damage.apply(image)
        with file.damaged() as path:
            try:
                salvaged.check(path, form, Remains(case, damage.is_bad))
            except BaseException as error:
                error.add_note(f"{case}: {damage}")
                raise


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, DOCKER])
def test_several_bad_nodes_are_several_ranges(
    case: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    file = ImageFile(tmp_path / "meta.bin", image)
    rng = np.random.default_rng(7)
    nodes = corpus.mapping_nodes(anatomy)
    for seed in range(12):
        bad = rng.choice(nodes, 1 + seed % 5, replace=False).tolist()
        image.zero(*bad)
        with file.damaged() as path:
            salvaged.check(path, FORMS[seed % 3], Remains(case, bad_blocks(bad)))


@pytest.mark.parametrize("case", [SNAPSHOTS, LONG])
def test_bad_nodes_of_taller_trees(case: str, tmp_path: Path, salvaged: Salvaged) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    for root in {anatomy.mapping_tree(device_id)[0].block for device_id in anatomy.device_ids}:
        image.push_down(root, 2)
    image = DamagedImage(image.to_bytes())
    anatomy = Anatomy(image)
    file = ImageFile(tmp_path / "meta.bin", image)
    for damage in list(corpus.destroyed(anatomy))[::13]:
        damage.apply(image)
        with file.damaged() as path:
            for form in ("xml-0.9", "json"):
                salvaged.check(path, form, Remains(case, damage.is_bad, anatomy=anatomy))


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_file_has_lost_what_was_behind_its_end(
    form: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    file = ImageFile(tmp_path / "meta.bin", image)
    trees = max(place.block for place in anatomy.details + anatomy.devices)
    for nr_blocks in range(trees + 1, max(anatomy.nodes()) + 2):
        image.truncate(nr_blocks * BLOCK + 1000 * (nr_blocks % 2))
        with file.damaged() as path:
            bad = [block for block in anatomy.nodes() if block >= nr_blocks]
            salvaged.check(path, form, Remains(DELETES, bad_blocks(bad)))


@pytest.mark.parametrize("gives_what_precedes", [False, True])
@pytest.mark.parametrize("case", [DELETES, DOCKER])
def test_blocks_that_cannot_be_read_are_lost(
    case: str, gives_what_precedes: bool, tmp_path: Path, salvaged: Salvaged
) -> None:
    nodes = corpus.mapping_nodes(Anatomy.of(case))
    path = DamagedImage.with_open_books(case).write_to(tmp_path / "meta.bin")
    for place, block in enumerate(nodes):
        bad = {block, nodes[place * 5 % len(nodes)]}
        with pytest.MonkeyPatch.context() as patch:
            BadSectors(bad, gives_what_precedes=gives_what_precedes).install(patch)
            salvaged.check(path, FORMS[place % 3], Remains(case, bad_blocks(bad)))


def shrunk(image: DamagedImage, nr_data_blocks: int) -> None:
    image.superblock()["data_space_map_root"]["nr_blocks"] = nr_data_blocks
    image.restamp(0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, HELD])
def test_mappings_past_the_data_device_are_left_out_and_counted(
    case: str, form: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    file = ImageFile(tmp_path / "meta.bin", image)
    leaf = corpus.mapping_nodes(anatomy)[-1]
    for nr_data_blocks in (1, 100, 1937, 3000):
        for bad in ([], [leaf]):
            shrunk(image, nr_data_blocks)
            image.zero(*bad)
            remains = Remains(case, bad_blocks(bad), nr_data_blocks=nr_data_blocks)
            with file.damaged() as path:
                salvaged.check(path, form, remains)
                told = salvaged(path, form).stderr
            for each in remains.devices:
                line = (
                    f"device {each.device_id}: {each.beyond} mappings to data blocks past the end"
                )
                assert (line in told) == bool(each.beyond)


@pytest.mark.parametrize("form", FORMS)
def test_an_older_copy_of_a_node_that_fits_is_believed_and_one_that_does_not_is_lost(
    form: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, older = DamagedImage(aged(SNAPSHOTS)), DamagedImage.of(SNAPSHOTS)
    anatomy = Anatomy(image)
    file = ImageFile(tmp_path / "meta.bin", image)
    leaves = sorted({place.block for place in anatomy.mapping_places() if place.is_leaf})
    kinds = set()
    for seed, block in enumerate(leaves[FORMS.index(form) :: 3]):
        bad = [block, leaves[seed * 7 % len(leaves)]]
        image.put_back(older, *bad)
        remains = Remains(SNAPSHOTS, anatomy=anatomy)
        walker = Walker(image)
        for each in remains.devices:
            each.mapped, each.lost = walker.mapping_tree(each.root or 0)
            each.stored = anatomy.mapped_blocks(each.device_id)
        with file.damaged() as path:
            salvaged.check(path, form, remains)
        kinds |= {each.is_complete for each in remains.devices}
    assert kinds == {False, True}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("earlier", "later"),
    [("meta-live-at-reserve", "meta-live-after-changes"), ("meta-live-after-changes", "meta")],
)
def test_blocks_of_an_earlier_state_of_the_pool(
    earlier: str, later: str, form: str, tmp_path: Path, salvaged: Salvaged
) -> None:
    image, older = DamagedImage.of(HELD, later), DamagedImage.of(HELD, earlier)
    anatomy = Anatomy.of(HELD, later)
    file = ImageFile(tmp_path / "meta.bin", image)
    for block in corpus.mapping_nodes(anatomy):
        image.put_back(older, block)
        remains = Remains(HELD, image=later)
        walker = Walker(image)
        for each in remains.devices:
            each.mapped, each.lost = walker.mapping_tree(each.root or 0)
        with file.damaged() as path:
            salvaged.check(path, form, remains)


def test_what_the_details_say_too_low_is_told(tmp_path: Path, salvaged: Salvaged) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    details = image.values(anatomy.details[0].block, DEVICE_DETAILS)
    details["mapped_blocks"][0] = 5
    details["mapped_blocks"][2] += 7
    image.restamp(anatomy.details[0].block)
    path = image.write_to(tmp_path / "meta.bin")
    remains = Remains(DELETES)
    remains.devices[0].stored, remains.devices[2].stored = 5, 647

    for form in FORMS:
        salvaged.check(path, form, remains)

    assert salvaged(path, "json").stderr.splitlines() == [
        "Warning: device 1: has 577 mappings, but its details say 5",
        "Warning: device 5: 7 of the 647 mappings in its details are missing",
        f"Error: {path}: the metadata is damaged: 1 of 5 devices are not complete, 7 mappings are "
        "missing; all that is sound was read",
    ]
