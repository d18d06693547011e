"""`thinmeta install-names`."""

from pathlib import Path

import click

from thinmeta.cli.parameters import FILE
from thinmeta.cli.thin_tools.tool import Release


@click.command("install-names")
@click.argument("folder", metavar="DIR", type=FILE)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="thin_check, thin_repair and thin_restore, too, and those that only refuse.",
)
@click.option(
    "--compat",
    type=click.Choice([each.value for each in Release]),
    help="The release that they equal; else THINMETA_COMPAT says it when they run.",
)
@click.option("--remove", is_flag=True, help="Take them away again.")
def install_names(*, folder: Path, every: bool, compat: str | None, remove: bool) -> None:
    """Put commands named thin_dump, thin_delta, thin_ls and so on into DIR.

    Each runs `thinmeta as` with its name, by the Python that runs this. A file that is there
    is never written over.

    LVM and stratis run thin_check, thin_repair and thin_restore on their own, and go on with
    what these wrote: --all puts them, too, for who wants to have thinmeta's instead.
    """
    from thinmeta.cli.thin_tools.launchers import install, uninstall
    from thinmeta.cli.thin_tools.tools import HARMLESS, TOOLS

    if remove:
        for path in uninstall(folder, tuple(TOOLS)):
            click.echo(f"removed {path}")
        return
    names = tuple(TOOLS) if every else HARMLESS
    for path in install(folder, names, compat):
        click.echo(f"installed {path}")
    if not every:
        left_out = ", ".join(name for name in TOOLS if name not in HARMLESS)
        click.echo(
            f"left out: {left_out}; LVM and stratis run some of these on their own, and rely on "
            "what they write: see --all"
        )
