"""`import alb_reconcile` as its users write it: on an account in this process, most of it on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import alb_reconcile as api
from alb_reconcile.cli.main import main
from alb_reconcile.locking.host import StackLock
from tests.harness import REGION, World, demo, world
from tests.kinds.hand import edited
from tests.verify import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
EXPORTED: list[str] = vars(api)["__all__"]
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))


class Account:
    """An account that the API asks: by default in the loop itself, on a virtual clock."""

    def __init__(self, found: World, patch: pytest.MonkeyPatch) -> None:
        self.world, self._patch = found, patch

    @contextmanager
    def virtual(self) -> Iterator[None]:
        def over(_connection: object, run: Callable[[Any], Any]) -> Any:
            return self.world._run(run)

        async def to_thread(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
            return function(*args, **named)

        with self._patch.context() as patch:
            patch.setattr("alb_reconcile.api.runs.over", over)
            patch.setattr(asyncio, "to_thread", to_thread)
            yield


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.chdir(tmp_path)
    for name, folder in (("STATE", "state"), ("LOCK", "locks"), ("SANDBOX", "sandbox")):
        monkeypatch.setenv(f"ALB_RECONCILE_{name}_DIR", str(tmp_path / folder))
    write()
    with world() as found:
        yield Account(found, monkeypatch)


@pytest.fixture
def virtual(account: Account) -> Iterator[World]:
    with account.virtual():
        yield account.world


def write(spec: Mapping[str, Any] | None = None) -> None:
    Path("stack.yaml").write_text(yaml.safe_dump(spec or demo(), sort_keys=False), encoding="utf-8")


def loaded(spec: Mapping[str, Any] | None = None) -> api.Stack:
    return api.load("stack.yaml", text=yaml.safe_dump(spec or demo(), sort_keys=False))


def last_run(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The newest run in the history."""
    capsys.readouterr()
    assert main(["history", "--format", "json", "stack.yaml"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["runs"][0]
    return found


class TestDocumented:
    def test_the_examples_run(self, account: Account) -> None:
        names: dict[str, Any] = {}
        for block in EXAMPLES:
            head, line, rest = block.partition("report = verify(")
            with account.virtual():
                exec(compile(head, str(PAGE), "exec"), names)
            if not line:
                continue
            ids = [item.id for item in names["status"].resources if item.address.kind == "instance"]
            verifying, cut, rest = (line + rest).partition("destroy(")
            with servers.front(servers.in_turn(*ids)) as front:
                here = verifying.replace('"localhost", 8080', f'"127.0.0.1", {front.port}')
                exec(compile(here, str(PAGE), "exec"), names)
            with account.virtual():
                exec(compile(cut + rest, str(PAGE), "exec"), names)
        assert names["result"].ok
        assert names["report"].ok
        assert [item.requests for item in names["report"].findings] == [40]
        assert account.world.plan(demo()).count()["create"] == len(names["changes"].steps)

    def test_the_type_checker_sees_the_examples(self) -> None:
        """`make check` holds that file to `mypy --strict`."""
        program = (PAGE.parent.parent / "tests" / "user_code.py").read_text(encoding="utf-8")
        shown = [line for line in "\n".join(EXAMPLES).splitlines() if line]
        assert [line for line in program.splitlines() if line][1:] == shown

    def test_what_is_exported_is_what_is_documented(self) -> None:
        rows = re.findall(r"(?m)^\| (`\w.*?) \|", PAGE.read_text(encoding="utf-8"))
        names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert sorted(names) == EXPORTED
        typed = re.findall(r"(?m)^    from \S+ import \w+ as (\w+)$", Path(api.__file__).read_text(encoding="utf-8"))
        assert sorted(typed) == sorted([*names, "__version__"])
        assert all(getattr(api, name).__doc__ for name in names)

    def test_the_exit_codes_of_the_errors(self) -> None:
        rows = re.findall(r"(?m)^\| `(\w+(?:Error|Run))` \|.*\| (\d+) \|$", PAGE.read_text(encoding="utf-8"))
        assert len(rows) == 16
        for name, code in rows:
            assert int(getattr(api, name).exit_code) == int(code), name

    def test_importing_it_reads_nothing_else(self) -> None:
        code = "import sys; had = set(sys.modules); import alb_reconcile; print(*sorted(set(sys.modules) - had))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=PAGE.parent.parent)
        assert done.stdout.split() == [b"alb_reconcile"]


class TestSpecs:
    def test_mistakes_and_risks_are_values(self) -> None:
        wrong = edited(demo(), "vpcs/main/cidr_block", "10.0.0.0/33")
        problems = api.validate("made.yaml", text=yaml.safe_dump(wrong, sort_keys=False))
        (mistake,) = [item for item in problems if not item.warning]
        assert mistake.path == "vpcs.main.cidr_block"
        assert mistake.render("made.yaml").startswith(
            f"made.yaml:{mistake.line}:{mistake.column}: vpcs.main.cidr_block: "
        )
        for text in ("stack: \ud800\n", "", "[", "a: 1\n" * 500_000):
            assert api.validate("made.yaml", text=text)[0].message
        with pytest.raises(api.SpecError) as caught:
            loaded(wrong)
        assert caught.value.problems == problems

    def test_files_of_variables(self, tmp_path: Path) -> None:
        """One file or several; a mistake in one is the file's, not the spec's."""
        (tmp_path / "s.yaml").write_text("stack: ${NAME}\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n")
        (tmp_path / "good.yaml").write_text("NAME: shop\n")
        (tmp_path / "bad.yaml").write_text("NAME: [shop]\n")
        spec, good, bad = (str(tmp_path / name) for name in ("s.yaml", "good.yaml", "bad.yaml"))
        assert api.load(spec, values=good).name == api.load(spec, values=[good]).name == "shop"
        assert api.validate(spec, values=Path(good)) == ()
        for ask in (api.load, api.validate):
            with pytest.raises(api.SpecError) as caught:
                ask(spec, values=[good, bad])
            assert caught.value.file == bad

    def test_the_region_of_the_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        text = "stack: shop\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"
        assert api.load("s.yaml", text=text, session=api.Session(region="eu-west-1")).region == "eu-west-1"
        with pytest.raises(api.UsageError, match=r"s\.yaml names no region: .* set AWS_REGION"):
            api.load("s.yaml", text=text)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
        assert api.load("s.yaml", text=text).region == "eu-west-2"
        monkeypatch.setenv("AWS_REGION", "eu-west-3")
        assert api.load("s.yaml", text=text).region == "eu-west-3", "boto3 reads the other one only"

    def test_a_file_of_further_limits(self, virtual: World, tmp_path: Path) -> None:
        virtual.converge(demo())
        (tmp_path / "limits.yaml").write_text("max_replacements: 0\n")
        rolled = edited(demo(), "instances/web/user_data", "#!/bin/sh\n")
        rolled["instances"]["web"]["rollout"] = {"max_unavailable": 1}
        stack = api.load("stack.yaml", text=yaml.safe_dump(rolled), policy=tmp_path / "limits.yaml")
        with pytest.raises(api.PlanRefusedError, match="max_replacements is 0") as caught:
            api.plan(stack)
        assert caught.value.plan.count()["replace"] > 0
        before = virtual.strict.inventory()
        with pytest.raises(api.RefusedError, match="max_replacements is 0"):
            api.apply(stack)
        assert virtual.strict.inventory() == before

    @pytest.mark.parametrize(
        ("session", "text"),
        [
            (api.Session(max_workers=0), "max_workers is 0"),
            (api.Session(pace=2), "pace is 2"),
            (api.Session(sandbox=True, profile="x"), "can't be combined"),
            (api.Session(endpoint_url="here"), "expects an address"),
        ],
    )
    def test_sessions_that_cant_be_meant(self, session: api.Session, text: str) -> None:
        with pytest.raises(api.UsageError, match=text):
            api.plan(api.load("s.yaml", text=yaml.safe_dump(demo()), session=session))


class TestRuns:
    def test_in_an_event_loop_it_takes_a_thread(self, account: Account) -> None:
        stack = loaded()

        async def use() -> api.Plan:
            with pytest.raises(api.UsageError, match="an event loop is running here"):
                api.plan(stack)
            return await asyncio.to_thread(api.plan, stack)

        assert len(asyncio.run(use()).steps) == len(stack.addresses)

    @pytest.mark.parametrize("allow", [{"deletes": 3}, {"delete": -1}])
    def test_what_nobody_could_allow(self, allow: dict[str, int]) -> None:
        stack = loaded()
        for call in (api.plan, api.apply, api.destroy):
            with pytest.raises(api.UsageError, match="allow takes numbers from 0 for delete, replace, "):
                call(stack, allow=allow)

    def test_a_life(self, virtual: World, capsys: pytest.CaptureFixture[str]) -> None:
        stack, events = loaded(), list[api.Event]()
        planned = api.plan(stack)
        assert (planned.is_empty, planned.count()["create"]) == (False, len(stack.addresses))
        assert json.loads(api.to_json(planned))["summary"]["create"] == len(planned.steps)
        lock, held = StackLock(planned.account, REGION, "demo", ""), set[bool]()

        def follow(event: api.Event) -> None:
            events.append(event)
            held.add(lock.is_held())

        result = api.apply(stack, expected=planned, on_event=follow)
        assert (held, lock.is_held()) == ({True}, False)
        assert result.ok
        assert {event.what for event in events} >= {"started", "done"}
        assert {event.step.key for event in events if event.what == "done"} == {step.key for step in planned.steps}
        assert list(result.times) == ["ready", "converged"]
        assert [item.how for item in result.outcomes] == ["done"] * len(planned.steps)
        run = last_run(capsys)
        assert (run["run"], run["command"], run["result"]) == (result.run, "apply", "corrected")
        assert api.plan(stack).is_empty
        status = api.discover(stack)
        assert status.urls == result.urls
        assert status.urls[0] in api.to_text(status)
        assert (status.missing, status.not_ready) == ((), ())
        assert {str(item.address) for item in status.resources} == set(stack.addresses)
        assert json.loads(api.to_json(status))["account"] == status.account
        gone = api.destroy(stack)
        assert (gone.ok, last_run(capsys)["command"]) == (True, "destroy")
        assert api.discover(stack).resources == ()

    def test_what_isnt_confirmed_or_expected_isnt_done(
        self, virtual: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack, before, asked = loaded(), virtual.strict.inventory(), list[api.Plan]()

        def no(made: api.Plan) -> bool:
            asked.append(made)
            return False

        with pytest.raises(api.RefusedError, match="not confirmed; nothing was changed"):
            api.apply(stack, confirm=no)
        assert [made.count()["create"] for made in asked] == [len(stack.addresses)]
        assert last_run(capsys)["result"] == "refused"
        old = api.plan(loaded(edited(demo(), "instances/web/count", 1)))
        with pytest.raises(api.RefusedError, match="the expected plan is stale"):
            api.apply(stack, expected=old)
        assert virtual.strict.inventory() == before
        api.apply(stack, confirm=lambda _: True)
        before = virtual.strict.inventory()
        with pytest.raises(api.RefusedError, match="not confirmed"):
            api.destroy(stack, confirm=no)
        assert virtual.strict.inventory() == before
        api.apply(stack, confirm=no)  # nothing is to be done, so nobody is asked
        assert len(asked) == 2

    def test_a_run_that_fails_says_how_far_it_got(
        self, virtual: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ask = virtual._call

        def deny(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            if operation == "create_target_group":
                raise api.AwsError(service, operation, "AccessDenied", "no", "req-1")
            return ask(service, operation, params)

        with monkeypatch.context() as patch:
            patch.setattr(virtual, "_call", deny)
            with pytest.raises(
                api.UnfinishedError, match=r"target_group\.web: CreateTargetGroup: AccessDenied"
            ) as caught:
                api.apply(loaded())
        hows = {str(item.step.address): item.how for item in caught.value.result.outcomes}
        assert (hows["vpc.main"], hows["target_group.web"], hows["listener.public/http"]) == (
            "done",
            "failed",
            "skipped",
        )
        assert not caught.value.result.ok
        assert last_run(capsys)["result"] == "failed"
        assert api.apply(loaded()).ok

    @pytest.mark.parametrize(("changes", "code"), [(False, 4), (True, 1)])
    def test_only_a_run_that_has_changed_nothing_is_refused(
        self, virtual: World, capsys: pytest.CaptureFixture[str], *, changes: bool, code: int
    ) -> None:
        api.apply(loaded())
        first = {group["TargetGroupArn"] for group in virtual.client("elbv2").describe_target_groups()["TargetGroups"]}
        virtual.strict.health = lambda group, *_: None if group in first else "unhealthy"
        moved = edited(demo(), "target_groups/web/port", 8080)
        with pytest.raises(api.UnfinishedError):
            api.apply(loaded(moved))
        assert last_run(capsys)["exit_code"] == 1
        if changes:
            moved["security_groups"]["web"]["tags"] = {"team": "shop"}
        before = virtual.strict.inventory()
        with pytest.raises(api.UnfinishedError, match=r"target_group\.web has 0 healthy targets, and needs 2"):
            api.apply(loaded(moved))
        assert (virtual.strict.inventory() != before) == changes
        assert last_run(capsys)["exit_code"] == code

    def test_ctrl_c_ends_it_between_steps(self, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
        """In a loop as users have it; what was begun is finished by the next run."""
        told: list[str] = []

        def interrupt(event: api.Event) -> None:
            if event.what == "done" and "done" not in told:
                signal.raise_signal(signal.SIGINT)
            told.append(event.what)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                api.apply(loaded(), on_event=interrupt)
        finally:
            signal.signal(signal.SIGINT, before)
        assert "interrupted" in told
        assert last_run(capsys)["result"] == "interrupted"
        with account.virtual():
            assert api.apply(loaded()).ok
