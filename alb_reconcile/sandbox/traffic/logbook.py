"""Keeps the logs of load balancers: gathers what Envoy and the health checks recorded, and puts it into S3 as AWS does."""

import gzip
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.traffic.log_lines import (
    NODE,
    access_entry,
    choose_certificate,
    connection_entry,
    health_entry,
    name_of_balancer,
)
from alb_reconcile.sandbox.traffic.propagation import groups_behind
from alb_reconcile.sandbox.traffic.recording import is_logged
from alb_reconcile.sandbox.traffic.routes import name_of
from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer, Snapshot

INTERVAL: Final = 300
"""Seconds, on AWS's clock, from one file to the next (AWS ELB, 'Access log files')."""
_NAMES: Final = {"access": "", "connection": "conn_log.", "health_check": "health_check_log_"}
Deliver = Callable[[str, str, str, bytes], None]
"""A function that puts an object into S3, by account, bucket, key and content."""


class _Log(NamedTuple):
    """One log of a load balancer, with its bucket and prefix."""

    balancer: str
    kind: str
    bucket: str
    prefix: str


class Logbook:
    """Collects log lines, and delivers them every five minutes. Only one thread may call its methods.

    `records` is the file that Envoy writes; `targets` gives the instance and port behind each local port.
    """

    def __init__(
        self, records: Path, targets: Callable[[], Mapping[int, tuple[str, int]]], deliver: Deliver, speed: float
    ) -> None:
        self._records, self._targets, self._deliver, self._speed = records, targets, deliver, speed
        self._read = 0
        self._window: int | None = None
        self._lines: dict[_Log, list[str]] = defaultdict(list)
        self._addresses: dict[str, str] = {}
        self._listeners: dict[str, tuple[LoadBalancer, Listener]] = {}
        self._certificates: dict[str, tuple[str, ...]] = {}
        self._groups: dict[str, str] = {}

    def write(self, snapshot: Snapshot, checks: Iterable[Check], now: float, moment: datetime) -> None:
        """Collect new records and checks, and deliver logs that are due. `now` (seconds) and `moment` are the time on AWS's clock."""
        self._learn(snapshot)
        for record in self._new_records():
            self._add(record, moment)
        self._add_checks(snapshot, checks, now, moment)
        window = int(moment.timestamp() // INTERVAL)
        if self._window is not None and window != self._window:
            self.flush(datetime.fromtimestamp(window * INTERVAL, UTC))
        self._window = window

    def flush(self, end: datetime) -> None:
        """Deliver all lines, as logs of the interval that ended at `end`."""
        for log, lines in self._lines.items():
            content = gzip.compress("".join(f"{line}\n" for line in lines).encode())
            self._deliver(_account(log.balancer), log.bucket, _key(log, end), content)
        self._lines.clear()

    def _learn(self, snapshot: Snapshot) -> None:
        """Note the resources' names and addresses. None is forgotten, since a late record may name a deleted resource."""
        self._addresses |= {item.id: item.private_ip for item in snapshot.instances}
        self._certificates |= snapshot.certificates
        self._groups |= {name_of(arn): arn for arn in snapshot.target_groups}
        for balancer in snapshot.load_balancers:
            self._listeners |= {item.arn: (balancer, item) for item in balancer.listeners}

    def _new_records(self) -> Iterator[dict[str, Any]]:
        if not self._records.exists():
            return
        with self._records.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # Envoy hasn't written all of the line yet
                self._read += len(line)
                yield json.loads(line)

    def _add(self, record: dict[str, Any], moment: datetime) -> None:
        found = self._listeners.get(record["listener"])
        if found is None:
            return
        balancer, listener = found
        at = self._in_aws(float(record["at"]), moment)
        if record["log"] == "connection":
            self._note(balancer, "connection", connection_entry(record, listener, at))
            return
        certificate = ""
        if listener.protocol == "HTTPS":
            names = self._certificates
            certificate = choose_certificate(record["name"], listener.certificates, lambda arn: names.get(arn, ()))
        group = self._groups.get(record["group"] or "", "")
        self._note(
            balancer, "access", access_entry(record, listener, at, self._target(record["upstream"]), group, certificate)
        )

    def _add_checks(self, snapshot: Snapshot, checks: Iterable[Check], now: float, moment: datetime) -> None:
        logged = [item for item in snapshot.load_balancers if is_logged(item, "health_check")]
        whose = {arn: balancer for balancer in logged for arn in groups_behind(balancer)}
        for check in checks:
            balancer, group = whose.get(check.group), snapshot.target_groups.get(check.group)
            if balancer is not None and group is not None:
                began = moment - timedelta(seconds=now - check.began)
                target = f"{self._addresses.get(check.target, check.target)}:{check.port}"
                self._note(balancer, "health_check", health_entry(check, group, target, began, balancer.arn))

    def _note(self, balancer: LoadBalancer, kind: str, line: str) -> None:
        bucket, prefix = (balancer.attributes.get(f"{kind}_logs.s3.{part}") or "" for part in ("bucket", "prefix"))
        if bucket:
            self._lines[_Log(balancer.arn, kind, bucket, prefix)].append(line)

    def _target(self, upstream: str | None) -> str:
        """The address and port, in AWS, of the target to which Envoy connected; empty if it isn't known."""
        _, _, port = (upstream or "").rpartition(":")
        found = self._targets().get(int(port)) if port.isdigit() else None
        return f"{self._addresses.get(found[0], found[0])}:{found[1]}" if found else ""

    def _in_aws(self, at: float, moment: datetime) -> datetime:
        """The moment on AWS's clock of a time on this machine's. Only moments are scaled by `speed`; durations in logs aren't."""
        return moment - timedelta(seconds=(time.time() - at) * self._speed)


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _key(log: _Log, end: datetime) -> str:
    """The object key of a log file (AWS ELB, 'Access log files', 'Connection log files', 'Health check log files')."""
    _, _, _, region, account, _ = log.balancer.split(":", 5)
    prefix = f"{log.prefix.strip('/')}/" if log.prefix.strip("/") else ""
    resource = name_of_balancer(log.balancer).replace("/", ".")
    moment = end.astimezone(UTC)
    name = f"{_NAMES[log.kind]}{account}_elasticloadbalancing_{region}_{resource}"
    name += f"_{moment:%Y%m%dT%H%MZ}_{NODE}_{secrets.token_hex(4)}.log.gz"
    return f"{prefix}AWSLogs/{account}/elasticloadbalancing/{region}/{moment:%Y/%m/%d}/{name}"
