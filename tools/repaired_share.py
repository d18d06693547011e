"""Count the mappings that repairs keep of each pool of `fixtures/`, damaged in every way.

They are held against the sound pool: only right ones count. The tools are in .reference-tools
(see tools/reference-tools). To print each damage of which another tool keeps more, and to write
the table into docs/repair.md, or to look at some cases only:

    PYTHONPATH=. .venv/bin/python tools/repaired_share.py [CASE...]
"""

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.anatomy import Anatomy
from tests.cases import image_names, unpacked
from tests.conformance import reference_tools
from tests.damage import DamagedImage, ImageFile
from tests.in_process import invoked
from tests.salvage.repairs import Kept, Mapped, repair_cases

FIELDS_OF = frozenset({"a09-discards-and-deletes"})
"""Of these each field of each structure is changed as well."""

DOCUMENT = Path("docs/repair.md")
BEGIN, END = "<!-- Made by tools/repaired_share.py -->\n", "<!-- Its end -->\n"
SECONDS = 20
"""That a tool may take."""


@dataclass
class Row:
    """A kind of damage: how often, of how many mappings, and what each tool kept."""

    nr_damages: int = 0
    nr_mappings: int = 0
    nr_behind: int = 0
    kept: list[Kept] = field(default_factory=lambda: [Kept(0, 0)] * 3)

    def add(self, nr_mappings: int, kept: tuple[Kept, ...]) -> None:
        """Add one damage; the first tool is ours."""
        self.nr_damages += 1
        self.nr_mappings += nr_mappings
        self.nr_behind += max(kept).right > kept[0].right
        self.kept = [
            Kept(a.right + b.right, a.wrong + b.wrong) for a, b in zip(self.kept, kept, strict=True)
        ]

    def cells(self) -> Iterator[str]:
        """Return what stands in the table."""
        yield f"{self.nr_damages:,}"
        for each in self.kept:
            share = f"{100 * each.right / max(1, self.nr_mappings):.1f} %"
            yield f"{share}, {each.wrong:,} wrong" if each.wrong else share
        yield f"{self.nr_behind:,}"


def main() -> None:
    """Count; write the table if all cases were tried."""
    rows: dict[str, Row] = defaultdict(Row)
    for case, image in image_names():
        if image != "meta" or (sys.argv[1:] and case not in sys.argv[1:]):
            continue
        for kind, name, total, kept in _repaired(case, image):
            rows[kind].add(total, kept)
            if max(kept).right > kept[0].right:
                told = (f"{each.right}, {each.wrong} wrong" for each in kept)
                sys.stdout.write(f"{case} {image}: {kind}: {name}: {'; '.join(told)}\n")
                sys.stdout.flush()
    versions = " | ".join(f"thin_repair {version}" for version in reference_tools.VERSIONS)
    lines = [f"| lost or changed | damages | thinmeta | {versions} | it keeps less in |"]
    lines += ["|" + "---|" * 6]
    lines += [f"| {' | '.join((kind, *row.cells()))} |" for kind, row in rows.items()]
    table = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(table)
    if not sys.argv[1:]:
        text = DOCUMENT.read_text()
        before, _, rest = text.partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}")


def _repaired(case: str, image: str) -> Iterator[tuple[str, str, int, tuple[Kept, ...]]]:
    """Return kind and name of each damage, how many mappings there were, and what is kept."""
    sound, damaged = Mapped.of(unpacked(case, image)), DamagedImage.of(case, image)
    superblock, size = damaged.sound[0].tobytes(), damaged.size
    sectors = int.from_bytes(superblock[336:340], "little")
    nr_data_blocks = Anatomy(damaged).nr_data_blocks
    overrides = ["--transaction-id", 1, "--data-block-size", sectors]
    overrides += ["--nr-data-blocks", nr_data_blocks]
    fields = case in FIELDS_OF and image == "meta"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file, new = ImageFile(Path(folder, "old"), damaged), Path(folder, "new")
        for each in list(repair_cases(damaged, fields=fields)):
            each.apply(damaged)
            with file.damaged() as path:
                kept = []
                for version in (None, *reference_tools.VERSIONS):
                    for more in ([], overrides):
                        new.unlink(missing_ok=True)
                        args = ["-i", path, "-o", new, *more]
                        if version is None:
                            invoked("repair", "-q", *args)
                        elif not _is_repaired(version, new, size, args):
                            new.unlink()
                        if new.exists():
                            break
                    kept.append(sound.kept_by(Mapped.of(new)) if new.exists() else Kept(0, 0))
            yield each.kind, each.name, sound.total, tuple(kept)


def _is_repaired(version: str, new: Path, size: int, args: list[object]) -> bool:
    """Run thin_repair, which wants a file to write to that is as large as it is to be."""
    with new.open("wb") as file:
        file.truncate(size)
    tool = reference_tools.FOLDER / version / "thin_repair"
    try:
        ran = subprocess.run(
            [tool, *map(str, args)], capture_output=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return not ran.returncode


if __name__ == "__main__":
    main()
