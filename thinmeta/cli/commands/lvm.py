"""`thinmeta lvm`."""

from pathlib import Path

import click

from thinmeta.cli.bad_map_option import bad_map_option, bad_map_words
from thinmeta.cli.damage import DamageReport
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DISK, format_option, quiet_option


@click.command()
@click.argument("lvm", metavar="DISK...", type=DISK, nargs=-1, required=True)
@bad_map_option
@format_option("text", "json")
@output_option
@quiet_option
def lvm(  # one parameter an option
    *, lvm: tuple[str, ...], format_name: str, output: Path | None, quiet: bool
) -> None:
    """List LVM's groups on DISKs: versions of their texts, pools, volumes, removed ones.

    DISK is what --lvm takes: a disk or an image of one, FILE@OFFSET where the physical
    volume begins further on, a text that vgcfgbackup wrote, or a folder such as /etc/lvm.
    Names are printed as --lv, --metadata-lv and DEVICE take them.
    """
    from thinmeta.device.inputs import Inputs
    from thinmeta.formats.lvm import lvm_json, lvm_text
    from thinmeta.lvm.lvm_state import read_lvm
    from thinmeta.names.lvm_groups import listed_groups

    report = DamageReport(quiet=quiet)
    with read_lvm(lvm) as state:
        for note in state.notes:
            report.warn(note)
        groups = listed_groups(state)
        words = [word for file in lvm for word in ("--lvm", file)] + bad_map_words()
        words += [] if state.has_disks else ["-p", "METADATA"]
        lines = lvm_json(groups) if format_name == "json" else lvm_text(groups, words)
        with open_output(output, Inputs(*map(Path, lvm))) as file:
            for line in lines:
                file.write(line)
