"""A stack that was applied in process, the command that verifies it, and load balancers by hand."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.cli.main import main
from tests.harness import Spec, World, world
from tests.harness import shop as whole_shop
from tests.verify import servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

QUICK = ("--requests", "40", "--rate", "1000")


def shop() -> Spec:
    """specs/https.yaml without TLS, which has tests of its own."""
    spec = whole_shop("")
    for listener in spec["load_balancers"]["public"]["listeners"].values():
        listener["protocol"] = "HTTP"
        listener.pop("certificate_arn", None)
    return spec


@dataclass
class Shown:
    """What a command said, and its exit code."""

    code: int
    text: str
    errors: str

    @property
    def flat(self) -> str:
        """The text without line breaks, which depend on its width."""
        return " ".join(self.text.split())

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    def check(self, address: str) -> dict[str, Any]:
        """One check of the JSON report."""
        [found] = [item for item in self.json["checks"] if item["address"] == address]
        return dict(found)


class Bench:
    """A stack that was applied, and the command to verify it."""

    def __init__(self, account: World, spec: Spec, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.account, self.spec, self.capsys = account, spec, capsys
        self.file = folder / "spec.yaml"
        self.write()

    def write(self) -> None:
        """Write the spec as it is now."""
        self.file.write_text(yaml.safe_dump(self.spec, sort_keys=False))

    def instances(self) -> dict[str, str]:
        """Ids by the names that the stack gives them."""
        found = self.account.client("ec2").describe_instances()["Reservations"]
        return {
            tag["Value"].removeprefix(f"{self.spec['stack']}-"): item["InstanceId"]
            for part in found
            for item in part["Instances"]
            for tag in item["Tags"]
            if tag["Key"] == "Name"
        }

    def run(self, *arguments: str, command: str = "verify") -> Shown:
        self.capsys.readouterr()
        code = main([command, str(self.file), *arguments])
        out, err = self.capsys.readouterr()
        return Shown(code, out, err)


@contextmanager
def converged(spec: Spec) -> Iterator[World]:
    """An account with a stack that serves."""
    with world() as account:
        account.converge(spec)
        yield account


def to(port: int, listener: int = 80) -> tuple[str, str]:
    """The option that leads a listener's requests to a local port."""
    return "--connect-to", f"{listener}=127.0.0.1:{port}"


def shop_balancer(names: Mapping[str, str]) -> servers.Route:
    """What the shop's load balancer does at its port 443."""
    stable, rest = (servers.in_turn(names["stable-1"], names["stable-2"]) for _ in range(2))
    lock, count = threading.Lock(), itertools.count()

    def answer(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
        host = host.partition(":")[0]
        if target.startswith("/api/") and host in ("shop.example.com", "www.shop.example.com"):
            with lock:
                canary = next(count) % 10 == 9
            return servers.api(names["canary-1"]) if canary else stable(method, host, target, headers)
        if host == "canary.shop.example.com":
            return servers.api(names["canary-1"])
        if host.endswith(".example.com"):
            return rest(method, host, target, headers)
        return 404, {"Content-Type": "text/plain; charset=utf-8"}, b"no such shop"

    return answer


def to_https(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
    """What it does at port 80."""
    return 301, {"Location": f"https://{host}:443{target}"}, b""
