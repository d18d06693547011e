"""Two crash images that are kept, for where no loop device can be had.

As root, `python -m tests.files.crash_fixtures` makes them anew.
"""

import base64
import json
import lzma
import tempfile
from functools import cache
from pathlib import Path

from tests.cases import FIXTURES
from tests.files.crash_images import Burst, crashed
from tests.files.mounted import Shown, mkfs_xfs, run

CRASHED = FIXTURES / "crashed"
_CHECKS = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n")}


@cache
def crash_image(kind: str) -> bytes:
    """Return the volume that a crash left: of `ext4` or `xfs`."""
    return lzma.decompress((CRASHED / f"{kind}.img.xz").read_bytes())


@cache
def crash_truth(kind: str) -> dict[bytes, Shown]:
    """Return what the kernel showed of it, once it replayed the journal, by path."""
    rows = json.loads(lzma.decompress((CRASHED / f"{kind}.json.xz").read_bytes()))
    return {_bytes(path): _seen(fields) for path, fields in rows}


def _seen(fields: dict[str, object]) -> Shown:
    found = Shown(**fields)  # type: ignore[arg-type]
    return found._replace(
        rdev=(found.rdev[0], found.rdev[1]),
        target=None if found.target is None else _bytes(str(found.target)),
        xattrs={_bytes(str(name)): _bytes(str(value)) for name, value in found.xattrs.items()},
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _row(path: bytes, seen: Shown) -> tuple[str, dict[str, object]]:
    fields: dict[str, object] = dict(seen._asdict())
    fields["target"] = None if seen.target is None else _text(seen.target)
    fields["xattrs"] = {_text(name): _text(value) for name, value in seen.xattrs.items()}
    return _text(path), fields


def main() -> None:
    CRASHED.mkdir(exist_ok=True)
    for kind, check in _CHECKS.items():
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder, f"{kind}.img")
            if kind == "xfs":
                mkfs_xfs(image, 32 << 20, "-m", "rmapbt=0,reflink=0")
            else:
                with image.open("wb") as file:
                    file.truncate(16 << 20)
                run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-J", "size=2", image)
            crash = crashed(image, Burst(3, 400, is_dull=True), "", check)
            packed = lzma.compress(image.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
            (CRASHED / f"{kind}.img.xz").write_bytes(packed)
            rows = [_row(path, seen) for path, seen in sorted(crash.truth.items())]
            (CRASHED / f"{kind}.json.xz").write_bytes(lzma.compress(json.dumps(rows).encode()))


if __name__ == "__main__":
    main()
