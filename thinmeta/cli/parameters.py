"""What people type for devices, quantities and formats."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.decorators import FC

if TYPE_CHECKING:
    ParameterType = click.ParamType[Any]
else:  # not generic before click 8.2
    ParameterType = click.ParamType

METADATA_ENVIRONMENT = "THINMETA_POOL"


def from_environment() -> Path | None:
    """Return the metadata that the environment names."""
    value = os.environ.get(METADATA_ENVIRONMENT)
    return Path(value) if value else None


class DeviceParameter(ParameterType):
    """A `DEVICE[@STATE]`, which arrives as a `DeviceSpec`."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what is no device is a usage error."""
        from thinmeta.model.device_spec import DeviceSpec

        return parsed(DeviceSpec.parse, value, self, param, ctx)


class StateParameter(ParameterType):
    """A state of the pool, which arrives as a `State` or `Roots`."""

    name = "state"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what is no state is a usage error."""
        from thinmeta.model.state import parse_state

        return parsed(parse_state, value, self, param, ctx)


class QuantityParameter(ParameterType):
    """A number of blocks, or of bytes with a unit; arrives as a `Quantity`."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what is no number is a usage error."""
        from thinmeta.units import Quantity

        return parsed(Quantity.parse, value, self, param, ctx)


class FileParameter(click.Path):
    """The name of a file; whoever opens it says what is wrong with it."""

    def __init__(self, arrives_as: type) -> None:
        """Take any name: an error of the command line is only what is no name at all."""
        super().__init__(readable=False, path_type=arrives_as)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name, as an unset variable of a shell leaves it: it is no folder `.`."""
        if value == "":
            self.fail("the name of the file is empty", param, ctx)
        return super().convert(value, param, ctx)


class BlockSizeParameter(ParameterType):
    """Sectors of a data block that a pool can have; arrives as an int."""

    name = "sectors"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what no pool can have is a usage error."""
        from thinmeta.units import DATA_BLOCK_SECTORS, impossible_block_size

        sectors = click.INT.convert(value, param, ctx)
        if sectors not in DATA_BLOCK_SECTORS:
            self.fail(impossible_block_size(sectors), param, ctx)
        return sectors


NUMBER = click.IntRange(0, 2**64 - 1)
NUMBER_32 = click.IntRange(0, 2**32 - 1)
BLOCK_SIZE = BlockSizeParameter()
FILE = FileParameter(Path)
DISK = FileParameter(str)
DEVICE = DeviceParameter()
STATE = StateParameter()
QUANTITY = QuantityParameter()


def format_option(
    *names: str, arrives_as: str = "format_name", what: str = "How to print."
) -> Callable[[FC], FC]:
    """Add `-f/--format` with these choices, the first being the default, and `what` as help."""
    return click.option(
        "-f",
        "--format",
        arrives_as,
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        help=what,
    )


def quiet_option(function: FC) -> FC:
    """Add `-q/--quiet`, which arrives as `quiet`."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="No warnings and no progress; errors are shown."
    )(function)


def parsed(
    parse: Callable[[str], Any],
    value: Any,
    kind: ParameterType,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    """Return what `parse` makes of a word; what it refuses is a usage error."""
    if not isinstance(value, (str, Path)):
        return value
    try:
        return parse(str(value))
    except ValueError as error:
        kind.fail(str(error), param, ctx)


def refuse_options(options: tuple[str, ...], how: str, switch: str = "--files") -> None:
    """Fail if one of these options of the command was given.

    Args:
        options: their names, as parameters.
        how: they go with `switch`.
        switch: another option.
    """
    context = click.get_current_context()
    for param in context.command.params:
        is_given = context.get_parameter_source(str(param.name)) is not ParameterSource.DEFAULT
        if param.name in options and is_given:
            raise click.UsageError(f"{param.opts[0]} {how} with {switch}")
