"""The table of the thin_* tools: each option, and what it is to thinmeta.

Facts from running thin-provisioning-tools 1.1.0 and 0.9.0, and their `--help`.
"""

from dataclasses import replace

from thinmeta.cli.thin_tools.tool import (
    Option,
    Release,
    Tool,
    existing,
    fields,
    number,
    one_of,
    pack_file,
    path,
    region,
    size,
    unit,
)

_NEW, _OLD = Release.V1_1, Release.V0_9
_U32, _U64 = number(32), number(64)

_LEVEL = Option(("-v",), "", many=True, only=_NEW, help="Nothing more is said.")
_ENGINE = Option(
    ("--io-engine",),
    "",
    one_of("sync", "async", "spindle"),
    only=_NEW,
    help="There is only one way to read.",
)
_QUIET = Option(("-q", "--quiet"), "--quiet", only=_NEW, help="Say nothing; the exit code tells.")
_SNAPSHOT = Option(("-m", "--metadata-snap"), "--metadata-snap", help="Read the metadata snapshot.")
_SNAPSHOT_AT = Option(
    ("-m", "--metadata-snap"),
    "--metadata-snap",
    _U64,
    attached=True,
    help="Read the metadata snapshot; BLOCK is where 0.9.0 expects it.",
)
_SNAPSHOTS = (replace(_SNAPSHOT, only=_NEW), replace(_SNAPSHOT_AT, only=_OLD))
_OUTPUT = Option(("-o", "--output"), "--output={}", path, help="Write to this file.")
_INPUT = Option(("-i", "--input"), "--input={}", existing, help="What to read.")
_TRANSACTION = Option(
    ("--transaction-id",), "--transaction-id={}", _U64, help="The transaction id, if higher."
)
_BLOCK_SIZE = Option(
    ("--data-block-size",), "--data-block-size={}", _U32, help="Sectors of a data block."
)
_NR_BLOCKS = Option(
    ("--nr-data-blocks",), "--nr-data-blocks={}", _U64, help="Number of data blocks, if higher."
)
_COLUMNS = "The columns, with commas between them."
_FORCE = Option(("-f", "--force"), "--force", help="Write over what is there.")
_ROOTS = ("--override-mapping-root", "--override-details-root")

_WITH_NO_REPAIR = (
    *("-m", *_ROOTS),
    *("--super-block-only", "--skip-mappings", "--ignore-non-fatal-errors"),
)
_CLEAR = Option(
    ("--clear-needs-check-flag",), "--clear-needs-check-flag", help="Check; nothing is written."
)

_DUMP = Tool(
    ("dump", "--ignore-unknown"),
    (
        Option(
            ("-f", "--format"),
            "--format={}",
            one_of("xml", "human_readable"),
            help="xml or human_readable.",
        ),
        Option(
            ("-r", "--repair"),
            "--repair",
            excludes=("-m",),
            help="Print all that can be read of damaged metadata.",
        ),
        _SNAPSHOT_AT,
        Option(("--dev-id",), "--dev-id={}", _U64, many=True, help="Only this device."),
        Option(
            ("--skip-mappings",),
            "--skip-mappings",
            only=_NEW,
            drops="--dev-id",  # 1.1.0 then lists all
            help="Devices only, and all of them.",
        ),
        Option(("--skip-mappings",), "--skip-mappings", only=_OLD, help="Devices only."),
        _OUTPUT,
        _QUIET,
        _TRANSACTION,
        _BLOCK_SIZE,
        _NR_BLOCKS,
        _LEVEL,
        _ENGINE,
    ),
)

_DELTA = Tool(
    ("diff", "--format=xml"),
    (
        Option(("--thin1", "--snap1"), "{}", _U64, excludes=("--root1",), help="The left device."),
        Option(
            ("--root1",), "root:{}", _U64, only=_NEW, help="The left device, by its root block."
        ),
        Option(("--thin2", "--snap2"), "{}", _U64, excludes=("--root2",), help="The right device."),
        Option(
            ("--root2",), "root:{}", _U64, only=_NEW, help="The right device, by its root block."
        ),
        *_SNAPSHOTS,
        Option(("--verbose",), "--verbose", help="Show data blocks."),
        _ENGINE,
    ),
    takes="--pool={}",
    required=(("--thin1", "--root1"), ("--thin2", "--root2")),
)

_RMAP = Tool(
    ("rmap",),
    (
        Option(("--region",), "--region={}", region, many=True, help="These data blocks, B..E."),
        _ENGINE,
    ),
    required=(("--region",),),
)

