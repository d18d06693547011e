"""The disk's truth: every structure as a construct schema, and the numpy dtypes from them."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is loaded when something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


# construct loads Python's debugger for a class that is not used here: a twentieth of the time
# that numpy, construct and click take. It finds this instead, and nobody else does.
if not {"construct", "pdb"} & sys.modules.keys():
    sys.modules["pdb"] = _Later("pdb")
    try:
        import_module("construct")
    finally:
        del sys.modules["pdb"]
