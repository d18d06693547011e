#!/usr/bin/env python3
"""Write the documents that say what the code says: layout, exit codes, command line.

    .venv/bin/python tools/generate_docs.py            # write docs/
    .venv/bin/python tools/generate_docs.py --check    # is docs/ what would be written?

New schemas, error classes and commands need no change here.
"""

import argparse
import ast
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from construct import Array, Bytes, Construct, FormatField, Renamed, Struct, Transformed

from thinmeta import errors, schemas, units
from thinmeta.cli import main as thinmeta
from thinmeta.cli.thin_tools.tools import TOOLS
from thinmeta.schemas import checksum
from thinmeta.schemas.columns import CHILD, bit_fields
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.walk import nodes

CHECKOUT = Path(__file__).resolve().parents[1]

NOTICE = "<!-- Made by tools/generate_docs.py: `make docs` writes it anew. -->\n"

TEXT_WIDTH = 78
"""What click writes on a terminal of 80 columns."""

SUPERBLOCK_FIRST = ("superblock", "btree_node", "space_map")
"""The order in which a reader meets the structures; other schemas come after these."""


def on_disk_format() -> str:
    """Return `docs/on-disk-format.md`, from the schemas."""
    modules = _schema_modules()
    parts = [
        "# On-disk format\n",
        NOTICE,
        f"The metadata device is an array of blocks of {units.METADATA_BLOCK_BYTES} bytes. "
        "Block 0 is the superblock. All numbers are little endian: `__le32` has 4 bytes, "
        "`__le64` has 8. Names are the kernel's.\n",
        f"## {_title(checksum)}\n",
        _prose(checksum),
        "Bytes 0..3 of a block are the CRC-32C of bytes 4..4095 without the final inversion, xor "
        "the salt of the kind of block: the constants below that end in `_CSUM_XOR`.\n",
    ]
    for module in modules:
        if any(_structures(module)):
            parts += _module_parts(module)
    parts += ["## Trees\n", _trees(), "## When a node is damaged\n", _invariants()]
    others = [module for module in modules if not any(_structures(module))]
    parts += ["## Other numbers\n", *_constants([*others, units])]
    return _document(parts)


def exit_codes() -> str:
    """Return `docs/exit-codes.md`, from `thinmeta.errors`."""
    codes = ((str(code.value), code.meaning) for code in errors.ExitCode)
    classes = (
        (f"`{error.__name__}`", str(int(error.exit_code)), _first_line(error))
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ThinmetaError)
    )
    return _document(
        [
            "# Exit codes\n",
            NOTICE,
            "Every command ends with one of these.\n",
            _table(("code", "meaning"), codes),
            "What went wrong is the last line on standard error, after `Error: `.\n",
            "## Errors of the library\n",
            "All are `ThinmetaError`; each has its `exit_code`. Standard output holds what was "
            "printed before.\n",
            _table(("class", "code", "when"), classes),
        ]
    )


def command_line() -> str:
    """Return `docs/cli.md`, from what every command prints for `--help`."""
    parts = [
        "# Command line\n",
        NOTICE,
        "What `--help` prints, command by command. [Exit codes](exit-codes.md) are the same "
        "for all.\n",
    ]
    for path, text in command_helps():
        page = f"{path.split()[-1]}.md"
        more = f"More in [{page}]({page}).\n" if (CHECKOUT / "docs" / page).exists() else ""
        parts += [f"## {path}\n", more, f"```text\n{text}\n```\n"]
    return _document(parts)


def thin_tools_options() -> str:
    """Return `docs/thin-tools-options.md`, from the table of the tools."""
    parts = [
        "# Options of the thin_* tools\n",
        NOTICE,
        "What each option is to thinmeta, behind [`thinmeta as`](thin-tools.md). Where nothing is "
        "named the option is taken, and changes nothing.\n",
    ]
    for name, tool in TOOLS.items():
        if tool.refusal is not None:
            continue
        rows = [
            (
                ", ".join(f"`{spelling}`" for spelling in option.names),
                option.only.version if option.only else "",
                f"`{option.becomes.format('VALUE')}`" if option.becomes else "",
                option.help,
            )
            for option in tool.options
        ]
        behind = " ".join(tool.words[:1])
        heads = ("option", "only", f"thinmeta {behind}", "")
        parts += [f"## {name}\n", _table(heads, rows)]
    return _document(parts)


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "docs/on-disk-format.md": on_disk_format,
    "docs/exit-codes.md": exit_codes,
    "docs/cli.md": command_line,
    "docs/thin-tools-options.md": thin_tools_options,
}


def command_helps() -> Iterator[tuple[str, str]]:
    """Return each command's full name, and what it prints for `--help`."""
    context = thinmeta.make_context(
        "thinmeta", [], resilient_parsing=True, terminal_width=TEXT_WIDTH
    )
    yield from _helps(thinmeta, context)


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _helps(child, click.Context(child, context, info_name=name))


def _schema_modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(schemas.__path__)]
    first = [name for name in SUPERBLOCK_FIRST if name in names]
    rest = [name for name in names if name not in first]
    return [import_module(f"{schemas.__name__}.{name}") for name in [*first, *rest]]


def _module_parts(module: ModuleType) -> list[str]:
    parts = [f"## {_title(module)}\n", _prose(module), *_constants([module])]
    docs = _docs_after(module)
    for variable, schema in _structures(module):
        parts += _structure_parts(schema, docs.get(variable, ""))
    return parts


