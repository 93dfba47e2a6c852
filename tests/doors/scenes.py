"""Scenes: a spec that serves, another one, and what must be said about the doors that it would close."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP = "load_balancers/public/listeners/http"
Edits = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """`have` and `want` are edits of the demo by path. `said` has what the refusal must contain, `word` what allows it."""

    want: Edits
    said: tuple[str, ...] = ()
    have: Edits = field(default_factory=dict)
    word: Mapping[str, int] = field(default_factory=lambda: {"close": 1})


def let_in(port: int, **source: Any) -> list[dict[str, Any]]:
    return [{"protocol": "tcp", "port": port, **(source or {"security_group": "load-balancer"})}]


def rule(number: int, path: str | list[str], group: str) -> dict[str, Any]:
    return {"priority": number, "conditions": [{"path_pattern": path}], "action": {"forward": group}}


ANYWHERE = {"cidr_block": "0.0.0.0/0"}
API = {"target_groups/api": {"protocol": "HTTP", "port": 80, "targets": ["web"]}}
TWO_RULES = {**API, f"{HTTP}/rules": {"one": rule(1, "/one", "web"), "two": rule(2, "/two", "api")}}
OTHER_PORT = {"security_groups/load-balancer/ingress": [*let_in(80, **ANYWHERE), *let_in(8080, **ANYWHERE)]}
MORE = {
    "load_balancers/public/listeners/more": {"protocol": "HTTP", "port": 8080, "default_action": {"forward": "web"}}
}
MAINTENANCE = {"fixed_response": {"status_code": 503}}
NEW_VERSION = {"instances/web/user_data": "#!/bin/sh\nexec web-api --new\n"}
SSH = {"security_groups/ssh": {"description": "SSH", "ingress": let_in(22, cidr_block="10.0.0.0/8")}}

SHUT = {
    "a wrong port in the targets' group (p14)": Scene(
        {"security_groups/web/ingress": let_in(81)},
        (
            "security_groups.web.ingress",
            "no security group of instance.web-1, instance.web-2 lets load_balancer.public in on port 80",
        ),
    ),
    "the same with a new version (r04)": Scene(
        {"security_groups/web/ingress": let_in(81), **NEW_VERSION},
        ("security_groups.web.ingress", "lets load_balancer.public in on port 80"),
    ),
    "the targets' port moves, and its rule doesn't": Scene(
        {"target_groups/web/port": 8080},
        ("lets load_balancer.public in on port 8080",),
        {"security_groups/web/ingress": let_in(80)},
    ),
    "the check moves to a port that is shut": Scene(
        {"target_groups/web/health_check/port": 9100}, ("lets load_balancer.public in on port 9100",)
    ),
    "instances get a group for SSH alone (r01)": Scene(
        {"instances/web/security_groups": ["ssh"]}, ("instances.web.security_groups", "in on port 80"), SSH
    ),
    "the load balancer may speak to 443 alone (r02)": Scene(
        {"security_groups/load-balancer/egress": let_in(443, **ANYWHERE)},
        (
            "security_groups.load-balancer.egress",
            "no security group of load_balancer.public lets it out to instance.web-1, instance.web-2 on port 80",
        ),
    ),
    "a range that isn't the load balancer's (r03)": Scene(
        {"security_groups/web/ingress": let_in(80, cidr_block="192.168.0.0/16")}, ("security_groups.web.ingress",)
    ),
    "the range of one of its two subnets": Scene(
        {"security_groups/web/ingress": let_in(80, cidr_block="10.0.1.0/24")}, ("security_groups.web.ingress",)
    ),
    "clients are let in on another port (p15)": Scene(
        {"security_groups/load-balancer/ingress": let_in(8080, **ANYWHERE)},
        (
            "security_groups.load-balancer.ingress",
            "no security group of load_balancer.public lets clients in on port 80",
        ),
    ),
    "clients aren't let in at all (X5)": Scene(
        {"security_groups/load-balancer/ingress": []}, ("lets clients in on port 80",)
    ),
    "the way back goes (p17, X5)": Scene(
        {"route_tables/public/routes": []}, ("route_tables.public.routes", "has no route to an internet gateway")
    ),
    "the way back of one subnet goes": Scene(
        {"route_tables/public/subnets": ["public-a"]},
        ("route_tables.public.subnets", "subnet.public-b of load_balancer.public has no route"),
    ),
    "the route table goes": Scene({"route_tables": None}, ("subnet.public-a of load_balancer.public has no route",)),
    "the last listener goes (X5)": Scene(
        {"load_balancers/public/listeners": {}},
        ("load_balancers.public:", "listener.public/http (port 80)", "it would be deleted"),
    ),
    "one of two listeners goes (r10)": Scene(
        {"load_balancers/public/listeners/more": None},
        ("listener.public/more (port 8080)", "it would be deleted"),
        {**OTHER_PORT, **MORE},
    ),
    "a listener moves to another port (n14)": Scene(
        {f"{HTTP}/port": 8080}, (f"{HTTP.replace('/', '.')}.port", "its port would be 8080 instead of 80"), OTHER_PORT
    ),
    "a listener moves whose rule alone forwards (V17)": Scene(
        {f"{HTTP}/port": 8080},
        (f"{HTTP.replace('/', '.')}.port", "listener.public/http (port 80)", "its port would be 8080 instead of 80"),
        {
            **OTHER_PORT,
            f"{HTTP}/default_action": {"fixed_response": {"status_code": 404}},
            f"{HTTP}/rules": {"all": rule(1, "/*", "web")},
        },
    ),
    "a rule goes that got requests": Scene(
        {f"{HTTP}/rules/two": None}, ("rule.public/http/two (path_pattern /two)", "it would be deleted"), TWO_RULES
    ),
    "the way back leads to few clients": Scene(
        {"route_tables/public/routes": [{"destination_cidr_block": "198.51.100.0/24", "internet_gateway": "main"}]},
        ("route_tables.public.routes", "has no default route for clients of IPv4"),
    ),
    "clients of another version of IP are let in": Scene(
        {"security_groups/load-balancer/ingress": let_in(80, ipv6_cidr_block="::/0")},
        ("security_groups.load-balancer.ingress", "lets clients of IPv4 in on port 80"),
    ),
    "a new rule takes all requests to a group that is shut off": Scene(
        {
            "target_groups/api": {"protocol": "HTTP", "port": 9500, "targets": ["web"]},
            f"{HTTP}/rules": {"all": rule(1, "/*", "api")},
        },
        ("rule.public/http/all would take its requests, and answers none", "in on port 9500"),
    ),
    "two rules swap their paths": Scene(
        {f"{HTTP}/rules/one": rule(1, "/two", "web"), f"{HTTP}/rules/two": rule(2, "/one", "api")},
        (
            "answers before and after this plan, and not on the way",
            "listener.public/http (port 80) would answer in its place",
        ),
        {**TWO_RULES, f"{HTTP}/default_action": {"fixed_response": {"status_code": 404}}},
        {"gap": 1},
    ),
    "the last target goes (p13)": Scene(
        {"instances/web/count": 0},
        ("target_group.web would get requests and have no target",),
        word={"empty-target-group": 1, "delete": 2},
    ),
}
"""What takes a service away that answers: refused before anything is changed."""

OPEN = {
    "a rule and the default action exchange requests": Scene(
        {f"{HTTP}/rules/one": rule(1, "/two", "web"), f"{HTTP}/default_action": {"forward": "api"}},
        have={**API, f"{HTTP}/rules": {"one": rule(1, "/one", "web")}},
    ),
    "another port, whose rule takes the old one's place": Scene(
        {"target_groups/web/port": 8080, "security_groups/web/ingress": let_in(8080)},
        have={"security_groups/web/ingress": let_in(80)},
    ),
    "a rule is named by a range instead of a group": Scene(
        {"security_groups/web/ingress": let_in(80, cidr_block="10.0.0.0/16")}
    ),
    "a prefix list, whose ranges aren't known": Scene(
        {"security_groups/web/ingress": let_in(80, prefix_list_id="pl-0123456789abcdef0")}
    ),
    "another security group with the same rule": Scene(
        {"instances/web/security_groups": ["other"]},
        have={"security_groups/other": {"description": "as web", "ingress": let_in(80)}},
    ),
    "maintenance, in the user's own words (p16)": Scene({f"{HTTP}/default_action": MAINTENANCE}),
    "the end of maintenance": Scene(
        {f"{HTTP}/rules": {}}, have={f"{HTTP}/rules": {"off": {**rule(1, "/*", ""), "action": MAINTENANCE}}}
    ),
    "narrower conditions, in the user's own words (p18)": Scene(
        {f"{HTTP}/rules/two": rule(2, "/two/*", "api")}, have=TWO_RULES
    ),
    "a rule whose group the default action forwards to as well": Scene({f"{HTTP}/rules/one": None}, have=TWO_RULES),
    "a rule goes whose requests are redirected to where its group answers": Scene(
        {
            f"{HTTP}/rules": {},
            f"{HTTP}/default_action": {"redirect": {"port": "8080", "status_code": "HTTP_301"}},
            **MORE,
        },
        have={**OTHER_PORT, f"{HTTP}/rules": {"one": rule(1, "/one", "web")}},
    ),
    "two rules become one": Scene(
        {f"{HTTP}/rules": {"one": rule(1, ["/one", "/two"], "api")}},
        have={**API, f"{HTTP}/rules": {"one": rule(1, "/one", "api"), "two": rule(2, "/two", "api")}},
    ),
    "a rule gets another name and one more path": Scene(
        {f"{HTTP}/rules": {"zwei": rule(2, ["/two", "/three"], "api")}},
        have={**API, f"{HTTP}/rules": {"two": rule(2, "/two", "api")}},
    ),
    "two halves of the internet": Scene(
        {
            "route_tables/public/routes": [
                {"destination_cidr_block": f"{start}.0.0.0/1", "internet_gateway": "main"} for start in (0, 128)
            ]
        }
    ),
    "two rules exchange their groups": Scene(
        {f"{HTTP}/rules/one": rule(1, "/one", "api"), f"{HTTP}/rules/two": rule(2, "/two", "web")}, have=TWO_RULES
    ),
    "another listener": Scene(MORE, have=OTHER_PORT),
}
"""What a user may do any day."""