_LS = Tool(
    ("ls", "--fields=DEV,MAPPED,CREATE_TIME,SNAP_TIME"),  # no names, whoever knows any
    (
        Option(
            ("-o", "--format"),
            "--fields={}",
            fields("NEW", "RUNS", "NAME"),
            only=_NEW,
            help=_COLUMNS,
        ),
        Option(
            ("-o", "--format"),
            "--fields={}",
            fields("NEW", "RUNS", "NAME", "HIGHEST_"),
            only=_OLD,
            help=_COLUMNS,
        ),
        *_SNAPSHOTS,
        Option(("--no-headers",), "--no-headers", help="No line with the columns' names."),
        _LEVEL,
        _ENGINE,
    ),
)

_CHECK = Tool(
    ("check",),
    (
        Option(("-q", "--quiet"), "--quiet", help="Say nothing; the exit code tells."),
        Option(("--super-block-only",), "--super-block-only", help="Only the superblock."),
        Option(("--skip-mappings",), "--skip-mappings", help="Not the mapping trees."),
        Option(
            ("--ignore-non-fatal-errors",),
            "--ignore-non-fatal",
            help="End with 0 where only leaks or the like are found.",
        ),
        replace(_CLEAR, only=_NEW, excludes=("-m", *_ROOTS)),
        replace(_CLEAR, only=_OLD, excludes=_WITH_NO_REPAIR),
        Option(
            ("--auto-repair",),
            "--auto-repair",
            excludes=_WITH_NO_REPAIR,
            help="Check; nothing is written.",
        ),
        _SNAPSHOT,
        Option((_ROOTS[0],), "--mapping-root={}", _U64, help="Root of the mapping trees."),
        Option(
            (_ROOTS[1],), "--details-root={}", _U64, only=_NEW, help="Root of the device details."
        ),
        _LEVEL,
        _ENGINE,
    ),
)

_REPAIR = Tool(
    ("repair", "--force", "--no-report"),
    (_INPUT, _OUTPUT, _QUIET, _TRANSACTION, _BLOCK_SIZE, _NR_BLOCKS, _LEVEL, _ENGINE),
    takes=None,
    required=(("-i",), ("-o",)),
    needs_output=True,
    ignores_words=1,  # LVM calls it with an empty one
)

_RESTORE = Tool(
    ("restore", "--force", "--never-lower"),
    (
        _INPUT,
        _OUTPUT,
        Option(("-q", "--quiet"), "--quiet", help="Say nothing; the exit code tells."),
        _TRANSACTION,
        _BLOCK_SIZE,
        _NR_BLOCKS,
        _LEVEL,
        _ENGINE,
    ),
    takes=None,
    required=(("-i",), ("-o",)),
    needs_output=True,
)

_PACK = Tool(("pack",), (_INPUT, _OUTPUT, _FORCE, _ENGINE), takes=None, required=(("-i",), ("-o",)))
_UNPACK = Tool(
    ("unpack",),
    (replace(_INPUT, check=pack_file), _OUTPUT, _FORCE, _ENGINE),
    takes=None,
    required=(("-i",), ("-o",)),
)

_SIZE = Tool(
    ("size",),
    (
        Option(("-b", "--block-size"), "--block-size={}", size, help="Size of a data block."),
        Option(("-s", "--pool-size"), "--pool-size={}", size, help="Size of the data device."),
        Option(("-m", "--max-thins"), "--max-thins={}", _U64, help="Devices and snapshots."),
        Option(("-u", "--unit"), "--unit={}", unit, help="Unit of what is printed."),
        Option(
            ("-n", "--numeric-only"),
            "--numeric-only={}",
            one_of("short", "long"),
            attached=True,
            default="plain",
            help="The number alone; short, long: with its unit.",
        ),
    ),
    takes=None,
    required=(("-b",), ("-s",), ("-m",)),
)


def _writer_of(what: str, instead: str) -> Tool:
    return Tool((), refusal=f"{what}, which thinmeta never does; {instead}")


TOOLS: dict[str, Tool] = {
    "thin_dump": _DUMP,
    "thin_delta": _DELTA,
    "thin_ls": _LS,
    "thin_rmap": _RMAP,
    "thin_metadata_pack": _PACK,
    "thin_metadata_unpack": _UNPACK,
    "thin_metadata_size": _SIZE,
    "thin_check": _CHECK,
    "thin_repair": _REPAIR,
    "thin_restore": _RESTORE,
    "thin_trim": _writer_of(
        "discards blocks of the data device",
        "thinmeta info shows how many are free, and thin-provisioning-tools has a thin_trim",
    ),
    "thin_shrink": _writer_of(
        "moves blocks of the data device",
        "thinmeta rmap shows who is in the way, and thin-provisioning-tools has a thin_shrink",
    ),
    "thin_migrate": _writer_of(
        "writes to the device that it copies to",
        "thinmeta extract writes a sparse image, and thin-provisioning-tools has a thin_migrate",
    ),
}
"""Each by its name."""

WITH_COMPAT = frozenset({"dump", "diff", "ls", "size"})
"""Commands that print what a release prints, and are told which."""

HARMLESS = tuple(TOOLS)[:7]
"""Those that only read, or write a file that nobody boots from."""