def _structures(module: ModuleType) -> Iterator[tuple[str, Construct]]:
    """Return the schemas that a module defines, by variable."""
    for variable in _sources(module):
        value = getattr(module, variable)
        if isinstance(value, Construct):
            yield variable, value


def _structure_parts(schema: Construct, doc: str) -> list[str]:
    meaning = _sentence(doc or schema.docs)
    kind = _unnamed(schema)
    of_type = "" if isinstance(kind, Struct) else f", {_type(schema)}"
    parts = [
        f"### {schema.name}\n",
        f"{schema.sizeof()} byte{'s' if schema.sizeof() > 1 else ''}{of_type}. {meaning}".strip()
        + "\n",
    ]
    if isinstance(kind, Struct):
        parts.append(_table(("offset", "size", "type", "field", "meaning"), _field_rows(kind)))
    elif isinstance(_innermost(kind), Struct):
        parts.append(_table(("bits", "field", "meaning"), _bit_rows(kind)))
    return parts


def _field_rows(struct: Construct) -> Iterator[tuple[str, ...]]:
    offset = 0
    for field in struct.subcons:
        name = f"`{field.name}`" if field.name else ""
        yield str(offset), str(field.sizeof()), _type(field), name, field.docs or ""
        offset += field.sizeof()


def _bit_rows(packed: Construct) -> Iterator[tuple[str, ...]]:
    fields = bit_fields(packed)
    for field in _innermost(packed).subcons:
        shift, mask = fields[field.name]
        yield f"{shift}..{shift + mask.bit_length() - 1}", f"`{field.name}`", field.docs or ""


def _type(schema: Construct) -> str:  # noqa: PLR0911  # one return a kind of type
    """Return a field's type as the kernel would spell it, in Markdown."""
    match _unnamed(schema):
        case FormatField() as number:
            return _number(number.length)
        case Bytes() as raw:
            return f"`__u8[{raw.length}]`"
        case Array() as array:
            return f"{array.count} of {_type(array.subcon)}"
        case Struct():
            name = _struct_name(schema)
            return f"[{name}](#{name})"
        case Transformed() as packed:
            bits = _innermost(packed)
            if isinstance(bits, Array):
                return f"{bits.count} of {bits.subcon.length} bits"
            return _number(packed.sizeof())
        case _:
            return "padding"


def _number(size: int) -> str:
    return f"`__le{8 * size}`" if size > 1 else "`__u8`"


def _struct_name(schema: Construct) -> str:
    """Return the innermost name: a field's own name stands around its struct's."""
    name = ""
    while isinstance(schema, Renamed):
        name = schema.name or name
        schema = schema.subcon
    return name


def _unnamed(schema: Construct) -> Construct:
    while isinstance(schema, Renamed):
        schema = schema.subcon
    return schema


def _innermost(schema: Construct) -> Any:
    while isinstance(schema, Renamed | Transformed):
        schema = schema.subcon
    return schema


def _constants(modules: Iterable[ModuleType]) -> list[str]:
    rows = [
        (f"`{name}`", _spelled(getattr(module, name), source), docs.get(name, ""))
        for module in modules
        for docs in [_docs_after(module)]
        for name, source in _sources(module).items()
        if name[0] != "_" and isinstance(getattr(module, name), int)
    ]
    return [_table(("constant", "value", "meaning"), rows)] if rows else []


def _spelled(value: int, source: str) -> str:
    return source if source == str(value) else f"{value} = `{source}`"


def _sources(module: ModuleType) -> dict[str, str]:
    """Return how the value is written of each name that a module assigns."""
    text = inspect.getsource(module)
    return {
        target.id: ast.get_source_segment(text, statement.value) or ""
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _docs_after(module: ModuleType) -> dict[str, str]:
    """Return the string that follows an assignment, on one line, by the assigned name."""
    docs = {}
    for pair in pairwise(ast.parse(inspect.getsource(module)).body):
        match pair:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                docs[name] = " ".join(doc.split())
    return docs


def _trees() -> str:
    rows = (
        (
            name.lower().replace("_", " "),
            kind.key_name,
            str(kind.values.itemsize),
            str(max_entries_of(kind.values)),
        )
        for name, kind in vars(nodes).items()
        if isinstance(kind, nodes.TreeKind)
    )
    return (
        "What the leaves hold, and the most entries that the kernel gives one room for: those "
        "that fit, rounded down to a multiple of 3. An internal node has room for "
        f"{max_entries_of(CHILD)}. Source: `calc_max_entries()`, "
        "drivers/md/persistent-data/dm-btree.c.\n\n"
        + _table(("tree", "key", "bytes of a value", "most entries"), rows)
    )


def _invariants() -> str:
    lines = "".join(f"- {reason}\n" for reason in nodes.REASONS[1 : nodes.UNKNOWN_CHILD])
    return f"No reader follows or believes a node that\n\n{lines}"


def _title(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").splitlines()[0].rstrip(".")


def _prose(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[2].strip() + "\n"


def _first_line(documented: type) -> str:
    return (inspect.getdoc(documented) or "").splitlines()[0]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _document(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part.strip())


def main() -> int:
    """Write the documents, or with `--check` name those that would change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if one is stale")
    check = parser.parse_args().check
    stale = []
    for name, made in DOCUMENTS.items():
        path = CHECKOUT / name
        text = made()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    for name in stale:
        print(f"{name}: {'is stale; run make docs' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
