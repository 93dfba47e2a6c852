"""Access logs: AWS's format and layout, from real requests."""

from __future__ import annotations

import gzip
import re
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.sandbox.traffic.logbook import Logbook
from alb_reconcile.sandbox.traffic.snapshot import Instance
from tests.sandbox.traffic.front_lab import Lab, arn, fixed, forward, group, listener, rule, wait_until, when
from tests.sandbox.traffic.test_front_transforms import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
NOON = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
ACCESS_FIELDS = (
    "type time elb client target request_processing_time target_processing_time response_processing_time elb_status_code "
    "target_status_code received_bytes sent_bytes request user_agent ssl_cipher ssl_protocol target_group_arn trace_id "
    "domain_name chosen_cert_arn matched_rule_priority request_creation_time actions_executed redirect_url error_reason "
    "target_list target_status_code_list classification classification_reason conn_trace_id transformed_host "
    "transformed_uri request_transform_status ip_address"
)
ACCESS = ACCESS_FIELDS.split()


class Site:
    """A front whose load balancer logs everything, and the objects that come of it."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder, "a")
        self.objects: dict[tuple[str, str], list[str]] = {}
        self.book = Logbook(self.lab.front.records, self.lab.front.targets, self.put, speed=10)
        self.wrote = 0

    def put(self, account: str, bucket: str, key: str, content: bytes) -> None:
        assert account == "123456789012"
        self.objects[bucket, key] = gzip.decompress(content).decode().splitlines()

    def show(self, *listeners: Any) -> None:
        attributes: dict[str, str] = {}
        for kind in ("access", "connection", "health_check"):
            attributes |= {f"{kind}_logs.s3.enabled": "true", f"{kind}_logs.s3.bucket": kind}
        attributes["access_logs.s3.prefix"] = "our/logs"
        made = self.lab.show(listeners, [group("web", "i-a")], attributes=attributes)
        balancer = replace(made.load_balancers[0], arn=BALANCER)
        instance = Instance("i-a", "running", "us-east-1a", "10.0.0.7", "", 1, (80,))
        self.lab.change(load_balancers=(balancer,), instances=(instance,))

    def write(self, records: int) -> dict[str, list[str]]:
        """The logs by bucket, once so many records are there, at the end of five minutes."""
        self.wrote += records
        file = self.lab.front.records
        wait_until(lambda: file.exists() and len(file.read_bytes().splitlines()) >= self.wrote)
        self.objects.clear()
        self.book.write(self.lab.snapshot, (), 60.0, NOON)
        assert self.objects == {}
        self.book.write(self.lab.snapshot, (), 360.0, NOON + timedelta(minutes=5))
        self.book._window = None
        return {bucket: lines for (bucket, _), lines in self.objects.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("front"))
    yield made
    made.lab.close()


def named(names: list[str], line: str) -> dict[str, str]:
    return dict(zip(names, shlex.split(line), strict=True))


def test_requests(site: Site) -> None:
    api = rule(forward("web"), when("path-pattern", "/api/*"), priority=3)
    api = replace(api, transforms=(rewrite("url-rewrite", "^/api", "/v1"),))
    to = rule({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "x.example.com"}},
              when("path-pattern", "/old"), priority=4)  # fmt: skip
    site.show(listener(80, api, to, rule(fixed("none", 404))))
    began = time.time()
    for path in ("/api/a?b=1", "/old", "/"):
        site.lab.get(path, headers={"Host": "shop.example.com", "User-Agent": 'a "b"'})
    requests = [named(ACCESS, line) for line in site.write(6)["access"]]
    assert [(item["elb_status_code"], item["target_status_code"]) for item in requests] == [
        ("200", "200"),
        ("301", "-"),
        ("404", "-"),
    ]
    first, second, third = requests
    assert (first["type"], first["elb"], first["target"]) == ("http", "app/shop/50dc6c495c0c9188", "10.0.0.7:80")
    assert first["request"] == "GET http://shop.example.com:80/api/a?b=1 HTTP/1.1"
    assert (first["user_agent"], first["target_group_arn"]) == (r"a \x22b\x22", arn("web"))
    assert first["trace_id"].startswith("Root=1-")
    assert (first["transformed_uri"], first["request_transform_status"]) == ("/v1/a?b=1", "TransformSuccess")
    assert [item["matched_rule_priority"] for item in requests] == ["3", "4", "0"]
    assert [item["actions_executed"] for item in requests] == ["forward", "redirect", "fixed-response"]
    assert second["redirect_url"] == "http://x.example.com:80/old"
    assert (third["target"], third["request_processing_time"], third["redirect_url"]) == ("-", "-1", "-")
    assert float(first["target_processing_time"]) >= 0
    created = datetime.fromisoformat(first["request_creation_time"])
    assert abs((NOON - created).total_seconds()) <= (time.time() - began + 1) * 10  # AWS's time
    assert all(int(item["received_bytes"]) > 50 for item in requests)


def test_where_they_go(site: Site) -> None:
    site.show(listener(80, rule(fixed("x"))))
    site.lab.get()
    site.write(2)
    path = "AWSLogs/123456789012/elasticloadbalancing/us-east-1/2026/03/01/"
    name = r"123456789012_elasticloadbalancing_us-east-1_app\.shop\.50dc6c495c0c9188_20260301T1205Z_127\.0\.0\.1_\w{8}\.log\.gz"
    keys = dict(site.objects.keys())
    assert keys.keys() == {"access", "connection"}
    assert re.fullmatch(f"our/logs/{path}{name}", keys["access"])
    assert re.fullmatch(rf"{path}conn_log\.{name}", keys["connection"])
