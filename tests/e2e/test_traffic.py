"""The sandbox's traffic as its user meets it: a URL that answers, instances that come and go, and no process left."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from alb_reconcile.model.address import UserData
from tests.e2e.tool import DEMO, SPECS, Account, Tool
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ON = {"ALB_RECONCILE_SANDBOX_TRAFFIC": "on"}
IMAGE = "ami-04681a1dbd79675a5"


class Place:
    """A sandbox of its own that carries traffic, and what its user sees of it."""

    def __init__(self, folder: Path) -> None:
        self.tool = Tool(folder, "--sandbox", **ON)
        self.http = httpx.Client(trust_env=False, timeout=GUARD)
        self.started = self.applied = ""

    @property
    def account(self) -> Account:
        return Account(self.tool.state()["port"])

    def processes(self) -> dict[str, dict[str, Any]]:
        """What the sandbox tells of its instances' processes, by instance."""
        told = self.http.get(f"http://127.0.0.1:{self.tool.state()['port']}/alb-reconcile/sandbox/traffic").json()
        return {item["instance_id"]: item for item in told["processes"]}

    def pids(self) -> set[int]:
        """Everything that runs on behalf of the sandbox: what it has started, and what that has."""
        found = {int(self.tool.state()["pid"])}
        while True:
            children = {pid for pid, parent in parents().items() if parent in found}
            if children <= found:
                return found
            found |= children

    def children(self, name: str) -> list[int]:
        """The sandbox's processes of that name."""
        found = []
        for pid in self.pids():
            with suppress(OSError):  # it may just have ended
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
        return found

    def answers_or_none(self, url: str) -> Counter[str]:
        try:
            return self.answers(url)
        except httpx.TransportError:
            return Counter()

    def url(self) -> str:
        status = json.loads(self.tool.run("status", "--format", "json", DEMO).stdout)
        (url,) = status["urls"]
        return str(url)

    def answers(self, url: str, requests: int = 12) -> Counter[str]:
        """How many requests each instance answered."""
        found: Counter[str] = Counter()
        for _ in range(requests):
            answer = self.http.get(url)
            found[answer.json()["instance_id"] if answer.status_code == 200 else str(answer.status_code)] += 1
        return found


def parents() -> dict[int, int]:
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if words[0] != "Z":
            found[int(file.parent.name)] = int(words[1])
    return found


def gone(pids: set[int]) -> None:
    until(lambda: not pids & set(parents()))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Place]:
    """A place whose sandbox isn't started yet."""
    place = Place(tmp_path)
    yield place
    place.tool.run("sandbox", "stop")
    place.http.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The demo, applied."""
    place = Place(tmp_path_factory.mktemp("traffic"))
    place.started = place.tool.run("sandbox", "start", "--speed", "30").stdout
    place.applied = place.tool.run("apply", "--yes", DEMO).stdout
    yield place
    place.tool.run("sandbox", "stop")
    place.http.close()


def test_apply_ends_with_a_url_at_which_the_instances_take_turns(demo: Place) -> None:
    last = demo.applied.splitlines()[-1]
    url, _, rest = last.partition("  ")
    assert re.fullmatch(r"\(here, for http://demo-public-.*\.elb\.amazonaws\.com/\)", rest)
    assert demo.url() == url
    assert url in demo.tool.run("status", DEMO).stdout
    found = demo.answers(url)
    assert sorted(found) == sorted(demo.processes())
    assert set(found.values()) == {6}
    digest = UserData.of((SPECS / "user-data" / "web-api.py").read_bytes()).digest
    assert demo.http.get(url).json()["version"] == digest
    assert "Any other user data isn't run: such an instance runs the demo's web API." in demo.started
    shown = demo.tool.run("sandbox", "status").stdout
    assert re.search(rf"^  {re.escape(url)}  HTTP 80 of demo-public-", shown, re.MULTILINE)
    for name, process in demo.processes().items():
        runs = f"runs     port {process['local_port']} for 80  process {process['pid']}"
        assert re.search(rf"^  {name}  instance\.web-[12] of demo  {runs}$", shown, re.MULTILINE), shown


def launch(place: Place) -> str:
    made = place.account.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    return str(made["Instances"][0]["InstanceId"])


@pytest.mark.parametrize("how", ["kill", "stop", "reset"])
def test_no_process_outlives_the_sandbox(fresh: Place, how: str) -> None:
    fresh.tool.run("sandbox", "start", "--speed", "100")
    instances = [launch(fresh), launch(fresh)]
    until(lambda: all(fresh.processes()[name]["pid"] for name in instances))
    everything = fresh.pids()
    assert len(everything) >= 4
    if how == "kill":
        os.kill(fresh.tool.state()["pid"], signal.SIGKILL)
        gone(everything)
    elif how == "stop":
        fresh.tool.run("sandbox", "stop")
        assert not everything & set(parents())
    else:
        mine = {process["pid"] for process in fresh.processes().values()}
        fresh.tool.run("sandbox", "reset")
        assert not mine & set(parents())
        assert fresh.processes() == {}


def test_one_that_ends_at_once_is_told_with_its_last_words(fresh: Place) -> None:
    (fresh.tool.folder / "bad.sh").write_text("echo starting\necho no such database >&2\nexit 3\n")
    fresh.tool.run("sandbox", "start", "--speed", "100", "--serve", "sh bad.sh")
    instance = launch(fresh)
    until(lambda: fresh.processes()[instance]["restarts"])
    told = fresh.tool.run("sandbox", "status").stdout
    assert re.search(
        rf"  {instance} .*restarts \d+, the last after: exit code 3: no such database; see \S+{instance}.log", told
    )


def test_without_envoy_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "shadow" / "envoy").mkdir(parents=True)
    (tmp_path / "shadow" / "envoy" / "__init__.py").write_text("raise ImportError")
    tool = Tool(tmp_path, "--sandbox", **ON, PYTHONPATH=str(tmp_path / "shadow"))
    for arguments in (("sandbox", "start"), ("plan", DEMO)):
        error = tool.run(*arguments, expect=1).stderr
        assert "Envoy" in error
        assert "pip install '.[sandbox]' in alb-reconcile's checkout" in error
        assert "--no-traffic" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "state" / "sandbox.json").exists()
    tool.run("sandbox", "start", "--no-traffic")
    tool.run("sandbox", "stop")


def test_a_front_that_is_down_is_said_before_any_url(demo: Place) -> None:
    url, settings = demo.url(), demo.tool.folder / "state" / "front" / "envoy.json"
    good = settings.read_text()
    settings.write_text("{")
    for pid in demo.children("envoy"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: "Traffic is held up" in demo.tool.run("sandbox", "status").stdout)
    for arguments in (("apply", "--yes", DEMO), ("status", DEMO)):
        told = demo.tool.run(*arguments).stdout
        assert re.search(r"Traffic is held up: Envoy has ended by itself \(.+\)", told.partition(url)[0])
    settings.write_text(good)
    until(lambda: len(demo.answers_or_none(url)) == 2)
    assert "held up" not in demo.tool.run("apply", "--yes", DEMO).stdout
