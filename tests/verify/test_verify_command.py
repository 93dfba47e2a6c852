"""`alb-reconcile verify` as its users call it, on the demo: local servers stand for its load balancer."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.api.verifying import Way
from alb_reconcile.cli.main import main
from alb_reconcile.verification.site import VerifySettings
from tests.harness import World, demo
from tests.verify import servers
from tests.verify.bench import QUICK, Bench, converged, to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    """One for all tests here: they only read it."""
    with converged(demo()) as found:
        yield found


@pytest.fixture
def bench(account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(account, demo(), tmp_path, capsys)


class TestDemo:
    """One listener in front of two instances."""

    def test_it_balances(self, bench: Bench) -> None:
        names = bench.instances()
        with servers.front(servers.in_turn(*names.values())) as front:
            shown = bench.run(*to(front.port), *QUICK, "--path", "/items", "--host", "shop.example.com")
            said = bench.run(*to(front.port), *QUICK, "--format", "json", "--websocket")
        assert (shown.code, said.code) == (0, 1), shown.text + shown.errors
        assert "Verified: 1 of 1 listeners and rules answered 40 requests as expected." in shown.text
        check = said.check("listener.public/http")
        assert check["problems"] == ["WebSocket: the handshake was answered 200 instead of 101"]
        assert (check["requests"], check["statuses"], check["errors"]) == (40, {"200": 40}, {})
        host = check["request"]["host"]
        assert host.endswith(".elb.amazonaws.com")
        assert front.log[:40] == [("GET", "shop.example.com", "/items")] * 40
        assert ("GET", host, "/") in front.log[40:]

    def test_strangers_answer(self, bench: Bench) -> None:
        ids = bench.instances().values()
        with servers.front(servers.in_turn(*ids, "\x1b[31mevil")) as front:
            shown = bench.run(*to(front.port), *QUICK)
        assert shown.code == 1
        assert "answers come from targets that aren't registered" in shown.text
        assert "\x1b" not in shown.text
        assert "\\x1b[31mevil" in shown.text

    def test_nobody_there_is_asked_for_by_another_path(self, bench: Bench) -> None:
        """Found: an API without `/` was said to need another attribute."""
        with servers.front(
            lambda *_: (404, {"content-type": "application/json"}, b'{"error": "nothing here"}')
        ) as front:
            shown = bench.run(*to(front.port), "--requests", "5")
            asked = bench.run(*to(front.port), "--requests", "5", "--attribute", "json:instance_id")
        assert (shown.code, asked.code) == (0, 1)
        assert "(they have error), so shares aren't judged; ask for another path with --path" in shown.flat
        assert "(they have error); ask for another path with --path" in asked.flat

    def test_expected_statuses(self, bench: Bench) -> None:
        ids = list(bench.instances().values())
        with servers.front(lambda *_: (404, *servers.api(ids[0])[1:])) as front:
            lenient = bench.run(*to(front.port), "--requests", "5")
            strict = bench.run(*to(front.port), "--requests", "5", "--expect-status", "200-399")
        with servers.front(lambda *_: servers.api(ids[0])) as front:
            fine = bench.run(*to(front.port), "--requests", "5")
        note = "! no answer but 4xx: verify --path asks for another path"
        assert (lenient.code, note in lenient.flat) == (0, True)
        assert (strict.code, note in strict.flat, note in fine.flat) == (1, False, False)
        assert "5 of 5 requests: status 404 instead of 200-399" in strict.text

    def test_other_attributions(self, bench: Bench) -> None:
        """And for a duration."""
        with servers.front(servers.in_turn(*bench.instances().values())) as front:
            options = ("--attribute", "header:X-Instance-Id", "--duration", "1s", "--rate", "50", "--format", "json")
            header = bench.run(*to(front.port), *options)
        assert header.code == 0
        check = header.check("listener.public/http")
        assert (5 <= check["requests"] <= 50, check["unattributed"]) == (True, 0)

    def test_at_the_end_of_apply(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """With defaults, which lead to a name that doesn't resolve here: what fails is the verification alone."""
        hurried = functools.partial(VerifySettings, dns_timeout=0.0)
        monkeypatch.setattr("alb_reconcile.cli.commands.verify.VerifySettings", hurried)
        fine = bench.run("--yes", command="apply")
        shown = bench.run("--yes", "--verify", command="apply")
        assert (fine.code, shown.code) == (0, 1), shown.text + shown.errors
        assert "Converged." in shown.text
        assert "doesn't resolve" in shown.flat

    def test_apply_tells_when_the_first_request_was_answered(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.spec["tags"] = {"service": "demo", "release": "2"}
        bench.write()
        with servers.front(servers.in_turn(*bench.instances().values())) as front:
            way = functools.partial(Way, instead={80: ("127.0.0.1", front.port)})
            monkeypatch.setattr("alb_reconcile.cli.commands.verify.Way", way)
            quick = functools.partial(VerifySettings, requests=40, rate=1000)
            monkeypatch.setattr("alb_reconcile.cli.commands.verify.VerifySettings", quick)
            shown = bench.run("--yes", "--verify", "--state-dir", str(bench.file.parent), command="apply")
        assert shown.code == 0, shown.text + shown.errors
        assert re.search(r"(?m)^\d+ \w+ in [\dms ]+, verified after (\d+m )?\d+s\.$", shown.text)
        told = bench.run("--state-dir", str(bench.file.parent), "--format", "json", command="history")
        times = told.json["runs"][0]["times"]
        assert list(times) == ["converged", "took", "answered"]
        assert times["converged"] < times["answered"]


class TestBadWeather:
    """Each one clear line, and a bounded wait."""

    def test_a_server_that_hangs(self, bench: Bench) -> None:
        """Given up after a few, so that nobody waits for a hundred time-outs."""
        with servers.broken(servers.hang) as port:
            shown = bench.run(*to(port), "--rate", "1000", "--timeout", "1s")
        assert shown.code == 1
        assert "no whole answer within the time-out" in shown.flat
        assert "given up after" in shown.text

    @pytest.mark.parametrize(
        "options",
        [
            ("--attribute", "cookie:x"), ("--path", "items"), ("--path", "/a?b"), ("--host", "a b"), ("--host", "x:80"),
            ("--expect-status", "many"), ("--requests", "0"), ("--rate", "1001"), ("--timeout", "0s"), ("--tolerance", "0"),
            ("--connect-to", "80"), ("--connect-to", "80=host:0"), ("--requests", "5", "--duration", "5s"), ("--websocket", "ws"),
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_bad_options(self, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(demo()))
        assert main(["verify", str(tmp_path / "spec.yaml"), *options]) == 64
        assert "Traceback" not in capsys.readouterr().err
