"""Sends traces to OpenTelemetry: a span for each run, in it one for each step, and in each step one for each call to AWS.

The SDK is an extra (`alb-reconcile[otel]`), and imported only where traces are asked for. OpenTelemetry's instrumentation of botocore isn't
used: it patches botocore, knows no steps, and is a beta.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from alb_reconcile.journal.mask import Mask
from alb_reconcile.model.errors import UsageError, needs_extra
from alb_reconcile.model.text import camel
from alb_reconcile.model.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from alb_reconcile.aws.calls import Call
    from alb_reconcile.engine.apply import Event
    from alb_reconcile.journal.record import RunRecord

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
ENDPOINTS: Final = (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+\s*=[ !#-+\--:<-\[\]-~]*", re.ASCII)
_SERVICES: Final = {
    "ec2": "EC2",
    "elbv2": "Elastic Load Balancing v2",
    "acm": "ACM",
    "iam": "IAM",
    "s3": "S3",
    "sts": "STS",
}
_PATIENCE: Final = 2.0
"""Seconds for which the process's end waits until its last spans are delivered."""
_OWN: Final = "alb_reconcile."
_REASON: Final = re.compile(r"\[Errno -?\d+\] ([\w ]+)|\bcode: (\d{3})\b")
"""The reason of a failure, in what the library logs of it."""
_MOST: Final = 128
"""The most request ids of one step that are named."""


class Tracing:
    """The receiver of this process's spans. The library sends them in a thread of its own."""

    def __init__(self, provider: TracerProvider, title: str, mask: Mask, parent: str = "") -> None:
        """`title` is the collector's name without secrets; `parent` is a W3C traceparent: the trace of the program that has started
        this process."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self.mask = provider, mask
        self._parent = TraceContextTextMapPropagator().extract({"traceparent": parent})
        self._title, self._heard = title, _Heard()

    def begin(self, run: str, command: str, stack: str, region: str) -> RunTrace:
        """Start the span of a run."""
        tracer = self._provider.get_tracer("alb_reconcile", __version__)
        attributes = {
            f"{_OWN}run": run, f"{_OWN}command": command, f"{_OWN}stack": self.mask.line(stack),
            "cloud.provider": "aws", "cloud.region": self.mask.line(region),
        }  # fmt: skip
        span = tracer.start_span(f"{command} {self.mask.line(stack)}", self._parent, attributes=attributes)
        return RunTrace(tracer, self.mask, span)

    def end(self) -> str:
        """Deliver the remaining spans. Returns why some can't be delivered, or nothing; after two seconds at the latest."""
        # the library's own time-out doesn't bound this: a silent collector, or a name that isn't answered, holds it up
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_PATIENCE)
        self._heard.close()
        if not last.is_alive() and not self._heard.is_lost:
            return ""
        reason = self._heard.last or (
            f"no answer within {_PATIENCE:g} s" if last.is_alive() else "it took none of them"
        )
        return (
            f"the collector at {self._title} didn't get all traces: {reason.lower()}; start it, or correct {ENDPOINT}"
        )


