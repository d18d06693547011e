"""Print the lowest versions that pyproject.toml allows at run time, as pip's constraints.

`PIP_CONSTRAINT=FILE make test` then tests with these, and with the newest development tools.
"""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

if __name__ == "__main__":
    for requirement in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["zstd"]:
        name, bound, lowest = requirement.partition(">=")
        assert bound, f"{requirement}: has no lowest version"
        print(f"{name}=={lowest}")
