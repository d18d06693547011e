"""All volumes of a pool, each to a file of its own: `thinmeta extract --all`."""

from pathlib import Path
from typing import TYPE_CHECKING

from thinmeta.cli.ending import failure
from thinmeta.cli.extraction import Extracting
from thinmeta.cli.output import open_output
from thinmeta.cli.volume_options import inputs_of
from thinmeta.device.outputs import errors_of
from thinmeta.errors import (
    Damage,
    DamagedMetadataError,
    ExitCode,
    OutputError,
    ThinmetaError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thinmeta.device.inputs import Inputs
    from thinmeta.formats.extracted import ExtractedVolume
    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.device_table import DeviceTable
    from thinmeta.model.pool import Pool
    from thinmeta.units import DeviceId


def extract_all(pool: "Pool", folder: Path, how: Extracting, *, force: bool) -> None:
    """Write all volumes of a pool, print what became of each, and end as the worst did.

    Args:
        pool: in the state to read.
        folder: where they go; it is made if there is none.
        how: they are written.
        force: write over metadata of a pool.

    Raises:
        OutputError: there can be no such folder.
        ClickException: one was not written whole, or some of them are not known.
    """
    from thinmeta.formats.extracted import extracted_json, extracted_text
    from thinmeta.names.file_names import file_names

    inputs = inputs_of(pool, how.names, how.files)
    with errors_of(str(folder)):
        inputs.refuse(folder / "volume")
    table = how.report.with_lost_lists(pool).device_table
    volumes = _volumes(pool, table, how)
    names = file_names({_id_of(each): each.known_as or str(each.device_id) for each in volumes})
    with errors_of(str(folder)):
        folder.mkdir(exist_ok=True)
    how = how._replace(is_one_of_many=True)
    odd = {damage.device_id: damage for damage in table.disagreements()}
    found = [
        _extracted(each, folder / names[_id_of(each)], how, inputs, odd, force=force)
        for each in volumes
    ]
    with open_output(None, inputs) as file:
        for line in (extracted_json if how.is_json else extracted_text)(found):
            file.write(line)
    _end(pool, found, table.lost, salvage=how.salvage)


def _id_of(chosen: "ChosenDevice") -> int:
    assert chosen.device_id is not None  # as of all that a pool lists
    return chosen.device_id


def _volumes(pool: "Pool", table: "DeviceTable", how: Extracting) -> "list[ChosenDevice]":
    from thinmeta.model.device_spec import ChosenDevice

    found = [ChosenDevice.of(pool, each) for each in table.devices]
    found += [
        ChosenDevice(str(device_id), pool, root, None, device_id)
        for device_id, root in table.without_details.items()
    ]
    return sorted(map(how.names.introduced, found), key=_id_of)


def _extracted(  # noqa: PLR0913  # all that there is to know
    chosen: "ChosenDevice",
    path: Path,
    how: Extracting,
    inputs: "Inputs",
    odd: "Mapping[DeviceId | None, Damage]",
    *,
    force: bool,
) -> "ExtractedVolume":
    """Write a volume, and return what became of it, whatever that is."""
    from thinmeta.formats.extracted import ExtractedVolume

    volume = ExtractedVolume(path.name, _id_of(chosen), chosen.known_as)
    try:
        inputs.refuse(path)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise OutputError(f"{path}: is no file, so nothing is written to it")
        is_odd = chosen.pool.knows_details and chosen.device_id in odd
        if is_odd and not how.salvage:
            raise DamagedMetadataError(odd[chosen.device_id])
        if is_odd:
            how.report.warn(str(odd[chosen.device_id]))
        with how.opened(chosen, None) as (extraction, losses):
            volume = volume._replace(size=extraction.size)
            if how.salvage:
                extraction.rescue(path, inputs, None, force=force)
            else:
                extraction.to_place(path, force=force)
    except ThinmetaError as error:
        return volume._replace(exit_code=error.exit_code, error=str(error))
    is_whole = not (extraction.lost_bytes or is_odd) and (losses is None or losses.is_complete)
    volume = volume._replace(lost_bytes=extraction.lost_bytes)
    return volume if is_whole else volume._replace(exit_code=ExitCode.SALVAGED)


def _end(
    pool: "Pool", found: "list[ExtractedVolume]", lost: "Sequence[Damage]", *, salvage: bool
) -> None:
    """End as the worst volume did: the lowest exit code but 0 is the worst."""
    codes = [each.exit_code for each in found if each.exit_code]
    codes += [ExitCode.SALVAGED if salvage else ExitCode.DAMAGE for _ in lost]
    if not codes:
        return
    name = pool.source.device.name
    words = [f"{name}: {damage}" for damage in lost]
    if nr_bad := sum(bool(each.exit_code) for each in found):
        words.append(
            f"{nr_bad} of {len(found)} volumes were not written whole; the report says why"
        )
    raise failure("; ".join(words), min(codes))
