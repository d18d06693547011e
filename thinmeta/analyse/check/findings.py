"""What a check finds, as values."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.columnar import Columns, flags, numbers, texts


class Severity(Enum):
    """How bad a finding is.

    >>> import thinmeta
    >>> [severity.name for severity in thinmeta.Severity]
    ['FATAL', 'NOT_FATAL']
    """

    FATAL = "fatal"
    """Something is lost, or the pool may lose something when it is written to."""

    NOT_FATAL = "not_fatal"
    """All data is there and safe: leaked blocks, nodes filled badly, wrong totals."""


class Part(Enum):
    """A part of the metadata, as it is called in messages."""

    SUPERBLOCK = "superblock"
    DETAILS = "device details"
    DEVICES = "devices"
    """The tree from device ids to mapping trees."""

    MAPPINGS = "mappings"
    DATA_SPACE_MAP = "data space map"
    METADATA_SPACE_MAP = "metadata space map"


class Finding(NamedTuple):
    """One thing that is wrong: where, what, and what is lost by it.

    >>> import lzma, thinmeta
    >>> image = bytearray(lzma.open("fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz").read())
    >>> image[85 * 4096 : 86 * 4096] = bytes(4096)
    >>> with thinmeta.open_pool(image) as pool:
    ...     finding = pool.check().findings[0]
    >>> finding.severity.name, finding.block, finding.device_ids
    ('FATAL', 85, (2,))

    Attributes:
        severity: how bad it is.
        part: which part of the metadata it is in.
        what: what is wrong.
        lost: what is lost by it; None if nothing is.
        block: the metadata block that is bad.
        device_ids: the devices that are hit, ascending.
        in_snapshot: whether only the metadata snapshot is hit, and `device_ids` are its.
        first_key: the lowest key that is hit.
        last_key: the highest.
        key_name: what the keys count.
    """

    severity: Severity
    part: Part
    what: str
    lost: str | None = None
    block: MetadataBlock | None = None
    device_ids: tuple[DeviceId, ...] = ()
    in_snapshot: bool = False
    first_key: int | None = None
    last_key: int | None = None
    key_name: str | None = None


class CheckExtent(Enum):
    """How much to check."""

    SUPERBLOCK = "superblock"
    DEVICES = "devices"
    """The superblock and the two trees of devices."""

    ALL = "all"


class CheckOptions(NamedTuple):
    """What to check.

    Attributes:
        extent: how much of it.
        mapping_root: root of the tree of devices, instead of the superblock's.
        details_root: root of the details tree, instead of the superblock's.
    """

    extent: CheckExtent = CheckExtent.ALL
    mapping_root: MetadataBlock | None = None
    details_root: MetadataBlock | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, and how far it came.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     report = pool.check()
    >>> report.worst, report.nr_devices, report.nr_mappings
    (None, 5, 1986)

    Attributes:
        findings: in the order in which the parts were checked.
        nr_devices: devices of the state that was checked.
        nr_mappings: their mappings that can be read.
        nr_nodes: B-tree nodes that were read, each once.
        space_maps: whether the space maps' counts were held against the trees. They
            are not where that was not asked for.
        lost_references: whether so much of the trees is lost that counts in the space
            maps may rightly be higher than what was counted; such counts are then no
            findings, and neither are leaks.
    """

    findings: tuple[Finding, ...]
    nr_devices: int
    nr_mappings: int
    nr_nodes: int
    space_maps: bool
    lost_references: bool

    def count(self, severity: Severity) -> int:
        """Return how many findings there are of this severity.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.check().count(thinmeta.Severity.FATAL))
        0
        """
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def worst(self) -> Severity | None:
        """The worst severity among the findings; None if there are none."""
        for severity in Severity:
            if self.count(severity):
                return severity
        return None

    def columns(self) -> Columns:
        """Return a row a finding: its attributes, each an array of shape `(n,)`.

        Numbers are int64, -1 where there is none; words are empty then. The devices that
        are hit are words, too: their ids, with commas in between.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     columns = pool.check().columns()
        >>> [*columns][:4], len(columns["severity"])
        (['severity', 'part', 'what', 'lost'], 0)
        """
        rows = self.findings
        return {
            "severity": texts(each.severity.value for each in rows),
            "part": texts(each.part.value for each in rows),
            "what": texts(each.what for each in rows),
            "lost": texts(each.lost for each in rows),
            "block": numbers(each.block for each in rows),
            "device_ids": texts(",".join(map(str, each.device_ids)) for each in rows),
            "in_snapshot": flags(each.in_snapshot for each in rows),
            "first_key": numbers(each.first_key for each in rows),
            "last_key": numbers(each.last_key for each in rows),
            "key_name": texts(each.key_name for each in rows),
        }


class CheckProgress:
    """What a check has gathered so far.

    Attributes:
        findings: in order.
        nr_nodes: nodes that were read.
        lost_references: whether nodes were lost that may refer to other blocks.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.findings: list[Finding] = []
        self.nr_nodes = 0
        self.lost_references = False

    def add(self, findings: Iterable[Finding]) -> None:
        """Append findings."""
        self.findings += findings
