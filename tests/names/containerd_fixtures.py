"""Makes `fixtures/containerd` anew: `python -m tests.names.containerd_fixtures BBOLT_FILE`.

BBOLT_FILE is `tools/bbolt_file.go`, built.
"""

import io
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.names.containerd_roots import KEPT, many_keys, operations, trees


def written(program: str, tree: dict[str, Any], page_size: int) -> bytes:
    """Return a bbolt file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.db"
        lines = "".join(f"{json.dumps(each)}\n" for each in operations(tree))
        words = [program, str(file), str(page_size)]
        subprocess.run(words, input=lines, text=True, check=True)
        return file.read_bytes()


def main() -> None:
    """Write the files."""
    program = sys.argv[1]
    KEPT.mkdir(exist_ok=True)
    with tarfile.open(KEPT / "root.tar.xz", "w:xz") as archive:
        for name, tree in trees().items():
            content = written(program, tree, 4096)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (KEPT / "small-pages.db.xz").write_bytes(lzma.compress(written(program, many_keys(), 1024)))


if __name__ == "__main__":
    main()
