# SPDX-License-Identifier: Apache-2.0
"""The registry of architectures: every module of this package that defines ``ARCHITECTURE``."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from faultmodel.arch.base import Architecture, check
from faultmodel.errors import ArchitectureError, UnknownNameError

_NOT_ARCHITECTURES = {"base"}


@cache
def architectures() -> Mapping[str, Architecture]:
    """Return every architecture by its name.

    :raises ArchitectureError: one of them lacks a required field
    """
    found: dict[str, Architecture] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if module.name in _NOT_ARCHITECTURES:
            continue
        architecture = importlib.import_module(f"{__name__}.{module.name}").ARCHITECTURE
        check(architecture)
        if architecture.name in found:
            raise ArchitectureError(f"architecture {architecture.name} is defined twice")
        found[architecture.name] = architecture
    return MappingProxyType(found)


def get(name: str) -> Architecture:
    """Return an architecture by its name, or by another that its machines have: ``arm64`` for aarch64.

    :raises UnknownNameError: there is none
    """
    known = architectures()
    if name in known:
        return known[name]
    for architecture in known.values():
        if name in architecture.machines:
            return architecture
    raise UnknownNameError(f"no architecture {name!r}; there is {', '.join(known)}")


def for_machine(machine: str) -> Architecture:
    """Return the architecture of a machine as ``uname -m`` names it.

    :raises UnknownNameError: there is none
    """
    for architecture in architectures().values():
        if machine in architecture.machines:
            return architecture
    raise UnknownNameError(f"no architecture for machine {machine!r}")
