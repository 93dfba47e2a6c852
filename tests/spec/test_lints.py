"""Lints over the whole path of a request: each with specs that have the mistake, and some that nearly have it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from alb_reconcile.model.errors import SpecError
from tests.kinds.hand import edited
from tests.spec.helpers import load, network

HTTPS = {"protocol": "HTTPS", "port": 443, "certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/a"}
TO_HTTPS = {"redirect": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}}
IPV6 = {"protocol": "tcp", "from_port": 80, "to_port": 443, "ipv6_cidr_block": "::/0"}
ANSWER = {"fixed_response": {"status_code": 404, "content_type": "text/plain"}}


def spec() -> dict[str, Any]:
    """A sound spec: both protocols, nothing behind them."""
    group = [{"protocol": "tcp", "from_port": 80, "to_port": 9000, "cidr_block": "0.0.0.0/0"}]
    base = network()
    base["route_tables"]["main"]["routes"].append({"destination_ipv6_cidr_block": "::/0", "internet_gateway": "main"})
    return {
        **base,
        "egress_only_internet_gateways": {"main": {}},
        "security_groups": {"balancer": {"ingress": group}},
        "load_balancers": {
            "public": {
                "subnets": ["a", "b"],
                "security_groups": ["balancer"],
                "listeners": {
                    "http": {"protocol": "HTTP", "port": 80, "default_action": TO_HTTPS},
                    "https": {**HTTPS, "default_action": ANSWER},
                },
            }
        },
    }


def warnings(wanted: dict[str, Any]) -> list[str]:
    """What is said of a spec, without the places."""
    return [f"{item.path}: {item.message}" for item in load(yaml.safe_dump(wanted, sort_keys=False)).warnings]


def with_rules(*rules: dict[str, Any]) -> dict[str, Any]:
    """The spec with rules of the HTTPS listener, called a, b and so on, in this order."""
    wanted = spec()
    wanted["load_balancers"]["public"]["listeners"]["https"]["rules"] = {
        chr(ord("a") + number): {"priority": number + 1, "conditions": [{key: value} for key, value in rule.items()], "action": ANSWER}
        for number, rule in enumerate(rules)
    }  # fmt: skip
    return wanted


def rules_of(wanted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = wanted["load_balancers"]["public"]["listeners"]["https"]["rules"]
    return found


LAST = "load_balancers.public.listeners.https.rules."


@pytest.mark.parametrize(
    ("rules", "by"),
    [
        ([{"path_pattern": "/a*"}, {"path_pattern": "/a/b"}], "a (1) takes"),
        ([{"path_pattern": "/A*"}, {"path_pattern": "/a/b"}], ""),
        ([{"path_pattern": "/a?c*"}, {"path_pattern": "/abc/*"}], "a (1) takes"),
        ([{"path_pattern": "/abc/*"}, {"path_pattern": "/a?c/*"}], ""),
        ([{"path_pattern": "/*/x"}, {"path_pattern": "/a/*/x"}], "a (1) takes"),
        ([{"path_pattern": "/a/*/x"}, {"path_pattern": "/*/x"}], ""),
        ([{"path_pattern": ["/a", "/a?*"]}, {"path_pattern": "/a*"}], "a (1) takes"),
        ([{"path_pattern": "*"}, {"host_header": "example.com"}], "a (1) takes"),
        ([{"path_pattern": "/*"}, {"http_request_method": "GET"}], "a (1) takes"),
        ([{"path_pattern": "/?*"}, {"host_header": "example.com"}], ""),
        ([{"host_header": "*.EXAMPLE.com"}, {"host_header": "a.example.com", "path_pattern": "/x"}], "a (1) takes"),
        ([{"host_header": "*.example.com"}, {"host_header": "example.com"}], ""),
        ([{"host_header": "a.example.com", "path_pattern": "/x"}, {"host_header": "*.example.com"}], ""),
        ([{"host_header": "a.com"}, {"host_header": "b.com"}, {"host_header": ["a.com", "b.com"]}], "a (1) and b (2) take"),
        ([{"host_header": "a.com"}, {"host_header": "b.com"}, {"host_header": ["a.com", "c.com"]}], ""),
        ([{"http_request_method": ["GET", "HEAD"]}, {"http_request_method": "GET"}], "a (1) takes"),
        ([{"http_request_method": "GET"}, {"http_request_method": ["GET", "HEAD"]}], ""),
        ([{"source_ip": "10.0.0.0/8"}, {"source_ip": ["10.1.0.0/16", "10.2.0.0/16"]}], "a (1) takes"),
        ([{"source_ip": "10.0.0.0/8"}, {"source_ip": "11.0.0.0/16"}], ""),
        ([{"source_ip": "0.0.0.0/0"}, {"path_pattern": "/x"}], ""),
        ([{"http_header": {"http_header_name": "X-A", "values": ["*b*"]}}, {"http_header": {"http_header_name": "x-a", "values": ["aBc"]}}], "a (1) takes"),
        ([{"http_header": {"http_header_name": "X-A", "values": ["*"]}}, {"http_header": {"http_header_name": "x-b", "values": ["a"]}}], ""),
        ([{"http_header": {"http_header_name": "X-A", "values": ["*"]}}, {"http_header": {"http_header_name": "x-a", "regex_values": ["^a"]}}], "a (1) takes"),
        ([{"http_header": {"http_header_name": "X-A", "values": ["\\*"]}}, {"http_header": {"http_header_name": "x-a", "values": ["\\x"]}}], ""),
        ([{"query_string": [{"value": "on"}]}, {"query_string": [{"key": "beta", "value": "ON"}]}], "a (1) takes"),
        ([{"query_string": [{"key": "beta", "value": "*"}]}, {"query_string": [{"value": "on"}]}], ""),
        ([{"query_string": [{"value": "\\*"}]}, {"query_string": [{"value": "x"}]}], ""),
        ([{"path_pattern": {"regex_values": ["^/a"]}}, {"path_pattern": {"regex_values": ["^/a"]}}], "a (1) takes"),
        ([{"path_pattern": {"regex_values": ["^/a"]}}, {"path_pattern": {"regex_values": ["^/a/b"]}}], ""),
        ([{"path_pattern": {"regex_values": [".*"]}}, {"path_pattern": "/a"}], ""),
        ([{"path_pattern": "/a*"}, {"path_pattern": {"regex_values": ["^/a"]}}], ""),
    ],
    ids=str,
)  # fmt: skip
def test_shadowed_rules(rules: list[dict[str, Any]], by: str) -> None:
    """The last rule: taken by others as a whole, or only perhaps."""
    name = LAST + chr(ord("a") + len(rules) - 1)
    expected = [
        f"{name}: no request reaches it: {by} all of its requests before; give it a priority below 1, or remove it"
    ]
    assert warnings(with_rules(*rules)) == (expected if by else [])


def test_the_order_of_rules_is_that_of_their_priorities() -> None:
    assert warnings(spec()) == []
    wanted = with_rules({"path_pattern": "/a/b"}, {"path_pattern": "/a*"})
    assert warnings(wanted) == []
    rules_of(wanted)["a"]["priority"] = 5
    assert warnings(wanted) == [
        f"{LAST}a: no request reaches it: b (2) takes all of its requests before; give it a priority below 2, or remove it"
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"path_pattern": "api/*"}, 'no path fits "api/*", since each begins with /; write "/api/*"'),
        ({"path_pattern": {"values": ["/a", "b"]}}, 'no path fits "b"'),
        ({"path_pattern": "*.php"}, ""),
        ({"path_pattern": "?pi"}, ""),
        ({"source_ip": "2001:db8::/32"}, "no client has such an address, since load_balancer.public takes IPv4 only"),
        ({"source_ip": ["10.0.0.0/8", "192.0.2.0/24"]}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_no_request_has(rule: dict[str, Any], expected: str) -> None:
    found = warnings(with_rules(rule))
    assert len(found) == bool(expected), found
    assert expected in "".join(found)


@pytest.mark.parametrize(
    "expression",
    ["^/[[:alpha:]]+$", r"^/[\w.*+]+$", r"^/a\*+$", r"^/a\}+$", r"^/\(?=b$", r"^/\\1$", r"^/[]*+]$", r"^/[^]*+]$"],
)
def test_characters_that_stand_for_themselves_are_no_feature(expression: str) -> None:
    assert warnings(with_rules({"path_pattern": {"regex_values": [expression]}})) == []


@pytest.mark.parametrize("expression", [r"^/[a]*+$", r"^/\w++$", r"^/(a)\1$", r"^/[\pL]$", r"^/\\\pL$", r"^/(?=b)"])
def test_what_aws_expressions_dont_have_is_found_behind_them(expression: str) -> None:
    with pytest.raises(SpecError, match="which AWS's regular expressions don't have"):
        warnings(with_rules({"path_pattern": {"regex_values": [expression]}}))


def redirecting(redirect: dict[str, Any], *, listener: str = "https", **more: Any) -> dict[str, Any]:
    """The spec with a redirect as the default action of a listener."""
    wanted = spec()
    wanted["load_balancers"]["public"]["listeners"][listener].update(
        {"default_action": {"redirect": {"status_code": "HTTP_302", **redirect}}, **more}
    )
    return wanted


def rule(number: int, conditions: list[dict[str, Any]], **redirect: Any) -> dict[str, Any]:
    return {
        "priority": number,
        "conditions": conditions,
        "action": {"redirect": {"status_code": "HTTP_302", **redirect}},
    }


WWW = [{"host_header": "*.example.com"}]
APEX = [{"host_header": "www.example.com"}]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (redirecting({"protocol": "HTTPS"}, listener="http"), "leads to HTTPS on port 80, which listener http answers in HTTP; set port: 443"),
        (redirecting({"protocol": "HTTPS", "port": "8443"}, listener="http"), "leads to HTTPS on port 8443, where load_balancer.public has no listener"),
        (redirecting({"protocol": "HTTPS", "port": "#{port}", "host": "other.example.com"}, listener="http"), ""),
        (redirecting({"path": "/shop"}), "redirects https://any-host.example:443/ without end (https.default_action)"),
        (redirecting({"path": "/shop/#{path}"}), "redirects https://any-host.example:443/ without end"),
        (redirecting({"path": "/shop"}, rules={"shop": {"priority": 1, "conditions": [{"path_pattern": "/shop*"}], "action": ANSWER}}), ""),
        (redirecting({"path": "/shop"}, rules={"shop": {"priority": 1, "conditions": [{"path_pattern": {"regex_values": ["^/shop"]}}], "action": ANSWER}}), ""),
        (redirecting({"path": "/shop"}, others="keep"), ""),
        (redirecting({"host": "www.example.com"}), ""),
        (redirecting({"host": "www.example.com"}, rules={"www": {"priority": 1, "conditions": APEX, "action": ANSWER}}), ""),
        (redirecting({}, rules={"a": rule(1, WWW, host="www.example.com")}, default_action=ANSWER), "redirects https://www.example.com:443/ without end (https.rules.a.action)"),
        (redirecting({}, rules={"a": rule(2, WWW, host="www.example.com"), "www": {"priority": 1, "conditions": APEX, "action": ANSWER}}, default_action=ANSWER), ""),
        (redirecting({}, rules={"a": rule(2, WWW, host="app.example.com"), "www": {"priority": 1, "conditions": APEX, "action": ANSWER}}, default_action=ANSWER), "redirects https://any.example.com:443/ without end (https.rules.a.action)"),
        (redirecting({}, rules={"a": rule(1, APEX, host="example.com"), "b": rule(2, [{"host_header": "example.com"}], host="www.#{host}")}, default_action=ANSWER), "redirects https://www.example.com:443/ without end (https.rules.a.action, https.rules.b.action)"),
        (redirecting({}, rules={"a": rule(1, [{"query_string": [{"key": "old", "value": "*"}]}], path="/new")}, default_action=ANSWER), ""),
        (redirecting({}, rules={"a": rule(1, [{"http_request_method": "POST"}], path="/new")}, default_action=ANSWER), ""),
        (redirecting({}, listener="http", default_action=ANSWER, rules={"a": rule(1, [{"http_header": {"http_header_name": "X-Forwarded-Proto", "values": ["http"]}}], protocol="HTTPS", port=8443)}), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_redirects_in_vain(wanted: dict[str, Any], expected: str) -> None:
    found = warnings(wanted)
    assert len(found) == bool(expected), found
    assert expected in "".join(found)


def test_a_circle_over_two_listeners() -> None:
    wanted = redirecting({"port": 8443})
    back = {"redirect": {"status_code": "HTTP_302", "port": 443}}
    wanted["load_balancers"]["public"]["listeners"]["other"] = {**HTTPS, "port": 8443, "default_action": back}
    [found] = warnings(wanted)
    assert found.startswith("load_balancers.public.listeners.https.default_action.redirect: ")
    assert "without end (https.default_action, other.default_action);" in found


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"internet_gateway": "main"}, ""),
        ({"vpc_endpoint": "vpce-0a1b2c3d4e5f60718"}, ""),
        ({"transit_gateway": "tgw-0a1b2c3d4e5f60718"}, "subnet.a is private (its default route leads to a transit gateway)"),
        ({"virtual_private_gateway": "vgw-0a1b2c3d4e5f60718"}, "(its default route leads to a virtual private gateway)"),
        ({"vpc_peering_connection": "pcx-0a1b2c3d4e5f60718"}, "(its default route leads to a VPC peering connection)"),
    ],
)  # fmt: skip
def test_where_answers_to_clients_go(route: dict[str, str], expected: str) -> None:
    wanted = spec()
    wanted["route_tables"]["main"]["routes"][0] = {"destination_cidr_block": "0.0.0.0/0", **route}
    found = warnings(wanted)
    assert len(found) == 2 * bool(expected)
    assert expected in "".join(found)
    wanted["load_balancers"]["public"]["scheme"] = "internal"
    assert warnings(wanted) == []


def test_what_others_keep_is_unknown() -> None:
    wanted = spec()
    wanted["route_tables"]["main"] |= {"routes": [], "others": "keep"}
    assert warnings(wanted) == []
    wanted["security_groups"]["balancer"]["ingress"] = []
    assert len(warnings(wanted)) == 2
    wanted["security_groups"]["balancer"]["others"] = "keep"
    assert warnings(wanted) == []


def dual_stack(**ingress: Any) -> dict[str, Any]:
    """The spec with a load balancer that takes IPv6, too."""
    wanted = spec()
    wanted["load_balancers"]["public"]["ip_address_type"] = "dualstack"
    wanted["security_groups"]["balancer"]["ingress"] += [ingress] if ingress else []
    return wanted


@pytest.mark.parametrize(
    ("family", "routes", "expected"),
    [
        ("ipv4", [0], ""),
        ("dualstack", [0, 1], ""),
        ("dualstack", [0], "subnet.a has no default IPv6 route in this file, so IPv6 clients get no answer from it; put it into a route table with a route for ::/0"),
        ("dualstack", [1], "subnet.a has no default route in this file"),
        ("dualstack-without-public-ipv4", [1], ""),
        ("dualstack-without-public-ipv4", [0], "subnet.a has no default IPv6 route"),
    ],
)  # fmt: skip
def test_ipv6_clients_get_answers(family: str, routes: list[int], expected: str) -> None:
    wanted = dual_stack(**IPV6)
    wanted["load_balancers"]["public"]["ip_address_type"] = family
    known = wanted["route_tables"]["main"]["routes"]
    wanted["route_tables"]["main"]["routes"] = [known[index] for index in routes]
    found = warnings(wanted)
    assert len(found) == 2 * bool(expected), found
    assert expected in "".join(found)


def test_ipv6_clients_are_let_in() -> None:
    found = warnings(dual_stack())
    assert len(found) == 2
    assert all("lets IPv6 clients in on port" in text for text in found)
    wanted, outwards = dual_stack(**IPV6), {"egress_only_internet_gateway": "main"}
    wanted["route_tables"]["main"]["routes"][1] = {"destination_ipv6_cidr_block": "::/0", **outwards}
    assert "(its default IPv6 route leads to an egress only internet gateway)" in "".join(warnings(wanted))


def private(**endpoint: Any) -> dict[str, Any]:
    """The spec with instances, and an endpoint by whose private DNS name they reach SSM."""
    wanted = spec()
    wanted["vpcs"]["main"] |= {"enable_dns_hostnames": True}
    wanted["security_groups"] |= {"inner": {"ingress": []}, "endpoints": {"ingress": []}}
    inner = {
        "image_id": "ami-0123456789abcdef0",
        "instance_type": "t3.micro",
        "subnets": ["a"],
        "security_groups": ["inner"],
    }
    wanted["instances"] = {"web": {**inner}, "api": {**inner}}
    own = {"subnets": ["a", "b"], "security_groups": ["endpoints"], "private_dns_enabled": True}
    wanted["vpc_endpoints"] = {"it": {"service_name": "ssm", **own, **endpoint}}
    return wanted


def door(wanted: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The same, whose endpoint's group has these rules."""
    wanted["security_groups"]["endpoints"] = {"ingress": list(rules), **more}
    return wanted


