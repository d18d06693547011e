"""Groups of devices, of which a command says what deleting all of them frees."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from thinmeta.cli.parameters import ParameterType

if TYPE_CHECKING:
    from thinmeta.cli.damage import DamageReport
    from thinmeta.cli.metadata import MetadataChoice
    from thinmeta.cli.progress import Progress
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool
    from thinmeta.units import DeviceId


class Group(NamedTuple):
    """Devices and what they are called together."""

    name: str
    device_ids: "Sequence[DeviceId]"


class DeviceListParameter(ParameterType):
    """A comma separated list of devices, which arrives as `DeviceSpec`s."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what is no device, or names a state, is a usage error."""
        from thinmeta.model.device_spec import DeviceSpec

        if not isinstance(value, str):
            return value
        try:
            specs = [DeviceSpec.parse(each) for each in value.split(",")]
        except ValueError as error:
            self.fail(str(error), param, ctx)
        for spec in specs:
            if spec.state is not None or (spec.name is None and spec.device_id is None):
                self.fail(
                    f"{spec.text!r}: give devices of one state, which --state chooses", param, ctx
                )
        return specs


def chosen_groups(
    choice: "MetadataChoice", pool: "Pool", groups: "Sequence[Sequence[DeviceSpec]]"
) -> list[Group]:
    """Return the groups that were typed; errors as of `MetadataChoice.choose`."""
    from thinmeta.model.device_spec import choose_device

    found = []
    for specs in groups:
        ids = [choose_device(pool, choice.resolved(pool, spec)).device_id for spec in specs]
        name = ",".join(spec.text for spec in specs)
        found.append(Group(name, [each for each in ids if each is not None]))
    return found


def freed_lines(  # noqa: PLR0913  # what the answer needs and how it is shown
    pool: "Pool",
    losses: "Losses | None",
    groups: Sequence[Group],
    report: "DamageReport",
    progress: "Progress",
    *,
    as_json: bool,
    headers: bool = True,
) -> Iterator[bytes]:
    """Return what is free once the devices of each group are gone, and warn of what keeps it."""
    from thinmeta.analyse.freed import freed_together
    from thinmeta.formats.freed import freed_json, freed_text

    found = freed_together(
        pool,
        [group.device_ids for group in groups],
        losses=losses,
        on_progress=progress.advance,
    )
    for each, group in zip(found, groups, strict=True):
        if each.kept:
            report.warn(
                f"{group.name}: {'' if each.is_exact else 'at most '}{each.kept} of these blocks "
                "stay taken until the metadata snapshot is released: "
                "dmsetup message POOL 0 release_metadata_snap"
            )
    names = [group.name for group in groups]
    block_bytes = pool.data_block_bytes()
    if as_json:
        return freed_json(found, names, block_bytes)
    return freed_text(found, names, block_bytes, headers=headers)
