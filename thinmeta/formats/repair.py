"""What `repair` has written, for people and for programs."""

from collections.abc import Iterator
from pathlib import Path

from thinmeta.builder.restore import Restored
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line


def repaired_text(output: Path, restored: Restored) -> Iterator[bytes]:
    """Return what was written, in a line."""
    yield text_line(
        f"{output}: {restored.nr_devices} devices with {restored.nr_mappings} mappings, "
        f"{restored.nr_allocated} of {restored.nr_blocks} metadata blocks in use"
    )


def repaired_json(output: Path, restored: Restored) -> Iterator[bytes]:
    """Return what was written, as an object."""
    yield json_line(
        type="repaired",
        output=str(output),
        nr_devices=restored.nr_devices,
        nr_mappings=restored.nr_mappings,
        nr_data_blocks=restored.nr_data_blocks,
        metadata_nr_blocks=restored.nr_blocks,
        metadata_nr_allocated=restored.nr_allocated,
    )