CLOSED = "vpc_endpoints.it.security_groups: doesn't let instance.web, instance.api in on port 443"
TCP = {"protocol": "tcp", "port": 443}


@pytest.mark.parametrize(
    "wanted",
    [
        private(security_groups=["inner"]),
        door(private(), {**TCP, "security_group": "balancer"}),
        door(private(), {**TCP, "cidr_block": "10.0.1.0/24"}),
        private(service_name="s3", dns_options={"private_dns_only_for_inbound_resolver_endpoint": False}),
    ],
)
def test_an_endpoint_that_lets_no_instance_in(wanted: dict[str, Any]) -> None:
    (told,) = warnings(wanted)
    assert told.startswith(CLOSED)
    assert "so they won't reach com.amazonaws.eu-west-1." in told
    assert told.endswith("; add an ingress rule for it")


@pytest.mark.parametrize(
    "wanted",
    [
        door(private(), {**TCP, "security_group": "inner"}),
        door(private(), {**TCP, "cidr_block": "10.0.0.0/16"}),
        door(private(), others="keep"),
        private(security_groups=["sg-0123456789abcdef0"]),
        private(private_dns_enabled=False),
        edited(private(service_name="s3"), "vpc_endpoints/gateway", {"service_name": "s3", "route_tables": []}),
        private(service_name="com.amazonaws.vpce.eu-west-1.vpce-svc-0a1b2c3d4e5f60718"),
    ],
)
def test_an_endpoint_of_which_nothing_is_to_be_said(wanted: dict[str, Any]) -> None:
    assert warnings(wanted) == []
