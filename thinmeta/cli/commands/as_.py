"""`thinmeta as`."""

import click

from thinmeta.cli.thin_tools.tool import Release
from thinmeta.cli.thin_tools.tools import TOOLS


@click.command(
    "as", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--compat",
    type=click.Choice([each.value for each in Release]),
    default=Release.V1_1.value,
    show_default=True,
    envvar="THINMETA_COMPAT",
    show_envvar=True,
    help="The release of thin-provisioning-tools to equal.",
)
@click.argument("tool", type=click.Choice([*TOOLS]), metavar="TOOL")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def as_(*, compat: str, tool: str, words: tuple[str, ...]) -> int:
    """Do what TOOL, one of the thin_* tools, does: `thinmeta as thin_dump -m META`.

    Options, output and exit codes are those of thin-provisioning-tools: 0, 2 where the
    command line is wrong, 64 for all else; with --compat 0.9 they are 0 and 1.
    `thinmeta install-names` puts commands of these names into a folder.
    """
    from thinmeta.cli.thin_tools.running import run_as

    return run_as(tool, Release(compat), list(words))
