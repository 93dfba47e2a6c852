"""Lays out an application's folder, which stands for the disk of its instance, and says how the application's program is run there."""

import shutil
import sys
from pathlib import Path
from typing import Final, Literal

from alb_reconcile.kinds.instance.application.user_data import PROGRAM, SETTINGS
from alb_reconcile.sandbox.application import Application
from alb_reconcile.sandbox.client import HOST, METADATA

Step = Literal["install", "start"]
_FOLDER: Final = "/opt/application"


def make_home(home: Path, application: Application) -> None:
    """Make the folder with the files that user data writes. Raises OSError."""
    remove_home(home)
    home.mkdir(mode=0o700)
    Path(f"{home}{_FOLDER}").mkdir(parents=True)
    for path, content in ((SETTINGS, application.settings), (PROGRAM, application.program)):
        file = Path(f"{home}{path}")
        file.parent.mkdir(parents=True)
        file.write_text(content, encoding="utf-8")


def remove_home(home: Path) -> None:
    """Delete the folder, as far as its files' permissions let it."""
    shutil.rmtree(home, ignore_errors=True)


def command_of(home: Path, step: Step) -> tuple[str, ...]:
    """The command of the program, by this interpreter and without its packages."""
    return sys.executable, "-I", "-S", f"{home}{PROGRAM}", step


def environment_of(home: Path, instance_id: str, port: int, endpoint: str) -> dict[str, str]:
    """What the environment says of the sandbox in place of AWS; `endpoint` is the URL of the sandbox's API."""
    return {
        "ALB_RECONCILE_ROOT": str(home),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{endpoint}{METADATA}/{instance_id}",
        "AWS_ENDPOINT_URL": endpoint,
        "HOST": HOST,
        "PORT": str(port),
    }
