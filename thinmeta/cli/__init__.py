"""The command `thinmeta`: click only, one file a command, numpy only where it is used."""

import atexit
import gc
import os
from importlib import import_module
from typing import Any

# Many objects are made, no circles of them: looking for these took a fifth of the time. Nor need
# those that are left be looked through at the end, three times over.
gc.set_threshold(100_000, 50)
atexit.register(gc.freeze)

import click  # noqa: E402  # it makes many, too

_COMMANDS = {
    "as": "Do what a tool of thin-provisioning-tools does, option for option.",
    "block": "Show what is in blocks of the metadata, and who refers to them.",
    "cat": "Write the contents of files of a device.",
    "check": "Find all damage, and what is lost by it.",
    "commit": "Write a container as an image, for docker load.",
    "copy": "Copy files of a device to a folder.",
    "deleted": "List the devices that were deleted, and what is left of each.",
    "diff": "Show what changed from one device to another.",
    "dump": "Print the pool as thin_dump prints it.",
    "export": "Write the files of a container as docker export does.",
    "extract": "Write the contents of a device as a sparse image.",
    "fate": "Show what became of the data of a device of a past state.",
    "files": "List the files of a device.",
    "install-names": "Put commands named thin_dump and so on into a folder.",
    "info": "Show how full a pool is, and what its superblock says.",
    "layers": "Show what Docker's images and containers are made of.",
    "lookup": "Show where blocks of a device are, and who shares them.",
    "ls": "List the devices, what each takes, and its snapshots.",
    "lvm": "List LVM's groups on disks, versions of their texts, and volumes, removed ones too.",
    "pack": "Write metadata as a small file to be sent, as thin_metadata_pack does.",
    "restore": "Make metadata from XML.",
    "repair": "Make new metadata out of what is left of a broken pool's.",
    "rmap": "Show which devices map which data blocks.",
    "save": "Write Docker's images, proven by their hashes, for docker load.",
    "scan": "List older states and deleted devices that are left in the metadata.",
    "size": "Tell how large a pool's metadata has to be, or how much it can hold.",
    "table": "Print what to type on a host to read a device.",
    "tar": "Write the files of a device as a tar that keeps everything.",
    "undelete": "Make new metadata that has deleted devices again.",
    "unpack": "Write the image that a pack file was made from.",
}
"""Each is a function in a module, both of its name, in `commands`; `--help` loads none."""

_NAMES = {"as": "as_", "install-names": "install_names"}
"""Of those whose name is none of Python's."""

_FREED_AT_ONCE = 4_000_000


class _Commands(click.Group):
    """Loads a command when it is asked for; makes library errors messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        name = _NAMES.get(cmd_name, cmd_name)
        command: click.Command = getattr(import_module(f"{__name__}.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def main(self, *args: Any, **others: Any) -> Any:
        from thinmeta.cli.ending import run

        click_main: Any = super().main
        if not others.pop("standalone_mode", True):
            return click_main(*args, standalone_mode=False, **others)
        raise SystemExit(run(lambda: click_main(*args, standalone_mode=False, **others)))

    def invoke(self, ctx: click.Context) -> Any:
        from thinmeta.errors import ThinmetaError

        # The C library then keeps twice as much of what is freed, instead of giving it back for
        # each piece of the metadata to ask for it again: a tenth of the time. See mallopt(3).
        # A bytearray would be written to, which takes milliseconds.
        bytes(_FREED_AT_ONCE)
        # Nothing here uses the threads that numpy's linear algebra would start.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            return super().invoke(ctx)
        except ThinmetaError as error:
            from thinmeta.cli.ending import failure

            raise failure(str(error), error.exit_code) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="thinmeta", message="%(version)s")
def main() -> None:
    """Understand a dm-thin pool from its metadata alone, without the kernel.

    Exit codes: 0 done; 2 usage; 3 the input cannot be used; 4 not there; 5 damage,
    output incomplete; 6 damage, all that is sound was read; 7 check found only what is
    not fatal; 1 anything else. docs/exit-codes.md says more.
    """
