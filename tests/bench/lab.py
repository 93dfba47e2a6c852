"""The bench's own account: a moto server, the proxy before it, and ways to run something against them and look."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3

from tests.bench.calls import Call, changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).absolute().parent.parent.parent
REGION: Final = "us-west-2"
KEY_NAME: Final = "bench"
DELAY: Final = 0.1
"""Seconds that the proxy adds to each call."""


@dataclass(frozen=True)
class Ran:
    """One process: when it started and ended, its output, and the calls that it made."""

    started: float
    ended: float
    output: str
    calls: tuple[Call, ...] = ()

    @property
    def wall(self) -> float:
        """From the start of the process to its end."""
        return self.ended - self.started

    @property
    def wall_of_changes(self) -> float:
        """From the start of the process to the answer to its last mutating call; what follows only verifies."""
        return max(call.ended for call in changes(self.calls)) - self.started

    @property
    def after_changes(self) -> tuple[Call, ...]:
        """The calls that began after the last mutating one."""
        last = max(call.started for call in changes(self.calls))
        return tuple(call for call in self.calls if call.started > last)

    @property
    def until_changes(self) -> tuple[Call, ...]:
        """The others."""
        return tuple(call for call in self.calls if call not in self.after_changes)


def environment(port: int | None = None, state: str | None = None) -> dict[str, str]:
    """An environment without the user's own AWS settings; `state` is where runs are recorded and locked."""
    others = ("AWS_", "ALB_RECONCILE_", "PYTHONDONTWRITEBYTECODE")  # a user's processes don't compile each module anew
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    own = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_COLOR": "1",
    }
    if port is not None:
        own["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    if state is not None:
        own["XDG_STATE_HOME"] = state
    return kept | own


def run(command: Sequence[str], env: dict[str, str], *, timeout: float = 240) -> Ran:
    """Run a process to its end. Raises RuntimeError if it fails."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    ended = time.monotonic()
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return Ran(started, ended, done.stdout)


def tool(*args: str) -> list[str]:
    """The command line; the same as the console script, from this folder's source whatever is installed."""
    return [sys.executable, "-m", "alb_reconcile", *args]


def module(name: str, *args: str) -> list[str]:
    """A script of the bench."""
    return [sys.executable, "-m", f"tests.bench.{name}", *args]


class Lab:
    """A running account."""

    def __init__(self, moto: int, proxy: int, state: str) -> None:
        self.moto = moto
        self.proxy = proxy
        self.state = state

    def run(self, command: Sequence[str]) -> Ran:
        """Run something through the proxy and collect its calls."""
        self.calls()
        done = run(command, environment(self.proxy, self.state))
        return Ran(done.started, done.ended, done.output, self.calls())

    def calls(self) -> tuple[Call, ...]:
        """Those through the proxy since it was last asked."""
        return tuple(Call(*row) for row in json.loads(self._ask(self.proxy, "GET", "/bench/calls")))

    def run_directly(self, command: Sequence[str]) -> Ran:
        """Run something past the proxy: to set a scene that isn't measured."""
        return run(command, environment(self.moto, self.state))

    def reset(self) -> None:
        """Forget everything but the key pair."""
        self._ask(self.moto, "POST", "/moto-api/reset")
        self.client("ec2").create_key_pair(KeyName=KEY_NAME)

    def client(self, service: str) -> Any:
        """A boto3 client past the proxy."""
        return boto3.client(
            service, region_name=REGION, endpoint_url=f"http://127.0.0.1:{self.moto}",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    @contextmanager
    def delay(self, seconds: float) -> Iterator[None]:
        """Another delay for a while."""
        self._ask(self.proxy, "POST", "/bench/delay", str(seconds))
        try:
            yield
        finally:
            self._ask(self.proxy, "POST", "/bench/delay", str(DELAY))

    @staticmethod
    def _ask(port: int, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, body)
        answer = connection.getresponse().read()
        connection.close()
        return answer


@contextmanager
def lab() -> Iterator[Lab]:
    """Start the account; its processes are gone afterwards, however that comes."""
    with ExitStack() as stack:
        moto = stack.enter_context(server("emulator"))
        proxy = stack.enter_context(server("proxy", str(moto)))
        started = Lab(moto, proxy, stack.enter_context(tempfile.TemporaryDirectory()))
        started.reset()
        yield started


@contextmanager
def server(name: str, *args: str) -> Iterator[int]:
    """A server in a session of its own (Ctrl-C is for us), and the port that it prints."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            module(name, *args), cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip().isdigit():
                log.seek(0)
                raise RuntimeError(f"{name} didn't start: {log.read().decode(errors='replace')[-2000:]}")
            yield int(line)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
