"""The sandbox as a process: started, found, killed, stopped; alone, in company and in bad weather."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.tool import DEMO, Tool
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Tool]:
    """A tool with a sandbox of its own, not started yet."""
    tool = Tool(tmp_path, "--sandbox")
    yield tool
    tool.run("sandbox", "stop")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text


def test_it_is_started_on_demand_whatever_the_environment_says_of_aws(fresh: Tool) -> None:
    hostile: dict[str, Any] = {
        "AWS_PROFILE": "nobody", "AWS_CONFIG_FILE": "/nonexistent", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true", "AWS_ACCESS_KEY_ID": "mine", "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }  # fmt: skip
    ended = fresh.run("plan", DEMO, **hostile)
    assert "sandbox started at http://127.0.0.1:" in ended.stderr
    assert "new and empty, and 10 times as fast as AWS, whose times are shown; it doesn't run user data" in ended.stderr
    assert "16 to create" in ended.stdout
    assert "started" not in fresh.run("stacks", **hostile).stderr
    state = fresh.state()
    assert (state["speed"], state["pid"] > 0) == (10.0, True)
    told = fresh.run("sandbox", "status").stdout
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{state['port']}" in told
    assert str(state["pid"]) in told


def test_a_killed_one_is_cleaned_up_by_the_next_start(fresh: Tool) -> None:
    fresh.run("sandbox", "start")
    old = fresh.state()
    os.kill(old["pid"], signal.SIGKILL)
    until(lambda: not is_open(old["port"]))
    assert "No sandbox is running" in fresh.run("sandbox", "status", expect=1).stdout
    fresh.run("sandbox", "start", "--speed", "20")
    assert fresh.state()["pid"] != old["pid"]
    assert fresh.state()["speed"] == 20


def test_starts_at_the_same_time_make_one(fresh: Tool) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda _: fresh.run("sandbox", "start").stdout, range(3)))
    assert sum("has started" in text for text in ended) == 1
    assert sum("already running" in text for text in ended) == 2
    assert all(str(fresh.state()["port"]) in text for text in ended)
    refused = fresh.run("sandbox", "start", "--speed", "11", expect=1).stderr
    assert "already running" in one_line(refused)
    first = fresh.state()["port"]
    fresh.run("sandbox", "stop")
    assert not is_open(first)
    assert "No sandbox was running" in fresh.run("sandbox", "stop").stdout


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"pid": 1, "token": "of somebody else"}')

    def log_message(self, *_: object) -> None:
        pass


def test_it_listens_on_this_machine_only(running_sandbox: Tool) -> None:
    state = running_sandbox.state()
    rows = [line.split()[1:4] for line in Path(f"/proc/{state['pid']}/net/tcp").read_text().splitlines()[1:]]
    listening = [local for local, _, status in rows if status == "0A"]
    assert f"0100007F:{state['port']:04X}" in listening
    assert f"00000000:{state['port']:04X}" not in listening


def test_a_process_that_took_over_pid_and_port_is_left_alone(fresh: Tool) -> None:
    state = fresh.folder / "state"
    state.mkdir()
    with (
        HTTPServer(("127.0.0.1", 0), _Stranger) as stranger,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander,
    ):
        thread = threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stale = {"pid": bystander.pid, "port": stranger.server_port, "speed": 10.0, "started": "", "token": "x"}
        (state / "sandbox.json").write_text(json.dumps(stale))
        assert "No sandbox was running" in fresh.run("sandbox", "stop").stdout
        stranger.shutdown()
        thread.join()
        assert bystander.poll() is None
        bystander.communicate(b"\n")
        assert bystander.returncode == 0


def test_it_ends_when_nobody_can_find_it_any_more(fresh: Tool) -> None:
    fresh.run("sandbox", "start")
    state = fresh.state()
    (fresh.folder / "state" / "sandbox.json").unlink()
    until(lambda: not is_open(state["port"]))
