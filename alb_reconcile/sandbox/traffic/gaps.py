"""Lists settings of load balancers that the sandbox doesn't imitate, so that a user doesn't take them for tested."""

from collections.abc import Iterator, Mapping
from typing import Final

from alb_reconcile.sandbox.traffic.propagation import groups_behind
from alb_reconcile.sandbox.traffic.snapshot import LoadBalancer, Rule, Snapshot

Gap = tuple[str, str]
"""A load balancer's ARN, and a setting of it that isn't imitated."""
_BALANCER: Final = {
    "ipv6.deny_all_igw_traffic": ("false", "nothing comes from outside of this machine anyway"),
    "routing.http.desync_mitigation_mode": ("defensive", "requests are all taken as Envoy takes them"),
    "routing.http.x_amzn_tls_kx.enabled": ("false", "the header isn't sent"),
    "waf.fail_open.enabled": ("false", "no web ACL is asked"),
    "zonal_shift.config.enabled": ("false", "there is one node for all zones"),
}
_GROUP: Final = {
    "load_balancing.algorithm.anomaly_mitigation": ("off", "targets are chosen without looking at their errors"),
    "load_balancing.cross_zone.enabled": ("use_load_balancer_configuration", "there is one node for all zones"),
    "target_group_health.dns_failover.minimum_healthy_targets.count": ("1", "names aren't resolved"),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": ("off", "names aren't resolved"),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": ("1", "one healthy target is enough"),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": (
        "off",
        "one healthy target is enough",
    ),
    "waf.http2.traffic_inspection_behavior": ("inspect_immediately", "no web ACL is asked"),
}
"""Attributes by key: the value that the sandbox imitates, and how the sandbox behaves with every value."""


def find_gaps(snapshot: Snapshot) -> list[Gap]:
    """The gaps that the load balancers in a snapshot have."""
    return [
        (balancer.arn, text) for balancer in snapshot.load_balancers for text in dict.fromkeys(_of(balancer, snapshot))
    ]


def _of(balancer: LoadBalancer, snapshot: Snapshot) -> Iterator[str]:
    yield from _attributes(balancer.attributes, _BALANCER, "")
    if balancer.has_acl:
        yield "web ACL: it isn't asked, and lets everything through"
    for listener in balancer.listeners:
        for rule in listener.rules:
            where = f"port {listener.port}, " + (f"rule {rule.priority}" if rule.priority else "default action")
            yield from (f"{where}: {text}" for text in _of_rule(rule))
    for arn in sorted(groups_behind(balancer)):
        name = arn.split("/")[1] if "/" in arn else arn
        group = snapshot.target_groups.get(arn)
        if group is None:
            yield f"target group {name}: functions aren't run, so 503 is answered"
        else:
            yield from _attributes(group.attributes, _GROUP, f"target group {name}: ")


def _of_rule(rule: Rule) -> Iterator[str]:
    if any(item.get("Field") == "source-ip" for item in rule.conditions):
        yield "source-ip: everybody comes from 127.0.0.1"


def _attributes(given: Mapping[str, str], known: Mapping[str, tuple[str, str]], where: str) -> Iterator[str]:
    for key, (usual, instead) in known.items():
        if (value := given.get(key) or usual) != usual:
            yield f"{where}{key} {value}: {instead}"