class RunTrace:
    """The spans of one run, with those of its steps and its calls."""

    def __init__(self, tracer: Any, mask: Mask, span: Span) -> None:
        self._tracer, self._mask, self._span = tracer, mask, span
        self._steps: dict[str, Span] = {}
        self._calls: dict[str, list[Call]] = defaultdict(list)

    def step(self, event: Event) -> None:
        """Start or end the span of a step."""
        key, action = event.step.key, event.step.action
        if event.what == "started":
            attributes = {f"{_OWN}address": str(event.step.address), f"{_OWN}action": action}
            self._steps[key] = self._start(f"{action} {event.step.address}", self._span, attributes=attributes)
        elif event.what in ("done", "failed", "interrupted", "skipped") and key in self._steps:
            span = self._steps.pop(key)
            made = event.text if event.what == "done" else ""
            span.set_attribute(f"{_OWN}outcome", event.what)
            if found := made or event.step.id:
                span.set_attribute(f"{_OWN}id", self._mask.line(found))
            self._sum_up(span, self._calls.pop(key, []))
            if event.what == "failed":
                self._fail(span, event.text)
            span.end()

    def call(self, call: Call) -> None:
        """Add the span of a call to AWS that has ended."""
        if call.made_for in self._steps:
            self._calls[call.made_for].append(call)
        span = self._start(
            f"{_SERVICES.get(call.service, call.service)}/{camel(call.operation)}",
            self._steps.get(call.made_for, self._span),
            start_time=call.started,
            client=True,
            attributes={
                "rpc.system": "aws-api",
                "rpc.service": _SERVICES.get(call.service, call.service),
                "rpc.method": camel(call.operation),
                "aws.request_id": self._mask.line(call.request_id),
                f"{_OWN}retries": call.retries,
                f"{_OWN}throttled": call.throttled,
            },
        )
        if call.error:
            span.set_attribute("error.type", self._mask.line(call.error))
            self._fail(span, call.error)
        span.end(call.ended)

    def end(self, record: RunRecord) -> None:
        """End the run's span. Texts in the record are masked already."""
        for span in self._steps.values():  # only where something unforeseen has ended the run
            span.end()
        self._span.set_attributes(
            {
                "cloud.account.id": record.account,
                f"{_OWN}result": record.result,
                f"{_OWN}exit_code": record.exit_code,
                f"{_OWN}calls": sum(record.calls.values()),
                f"{_OWN}throttled": sum(item.count for item in record.throttled.values()),
            }
        )
        if record.result in ("failed", "refused"):
            failed = next((step.error for step in record.having(how="failed")), record.result)
            self._fail(self._span, record.error or failed)
        self._span.end()

    def _start(self, name: str, parent: Span, *, client: bool = False, **options: Any) -> Span:
        from opentelemetry.trace import SpanKind, set_span_in_context

        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        span: Span = self._tracer.start_span(name, set_span_in_context(parent), kind=kind, **options)
        return span

    def _sum_up(self, span: Span, calls: list[Call]) -> None:
        ids = [self._mask.line(call.request_id) for call in calls if call.request_id]
        span.set_attribute(f"{_OWN}request_ids", ids[-_MOST:])
        span.set_attribute(f"{_OWN}retries", sum(call.retries for call in calls))
        span.set_attribute(f"{_OWN}throttled", sum(call.throttled for call in calls))

    def _fail(self, span: Span, text: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, self._mask.line(text)))


class _Heard(logging.Handler):
    """Keeps what the library logs; printed, it would interrupt other output, many times."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.is_lost, self.last = False, ""
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.is_lost = self.is_lost or record.levelno >= logging.ERROR or text.startswith("Queue full")
        if found := _REASON.search(text):
            self.last = found[1] or f"status {found[2]}"

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True
        super().close()


def read_tracing(environ: Mapping[str, str], mask: Mask, *, asked: bool) -> Tracing | None:
    """The receiver of traces, if there is one: `asked` for by an option, or by OpenTelemetry's own variables.

    Raises UsageError if the option asks for traces that can't be sent. Variables that are meant for other programs, and that this
    program can't follow, are ignored.
    """
    if not asked and (not any(map(environ.get, ENDPOINTS)) or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"):
        return None
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" and not asked:
        return None
    try:
        title = _collector(environ)
        return Tracing(_provider(environ), title, mask, environ.get("TRACEPARENT", ""))
    except UsageError:
        if asked:
            raise
        return None


def secrets_of(environ: Mapping[str, str]) -> Iterator[str]:
    """The values of the headers that go to the collector: one of them is its key."""
    for name in _HEADERS:
        for header in environ.get(name, "").split(","):
            yield header.partition("=")[2].strip()


def _check_headers(environ: Mapping[str, str]) -> None:
    """Raises UsageError for a header that can't be read: OpenTelemetry would log it, with the key in it."""
    for name in _HEADERS:
        for header in filter(None, map(str.strip, environ.get(name, "").split(","))):
            if not _HEADER.fullmatch(header):
                raise UsageError(f"{name} has a header that can't be read; write NAME=VALUE, with a comma between two")


def _collector(environ: Mapping[str, str]) -> str:
    """The collector's address, without parts that may be secret. Raises UsageError."""
    protocol = next(filter(None, map(environ.get, _PROTOCOLS)), "http/protobuf")
    if protocol != "http/protobuf":
        raise UsageError(f"traces are sent by http/protobuf only, and {_PROTOCOLS[1]} is {protocol}; set it to that")
    name = next(filter(environ.get, reversed(ENDPOINTS)), "")
    try:
        parsed = urlsplit(environ[name] if name else "http://localhost:4318")
        valid = parsed.scheme in ("http", "https") and parsed.hostname and parsed.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{name} isn't a collector's URL; write http://HOST:4318")
    return f"{parsed.scheme}://{parsed.netloc.rpartition('@')[2]}"


def _provider(environ: Mapping[str, str]) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError(needs_extra("traces need", "otel")) from None
    own = {"service.version": __version__, "host.name": socket.gethostname()}
    if "OTEL_SERVICE_NAME" not in environ and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        own["service.name"] = "alb-reconcile"
    _check_headers(environ)
    try:
        # the process's end is bounded by `Tracing.end`, not by the library
        provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, OSError) as error:
        raise UsageError(f"the OTEL_… variables can't be used: {error}; correct them") from None
    return provider
