"""Traces of runs, as a collector gets them."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.stack import Options, apply_stack, plan_stack
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.recorder import recorded
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, UsageError
from tests.harness import REGION, demo, load, world
from tests.journal.receiver import Receiver, receiving
from tests.processes import GUARD
from tests.verify.servers import unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _nothing_is_sent_any_more() -> Iterator[None]:
    """Else what one test couldn't deliver is heard by the next one: a run waits for so long only."""
    yield
    for thread in threading.enumerate():
        if thread.name == "last spans":
            thread.join(GUARD)
            assert not thread.is_alive()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(status=200) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
        yield receiver


def spans_of(collector: Receiver) -> list[Any]:
    """All that it has got, each with its attributes as a dictionary."""
    found = []
    for _, path, _, body in collector.requests:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def attributes(holder: Any) -> dict[str, Any]:
    found = {}
    for item in holder.attributes:
        kind = item.value.WhichOneof("value")
        value = getattr(item.value, kind)
        found[item.key] = [each.string_value for each in value.values] if kind == "array_value" else value
    return found


def test_a_run_its_steps_and_their_calls(collector: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    monkeypatch.setattr(asyncio, "to_thread", _at_once)  # nobody waits for a thread on a virtual clock
    settings = read_settings(os.environ, state_dir=str(tmp_path))
    stack = load(demo())
    target = DesiredStack(stack.name, REGION, stack.desired, stack.account_ids, policy=stack.policy)

    async def main(aws: Aws) -> None:
        async with recorded(aws, target, "apply", settings, pytest.fail) as recorder:
            planned = await plan_stack(aws, target, Options(eager=True))
            recorder.plan = planned.plan
            recorder.outcomes = (await apply_stack(aws, planned, on_event=recorder)).outcomes

    with settings.traces_end(pytest.fail), world() as here:
        here.denial.seconds = 0.0  # a call that is refused first has two spans
        monkeypatch.setattr(here, "_call", _numbered(here._call))
        here._run(main)
    [record] = read_history(tmp_path, stack.name).runs
    spans = {span.span_id: span for span in spans_of(collector)}
    [run] = [span for span in spans.values() if span.parent_span_id not in spans]
    assert (run.trace_id.hex(), run.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert {span.trace_id for span in spans.values()} == {run.trace_id}
    told = attributes(run)
    assert (told["alb_reconcile.run"], told["alb_reconcile.result"]) == (record.run, "corrected")
    assert told["cloud.account.id"] == record.account
    steps = [
        span for span in spans.values() if span.parent_span_id == run.span_id and span.kind == span.SPAN_KIND_INTERNAL
    ]
    assert sorted(span.name for span in steps) == sorted(step.key.replace(":", " ", 1) for step in record.steps)
    group = next(span for span in steps if "create target_group." in span.name)
    calls = [span for span in spans.values() if span.parent_span_id == group.span_id]
    made = next(span for span in calls if span.name == "Elastic Load Balancing v2/CreateTargetGroup")
    assert made.kind == made.SPAN_KIND_CLIENT
    assert (
        group.start_time_unix_nano <= made.start_time_unix_nano <= made.end_time_unix_nano <= group.end_time_unix_nano
    )
    told = attributes(made)
    assert (told["rpc.system"], told["rpc.method"]) == ("aws-api", "CreateTargetGroup")
    assert f"create_target_group {told['aws.request_id']}" in record.requests
    whole = attributes(group)
    assert told["aws.request_id"] in whole["alb_reconcile.request_ids"]
    assert whole["alb_reconcile.id"].startswith("arn:")
    assert (whole["alb_reconcile.action"], whole["alb_reconcile.outcome"]) == ("create", "done")


def _numbered(call: Any) -> Any:
    """With a request id in each answer, which the emulator gives over the wire only."""
    numbers = itertools.count(1)

    def answer(*arguments: Any) -> dict[str, Any]:
        return {**call(*arguments), "ResponseMetadata": {"RequestId": f"request-{next(numbers)}", "RetryAttempts": 0}}

    return answer


async def _at_once(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


class Busy:
    """An AWS that throttles the first call of each operation, and denies the next."""

    endpoint = region = ""
    answered = True

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, service: str, operation: str, params: Any, /, *, once: bool = False) -> dict[str, Any]:
        if operation == "get_caller_identity":
            return {"Account": "123456789012"}
        code = "AccessDenied" if operation in self.asked else "Throttling"
        self.asked.add(operation)
        raise AwsError(service, operation, code, "password=hunter22 isn't it", "7f3a", retries=2)


def run_denied(settings: Any, said: Any) -> None:
    async def main() -> None:
        aws = Aws(Busy(), max_workers=1, speed=1000)
        with pytest.raises(AwsError):
            async with recorded(aws, DesiredStack("shop", "us-east-1", {}), "sync", settings, said):
                await aws.call("ec2", "describe_vpcs")
        aws.close()

    with settings.traces_end(said):
        asyncio.run(main())


def test_what_fails_is_told_without_secrets(collector: Receiver, tmp_path: Path) -> None:
    run_denied(read_settings(os.environ, state_dir=str(tmp_path)), pytest.fail)
    (record,) = read_history(tmp_path, "shop").runs
    assert {name: item.count for name, item in record.throttled.items()} == {"describe_vpcs": 1}
    assert record.started <= record.throttled["describe_vpcs"].last <= record.ended
    by_error = {attributes(span).get("error.type"): span for span in spans_of(collector)}
    assert by_error.keys() == {None, "Throttling", "AccessDenied"}
    assert attributes(by_error["Throttling"])["alb_reconcile.throttled"] == 1
    assert attributes(by_error["AccessDenied"])["alb_reconcile.retries"] == 2
    run = by_error[None]
    assert attributes(run)["alb_reconcile.result"] == "failed"
    assert run.status.code == run.status.STATUS_CODE_ERROR
    assert "AccessDenied" in run.status.message
    assert "hunter22" not in run.status.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"status": 401}, "status 401"),
        ({"manner": "hang"}, "no answer within 0.2 s"),
        ({}, "connection refused; start it, or correct OTEL_EXPORTER_OTLP_"),
    ],
)
def test_a_collector_that_refuses_hangs_or_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr("alb_reconcile.journal.tracing._PATIENCE", 0.2 if "manner" in answers else 60.0)
    with receiving(**answers) as receiver:
        place = f"127.0.0.1:{receiver.port if answers else unused_port()}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://us:secret@{place}/in?key=abc")
        said: list[str] = []
        run_denied(read_settings(os.environ, state_dir=str(tmp_path)), said.append)
    [line] = said
    assert f"http://{place} didn't get all traces: {reason}" in line


class TestAskedFor:
    """By the option, or by OpenTelemetry's own variables."""

    def test_the_extra_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
        with pytest.raises(UsageError, match="pip install"):
            read_settings({}, state_dir=str(tmp_path), trace=True)
        asked_by_others = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}
        assert read_settings(asked_by_others, state_dir=str(tmp_path)).tracing is None
