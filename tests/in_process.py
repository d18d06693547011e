"""The command line, run in this process."""

from click.testing import CliRunner, Result

from thinmeta.cli import main


def invoked(*words: object, **environment: object) -> Result:
    """Run a command, with no pool in the environment."""
    env = {"THINMETA_POOL": ""} | {name: str(value) for name, value in environment.items()}
    return CliRunner().invoke(main, [str(word) for word in words], env=env)
