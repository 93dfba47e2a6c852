"""DNS records: whose they are is said beside them, nobody's is taken over, and names follow their load balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.route53.models import route53_backends

from tests.harness import by_hand
from tests.kinds.example import Example

if TYPE_CHECKING:
    from tests.harness import Spec

CHECK, OTHER = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f", "0a1b2c3d-0000-4000-8000-0a1b2c3d4e60"
ZONE = "example.com"


def prepare() -> None:
    """A hosted zone and two health checks."""
    route53 = by_hand("route53")
    route53.create_hosted_zone(Name=ZONE, CallerReference="1")
    checks = route53_backends[DEFAULT_ACCOUNT_ID]["aws"].health_checks
    config = {"Type": "TCP", "IPAddress": "192.0.2.1", "Port": 80}
    for name in (CHECK, OTHER):
        made = route53.create_health_check(CallerReference=name, HealthCheckConfig=config)["HealthCheck"]["Id"]
        checks[name] = checks.pop(made)
        checks[name].id = name


def record(name: str, **entry: Any) -> Spec:
    return {"zone": ZONE, "name": f"{name}.{ZONE}", "type": "A", **entry}


EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "records": {
            "api": record(
                "api", ttl=60, resource_records=["192.0.2.1", "192.0.2.2"], set_identifier="one", weight=10, health_check_id=CHECK
            ),
            "www": record("*.www", resource_records=["192.0.2.1"], set_identifier="one", failover="PRIMARY"),
            "cdn": record(
                "cdn", alias={"dns_name": "d1.cloudfront.net", "hosted_zone_id": "Z2FDTNDATAQYW2"}, evaluate_target_health=False
            ),
        },
    },
    address="record.api",
    changes={"ttl": 300, "resource_records": ["192.0.2.3"], "weight": 20, "health_check_id": OTHER},
    others={
        "record.www": {"failover": "SECONDARY"},
        "record.cdn": {
            "alias": {"dns_name": "d2.cloudfront.net", "hosted_zone_id": "Z2FDTNDATAQYW2"}, "evaluate_target_health": True,
        },
    },
    prepare=prepare,
)  # fmt: skip
