"""Where it all happens: an account and a region that somebody has named, or the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from alb_reconcile.sandbox.client import running

ACCOUNT: Final = "ALB_RECONCILE_TEST_ACCOUNT"
REGION: Final = "ALB_RECONCILE_TEST_REGION"
TAG: Final = "alb-reconcile-test"
"""The key of the tag that everything has which is made here; its value is the run's id."""
COMMAND: Final = str(Path(sys.executable).parent / "alb-reconcile")

WAITING: Final = "Interrupted. The command under way ends first; then all that was made is removed."
"""What is said meanwhile."""

Program = Callable[[list[str], Path, Mapping[str, str]], tuple[int, str]]
"""How the command line is run, with which arguments, where, and with what else in its environment: its exit code, and what it printed."""
BY_CALLER: Final = ("iam-policy", "stacks")
"""Commands that run with the caller's own credentials: one calls nothing, the other looks at all of the account's stacks."""
KNOWN: Final = 120.0
"""Seconds of AWS's within which a new role can be assumed."""


class Untrue(Exception):  # noqa: N818 (a claim that doesn't hold, not an error of the program)
    """Something that holds in the sandbox doesn't hold here."""


class Refused(Exception):  # noqa: N818 (an answer to the user)
    """It doesn't begin; the text says why, and what to do."""


@dataclass(frozen=True)
class Place:
    """An account, and a region of it. `speed`: how much faster than AWS's its time passes."""

    account: str
    region: str
    sandbox: bool = False
    speed: float = 1.0

    @classmethod
    def named(cls, environment: Mapping[str, str], *, sandbox: bool) -> Self:
        """What the environment names, if the credentials are that account's. Raises Refused."""
        missing = [name for name in (ACCOUNT, REGION) if not environment.get(name)]
        if missing:
            raise Refused(
                f"{' and '.join(missing)} must be set: what is made here costs money, and what is deleted is gone, so you name the account and the region"
            )
        found = running() if sandbox else None
        if sandbox and found is None:
            raise Refused("no sandbox is running; start one: alb-reconcile sandbox start")
        place = cls(environment[ACCOUNT], environment[REGION], sandbox, found.speed if found else 1.0)
        try:
            account = place.client("sts").get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise Refused(f"AWS doesn't say whose the credentials are: {error}") from None
        if account != place.account:
            raise Refused(
                f"the credentials are those of account {account}, and {ACCOUNT} is {place.account}; nothing was done"
            )
        return place

    @cached_property
    def _session(self) -> boto3.Session:
        if self.sandbox:
            return boto3.Session("sandbox", "sandbox", region_name=self.region)
        return boto3.Session(region_name=self.region)

    def client(self, service: str) -> Any:
        """boto3's client of a service."""
        found = running() if self.sandbox else None
        return self._session.client(service, endpoint_url=found.endpoint_url if found else None)

    def assume(self, role: str) -> dict[str, str]:
        """The environment variables of a role's credentials, for an hour. A new role isn't known everywhere at once. Raises Refused."""
        sts, deadline = self.client("sts"), time.monotonic() + self.real(KNOWN)
        while True:
            try:
                found = sts.assume_role(RoleArn=role, RoleSessionName=TAG)["Credentials"]
            except ClientError as error:
                if time.monotonic() > deadline:
                    raise Refused(f"these credentials may not assume {role}: {error}") from None
                time.sleep(self.real(5))
            else:
                key, secret, token = found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
                return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    def seconds(self, elapsed: float) -> float:
        """Seconds of AWS's time that have passed in so many of this machine's."""
        return elapsed * self.speed

    def real(self, seconds: float) -> float:
        """How long so many seconds of AWS's take on this machine."""
        return seconds / self.speed


@dataclass(frozen=True)
class Tool:
    """The command line in that place, in a folder of its own. `role`: the ARN of the role that it runs under."""

    place: Place
    folder: Path
    program: Program
    role: str = ""

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command to its end. Returns what it printed. Raises Untrue if it ends otherwise."""
        print(f"$ alb-reconcile {' '.join(arguments)}", flush=True)
        in_sandbox = ["--sandbox"] if self.place.sandbox and arguments[0] != "iam-policy" else []
        given = self.place.assume(self.role) if self.role and arguments[0] not in BY_CALLER else {}
        code, said = self.program([*arguments, *in_sandbox], self.folder, given)
        if code != expect or "Traceback" in said:
            raise Untrue(f"alb-reconcile {' '.join(arguments)} exits with {expect}; it was {code}:\n{said}")
        return said


def as_a_process(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
    """The command line as its user runs it. What it prints is shown as it comes, unless it is JSON.

    Raises KeyboardInterrupt when the command has ended: what it has begun is there by then, and can be removed. A terminal's Ctrl-C
    reaches the command by itself. A second one is passed on, for where only this process got the first.
    """
    lines = []
    around = {name: value for name, value in os.environ.items() if not (given and name == "AWS_PROFILE")}
    own = {"ALB_RECONCILE_STATE_DIR": str(folder / "state"), "ALB_RECONCILE_LOCK_DIR": str(folder / "locks")}
    is_interrupted = False
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder, env={**around, **own, **given}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while process.returncode is None:
            try:
                for line in process.stdout:
                    lines.append(line)
                    if not {"json", "iam-policy"}.intersection(arguments):
                        print(f"  {line}", end="", flush=True)
                process.wait()
            except KeyboardInterrupt:
                if is_interrupted:
                    process.send_signal(signal.SIGINT)
                is_interrupted = True
                print(WAITING, file=sys.stderr, flush=True)
    if is_interrupted:
        raise KeyboardInterrupt
    return process.returncode, "".join(lines)
