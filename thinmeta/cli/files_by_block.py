"""The files that are in data blocks, of all devices that map these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.file_options import VolumeChoice, opened_device
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.volume_options import inputs_of

if TYPE_CHECKING:
    from thinmeta.analyse.region_files import RegionRun
    from thinmeta.cli.progress import Progress
    from thinmeta.device.inputs import Inputs
    from thinmeta.errors import InputError
    from thinmeta.files.opened_files import OpenedFiles
    from thinmeta.model.pool import Pool
    from thinmeta.units import DeviceId
    from thinmeta.volume.byte_ranges import ByteRanges


class FilesByBlock:
    """Finds them; what cannot be read is said with its device."""

    def __init__(self, place: VolumeChoice, pool: "Pool", report: DamageReport) -> None:
        """Begin with nothing read.

        Args:
            place: where the files are.
            pool: as it was opened.
            report: the policy of the command.
        """
        self._place = place
        self._pool = pool
        self._report = report
        self._lost = LostFiles(report)

    @property
    def inputs(self) -> "Inputs":
        """What is read, which is never written to."""
        return inputs_of(self._pool, self._place.choice.names, self._place.files)

    def runs(
        self, pool: "Pool", region: "ByteRanges", progress: "Progress"
    ) -> Iterator["RegionRun"]:
        """Yield who maps a region of the data device, and what is there.

        Args:
            pool: what is left of it.
            region: in bytes.
            progress: shows how far it is.
        """
        from thinmeta.analyse.region_files import files_in_region

        return files_in_region(pool, region, self._opened, self._tell, on_progress=progress.advance)

    def finish(self) -> None:
        """Fail if something cannot be read.

        Raises:
            SalvagedError: so it is.
        """
        self._lost.finish()

    @contextmanager
    def _opened(self, device_id: "DeviceId") -> Iterator["OpenedFiles"]:
        chosen = self._place.device(self._pool, device_id)
        with opened_device(self._place, self._pool, chosen, self._report) as files:
            yield files.opened

    def _tell(self, device_id: "DeviceId", path: bytes | None, error: "InputError") -> None:
        from thinmeta.files.file_tree import shown

        where = "" if path is None else f"{shown(path)}: "
        self._lost.lose(f"device {device_id}: {where}{error}")
