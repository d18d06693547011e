"""`thinmeta size`."""

from typing import TYPE_CHECKING, Any

import click

from thinmeta.cli.parameters import QUANTITY, ParameterType, format_option, parsed

if TYPE_CHECKING:
    from thinmeta.formats.thin_metadata_size import SizeUnit, TypedSize
    from thinmeta.units import Quantity


class _Size(ParameterType):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.formats.thin_metadata_size import TypedSize

        return parsed(TypedSize.parse, value, self, param, ctx)


class _Unit(ParameterType):
    name = "unit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.formats.thin_metadata_size import unit_of

        return parsed(unit_of, value, self, param, ctx)


@click.command()
@click.option("-b", "--block-size", type=_Size(), metavar="SIZE", help="Size of a data block.")
@click.option("-s", "--pool-size", type=_Size(), metavar="SIZE", help="Size of the data device.")
@click.option(
    "-m",
    "--max-thins",
    type=click.IntRange(0, 2**64 - 1),
    metavar="INTEGER",
    help="How many devices and snapshots there may be.",
)
@click.option(
    "-u", "--unit", type=_Unit(), default="s", metavar="UNIT", help="Unit of what is printed."
)
@click.option(
    "-n",
    "--numeric-only",
    "numeric",
    is_flag=False,
    flag_value="plain",
    type=click.Choice(["plain", "short", "long"]),
    help="Print the number alone; short, long: with the unit right behind it.",
)
@click.option(
    "--metadata-size",
    type=QUANTITY,
    metavar="SIZE",
    help="The other way round: tell what metadata of this size can hold.",
)
@format_option("text", "json")
@click.option(
    "--compat",
    type=click.Choice(["1.1", "0.9"]),
    default="1.1",
    show_default=True,
    help="The thin_metadata_size to equal.",
)
def size(  # noqa: PLR0913  # one parameter an option
    *,
    block_size: "TypedSize | None",
    pool_size: "TypedSize | None",
    max_thins: int | None,
    unit: "SizeUnit",
    numeric: str | None,
    metadata_size: "Quantity | None",
    format_name: str,
    compat: str,
) -> None:
    """Tell how large a pool's metadata has to be, as thin_metadata_size does.

    Sizes are sectors, or have a unit: b (bytes), s (sectors), k, m, g, t, p, e (powers of
    1024), K, M, G, T, P, E (powers of 1000): `thinmeta size -b 64k -s 1t -m 1000 -u m`.

    With --metadata-size: how many mappings metadata of this size can hold, and how much
    data that is with --block-size: `thinmeta size --metadata-size 16M -b 64k`.
    """
    if metadata_size is not None:
        if pool_size is not None or numeric is not None:
            raise click.UsageError("--metadata-size asks what fits; it takes -b and -m alone")
        click.echo(_capacity(metadata_size, block_size, max_thins or 0, format_name), nl=False)
        return
    if block_size is None or pool_size is None or max_thins is None:
        raise click.UsageError("--block-size, --pool-size and --max-thins are needed")
    from thinmeta.analyse.metadata_size import nr_metadata_blocks, nr_metadata_blocks_0_9
    from thinmeta.formats.thin_metadata_size import size_0_9, size_1_1, size_json

    reckon = nr_metadata_blocks if compat == "1.1" else nr_metadata_blocks_0_9
    nr_blocks = reckon(pool_size.size, block_size.size, max_thins)
    if format_name == "json":
        text = size_json(nr_blocks)
    elif compat == "1.1":
        text = size_1_1(nr_blocks, unit, numeric)
    else:
        text = size_0_9(nr_blocks, unit, numeric, (block_size, pool_size, str(max_thins)))
    click.echo(text, nl=False)


def _capacity(
    metadata_size: "Quantity", block_size: "TypedSize | None", nr_devices: int, format_name: str
) -> bytes:
    from thinmeta.analyse.metadata_size import capacity
    from thinmeta.formats.thin_metadata_size import capacity_json, capacity_text
    from thinmeta.units import METADATA_BLOCK_BYTES

    found = capacity(metadata_size.in_bytes(METADATA_BLOCK_BYTES), nr_devices)
    style = capacity_json if format_name == "json" else capacity_text
    return style(found, block_size.size if block_size else None)
