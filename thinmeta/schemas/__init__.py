"""The disk's truth: every structure as a construct schema, and the numpy dtypes from them."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is loaded when something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


# construct loads Python's debugger and OpenSSL for what is not used here: a fifteenth of the time
# that numpy, construct and click take. It finds this instead, and nobody else does.
if "construct" not in sys.modules:
    needless = {"hashlib", "pdb"} - sys.modules.keys()
    sys.modules.update((name, _Later(name)) for name in needless)
    try:
        import_module("construct")
    finally:
        for name in needless:
            del sys.modules[name]
