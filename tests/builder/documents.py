"""XML documents of pools, made at random, and what a slow reader makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

Run = tuple[int, int, int, int]
"""Origin block, data block, length, time."""


@dataclass
class Document:
    """A pool as a dump would list it; a string among the runs refers to a definition."""

    shared: dict[str, Sequence[Run]] = field(default_factory=dict)
    devices: dict[int, Sequence[Run | str]] = field(default_factory=dict)
    nr_data_blocks: int = 100_000

    def mapped(self, device_id: int) -> dict[int, tuple[int, int]]:
        """Return data block and time of each origin block."""
        found: dict[int, tuple[int, int]] = {}
        for part in self.devices[device_id]:
            for run in self.shared[part] if isinstance(part, str) else [part]:
                origin_block, data_block, length, time = run
                for each in range(length):
                    assert origin_block + each not in found
                    found[origin_block + each] = data_block + each, time
        return found

    def xml(self) -> str:
        """Return it laid out as thin_dump 1.x does."""
        lines = [
            '<superblock uuid="" time="9" transaction="7" version="2" data_block_size="128"'
            f' nr_data_blocks="{self.nr_data_blocks}">'
        ]
        for name, runs in self.shared.items():
            lines += [f'  <def name="{name}">', *map(line, runs), "  </def>"]
        for device_id, parts in self.devices.items():
            lines.append(
                f'  <device dev_id="{device_id}" mapped_blocks="{len(self.mapped(device_id))}"'
                ' transaction="3" creation_time="4" snap_time="5">'
            )
            lines += [f'    <ref name="{p}"/>' if isinstance(p, str) else line(p) for p in parts]
            lines.append("  </device>")
        return "\n".join([*lines, "</superblock>"])


def line(run: Run) -> str:
    origin_block, data_block, length, time = run
    if length == 1:
        return (
            f'    <single_mapping origin_block="{origin_block}" data_block="{data_block}"'
            f' time="{time}"/>'
        )
    return (
        f'    <range_mapping origin_begin="{origin_block}" data_begin="{data_block}"'
        f' length="{length}" time="{time}"/>'
    )


@st.composite
def runs(draw: st.DrawFn, begin: int, most: int, *, repeats: bool) -> list[Run]:
    """Return runs from `begin` on: of about `most` mappings, single ones and long ones.

    With `repeats` a device may map a data block more than once, which no kernel does.
    """
    nr_mappings = draw(st.integers(0, most))
    longest = draw(st.sampled_from([1, 1, 3, 300]))
    random = draw(st.randoms(use_true_random=False))
    found: list[Run] = []
    while nr_mappings > 0:
        length = min(nr_mappings, random.randint(1, longest))
        begin += random.choice([0, 1, 1, 7])
        apart = begin + random.choice([0, 40_000])
        data_block = random.randrange(100_000 - 300) if repeats else apart
        found.append((begin, data_block, length, random.randrange(9)))
        begin += length
        nr_mappings -= length
    return found


@st.composite
def documents(draw: st.DrawFn, most: int = 700, *, repeats: bool = True) -> Document:
    """Return pools whose devices share definitions, large and small, in any combination."""
    made = Document()
    names = [f"d{number}" for number in range(draw(st.integers(0, 4)))]
    begins = {}
    begin = 0
    for name in names:
        begin += 1000  # room for what a device has of its own
        begins[name] = begin
        made.shared[name] = draw(runs(begin, most, repeats=repeats))
        begin = end_of(made.shared[name], begin)
    for device_id in range(draw(st.integers(0, 4))):
        parts: list[Run | str] = []
        begin = 0
        for name in [name for name in names if draw(st.booleans())]:
            own = draw(st.sampled_from([0, 0, 5, 90, 300]))
            parts += [
                run
                for run in draw(runs(begin, own, repeats=repeats))
                if run[0] + run[2] <= begins[name]
            ]
            parts.append(name)
            begin = end_of(made.shared[name], begins[name])
        parts += draw(runs(begin, draw(st.sampled_from([0, 5, 100, 700])), repeats=repeats))
        made.devices[device_id * 3] = parts
    return made


def end_of(found: Sequence[Run], begin: int) -> int:
    return found[-1][0] + found[-1][2] if found else begin
