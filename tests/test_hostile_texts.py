"""What AWS and others write is data: no terminal obeys it, and it forges no line of the output, the history or the metrics."""

from __future__ import annotations

import gc
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from tests.harness import demo, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e\r\n\u2028Converged."
PLAIN = Style(colored=False)


def assert_harmless(text: str) -> None:
    assert all(line.isprintable() for line in text.split("\n")), ascii(text)
    assert "Converged." not in [line.strip() for line in text.split("\n")]


def test_what_others_tagged_is_shown_as_it_is_written() -> None:
    """A resource that carries the stack's tag and an address that is none: its deletion is planned, and told."""
    spec = demo()
    answer = {"fixed_response": {"status_code": 200, "message_body": EVIL}}
    evil = EVIL.replace("\x1b", "\x9b").replace("\x07", "")  # XML can't carry those two
    with world() as aws:
        aws.apply(spec)
        vpc = aws.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        tags = {"alb-reconcile:stack": "demo", "alb-reconcile:address": f"vpc.{evil}"}
        tag_list = [{"Key": key, "Value": value} for key, value in tags.items()]
        aws.client("ec2").create_tags(Resources=[vpc], Tags=tag_list)
        plan = aws.plan(spec)
        spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = answer
        text = render_plan(aws.plan(spec), PLAIN)
    assert_harmless(text)
    assert "owned" in text, "the body of a fixed response may be anything"
    (step,) = plan.steps
    assert (step.action, step.id) == ("delete", vpc)
    text = render_plan(plan, PLAIN)
    assert_harmless(text)
    assert r"vpc.\x9b]0;owned\x9b[2J\x9b2J\u202e" in text


def test_the_streams_let_nothing_through_but_colours(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever forgets to escape is still on the safe side, and JSON stays JSON."""
    painted = Style(colored=True).paint("red", "red")
    emit(f"{painted}\tand\x1b[8m\x1b[2K\x07\r")
    assert capsys.readouterr().out == f"{painted}\tand\\u001b[8m\\u001b[2K\\u0007\\u000d\n"
    complain("one\ntwo \x9b\u202e")
    assert capsys.readouterr().err == "one\ntwo \\u009b\\u202e\n"
    emit(json.dumps({"a": EVIL}, ensure_ascii=False))
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": EVIL}
    assert_harmless(out)


class _Refusal(BaseHTTPRequestHandler):
    """AWS that refuses everything, in words that XML may hold and a terminal obeys."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        words = "no&#x9b;2J&#x202e;&#10;Converged.&#x2028;"
        error = f"<Error><Code>AccessDenied</Code><Message>{words}</Message></Error>"
        body = f"<Response><Errors>{error}</Errors>{error}<RequestID>1</RequestID></Response>".encode()
        self.send_response(403)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_error_of_awss(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the output, the history and the metrics of the run that it ended. Its twins that came too late aren't heard."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    (tmp_path / "shop\x1b[2J.yaml").write_text(
        "stack: shop\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"
    )
    kept: list[Any] = ["--state-dir", str(tmp_path / "state"), "--metrics-file", str(tmp_path / "x.prom")]
    with refusing() as url:
        words = ["apply", "--yes", str(tmp_path / "shop\x1b[2J.yaml"), "--endpoint-url", url, *kept]
        assert main(words) == 1
    gc.collect()
    assert caplog.records == []
    out, err = capsys.readouterr()
    assert "AccessDenied: no\\x9b2J\\u202e\\nConverged.\\u2028" in err
    assert err.count("\n") == 1
    (history,) = (tmp_path / "state" / "history").glob("*.jsonl")
    for text in (out, err, history.read_text(), (tmp_path / "x.prom").read_text()):
        assert_harmless(text)
    assert main(["history", "--stack", "shop", "--endpoint-url", url, *kept[:2]]) == 0
    assert_harmless(capsys.readouterr().out)
