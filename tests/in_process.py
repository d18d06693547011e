"""The command line, run in this process."""

import inspect
from typing import Any

from click.testing import CliRunner, Result

from thinmeta.cli import main

# Before 8.2, click's runner puts both streams into one unless it is told not to.
_APART: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
)


def invoked(*words: object, **environment: object) -> Result:
    """Run a command with both streams apart, and with no pool in the environment."""
    env = {"THINMETA_POOL": ""} | {name: str(value) for name, value in environment.items()}
    return CliRunner(**_APART).invoke(main, [str(word) for word in words], env=env)
