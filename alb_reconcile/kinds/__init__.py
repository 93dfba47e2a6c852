"""One file a kind. `load_kinds` lists the folder; nothing else has to know a new kind's name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.kinds.base import Kind


def load_kinds() -> Mapping[str, type[Kind]]:
    """Each kind's class by its name: the class in module `security_group` is `SecurityGroup`."""
    kinds: dict[str, type[Kind]] = {}
    for module in pkgutil.iter_modules(__path__):
        name = "".join(word.capitalize() for word in module.name.split("_"))
        kinds[module.name] = getattr(importlib.import_module(f"{__name__}.{module.name}"), name)
    return kinds
