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
"""Seconds of AWS from one file to the next (AWS ELB, 'Access log files')."""
_NAMES: Final = {"access": "", "connection": "conn_log.", "health_check": "health_check_log_"}
Deliver = Callable[[str, str, str, bytes], None]
"""Puts an object into S3: account, bucket, key, content."""


class _Log(NamedTuple):
    """One log of a load balancer, and where it goes."""

    balancer: str
    kind: str
    bucket: str
    prefix: str


class Logbook:
    """Keeps what there is to be logged until its five minutes are over. The methods are called by one thread.

    `records` is what Envoy writes; `targets` tells which instance and port a local port stands for.
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
        """Take what was recorded since, and hand over what is due. `now` (seconds) and `moment` are AWS's time."""
        self._learn(snapshot)
        for record in self._new_records():
            self._add(record, moment)
        self._add_checks(snapshot, checks, now, moment)
        window = int(moment.timestamp() // INTERVAL)
        if self._window is not None and window != self._window:
            self.flush(datetime.fromtimestamp(window * INTERVAL, UTC))
        self._window = window

    def flush(self, end: datetime) -> None:
        """Hand over all there is, as the log of the time that ended then."""
        for log, lines in self._lines.items():
            content = gzip.compress("".join(f"{line}\n" for line in lines).encode())
            self._deliver(_account(log.balancer), log.bucket, _key(log, end), content)
        self._lines.clear()

    def _learn(self, snapshot: Snapshot) -> None:
        """What is gone may still be in a record that comes late, so nothing is forgotten."""
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
                    return  # the rest of it comes later
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
        """The address and port in AWS of what Envoy connected to."""
        _, _, port = (upstream or "").rpartition(":")
        found = self._targets().get(int(port)) if port.isdigit() else None
        return f"{self._addresses.get(found[0], found[0])}:{found[1]}" if found else ""

    def _in_aws(self, at: float, moment: datetime) -> datetime:
        """When something was in AWS's time; how long it took is HTTP time."""
        return moment - timedelta(seconds=(time.time() - at) * self._speed)


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _key(log: _Log, end: datetime) -> str:
    """AWS ELB, 'Access log files', 'Connection log files', 'Health check log files'."""
    _, _, _, region, account, _ = log.balancer.split(":", 5)
    prefix = f"{log.prefix.strip('/')}/" if log.prefix.strip("/") else ""
    resource = name_of_balancer(log.balancer).replace("/", ".")
    moment = end.astimezone(UTC)
    name = f"{_NAMES[log.kind]}{account}_elasticloadbalancing_{region}_{resource}"
    name += f"_{moment:%Y%m%dT%H%MZ}_{NODE}_{secrets.token_hex(4)}.log.gz"
    return f"{prefix}AWSLogs/{account}/elasticloadbalancing/{region}/{moment:%Y/%m/%d}/{name}"
