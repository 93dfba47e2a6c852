"""Chooses the environment variables of the sandbox's process. The process outlives the command, so it gets no secrets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_KEPT: Final = (
    "ALB_RECONCILE_SANDBOX_",
    "HOME",
    "LANG",
    "LC_",
    "LD_",
    "PATH",
    "PYTHON",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "XDG_",
)
"""The prefixes of the variables' names."""


def environment_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the sandbox's process; with it, Python finds this package."""
    kept = {name: value for name, value in environ.items() if name.startswith(_KEPT)}
    package = str(Path(__file__).parent.parent)
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH"))))}
