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
from tests.forked import run_started
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


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


def test_a_taken_port_is_named(fresh: Tool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = fresh.run("sandbox", "start", "--port", str(port), expect=1).stderr
    assert f"port {port}: address already in use" in one_line(told)
    fresh.run("sandbox", "start", "--port", str(port))
    assert fresh.state()["port"] == port


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"pid": 1, "token": "of somebody else"}')

    def log_message(self, *_: object) -> None:
        pass


def test_a_throttling_that_is_none_is_told(fresh: Tool) -> None:
    name = "ALB_RECONCILE_SANDBOX_THROTTLING"
    fresh.environment[name] = "much"
    assert f"{name} is 'much'; set it to 1" in one_line(fresh.run("sandbox", "start", expect=1).stderr)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"pid": "1"}', '{"pid": -1, "port": 1, "speed": 1, "started": "", "token": ""}']
)
def test_a_spoilt_state_file_counts_as_none(tmp_path: Path, text: str) -> None:
    tool = Tool(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sandbox.json").write_text(text)
    assert "No sandbox is running" in tool.run("sandbox", "status", expect=1).stdout
    assert "No sandbox is running" in tool.run("sandbox", "reset").stdout
    assert "No sandbox was running" in tool.run("sandbox", "stop").stdout


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['moto'] = None; from alb_reconcile.cli.main import run; run()"
    for arguments in (("sandbox", "start"), ("plan", "--sandbox", DEMO)):
        ended = run_started(
            sys.executable, ["-c", program, *arguments], folder=tmp_path, environment=Tool(tmp_path).environment,
            timeout=GUARD,
        )  # fmt: skip
        assert ended.returncode == 1
        assert "pip install '.[sandbox]' in alb-reconcile's checkout" in one_line(ended.stderr)


def test_the_tool_itself_never_imports_the_emulator(sandbox: Tool) -> None:
    program = (
        "import sys; from alb_reconcile.cli.main import main; code = main(); "
        "sys.exit(code or any(name in sys.modules for name in ('moto', 'werkzeug', 'alb_reconcile.sandbox.strict')))"
    )
    words = ["-c", program, "plan", "--sandbox", DEMO]
    environment = sandbox.environment
    ended = run_started(sys.executable, words, folder=sandbox.folder, environment=environment, timeout=GUARD)
    assert ended.returncode == 0, ended.stderr


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
