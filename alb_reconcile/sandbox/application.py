"""Finds the application that an instance's user data installs, which the sandbox runs. Never imports moto."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import yaml

_BEGINNING: Final = b"#cloud-config\n"


@dataclass(frozen=True)
class Application:
    """The program and the settings (JSON) that user data writes to an instance; and of the settings the port and the log group."""

    program: str = field(repr=False)
    settings: str
    port: int
    log_group: str = ""


@lru_cache(maxsize=256)
def application_in(user_data: bytes) -> Application | None:
    """The application that user data installs; None for user data that doesn't have the form of an instance group's `application`."""
    if not user_data.startswith(_BEGINNING):
        return None
    from alb_reconcile.kinds.instance.application.user_data import PROGRAM, SETTINGS  # which few plans need

    with suppress(yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
        files = {item["path"]: item["content"] for item in yaml.safe_load(user_data)["write_files"]}
        settings: Any = json.loads(files[SETTINGS])
        port, group = settings["port"], settings.get("log_group", "")
        if type(port) is int and 0 < port < 65536 and isinstance(group, str) and isinstance(files[PROGRAM], str):
            return Application(files[PROGRAM], files[SETTINGS], port, group)
    return None
