"""Random valid specs of one stack, and pairs of them that differ in a few places.

A spec is rendered from genes. The first choice of every gene gives about the demo, so that failures shrink towards
it; whatever the genes, the spec is valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.harness import Spec

Genes = dict[str, Any]
RESOLVED = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
IMAGES = (RESOLVED, "ami-12c6146b", "ami-03cf127a")
ANYWHERE = "0.0.0.0/0"
SUBNETS = ("public-a", "public-b", "public-c")
OPTIONAL_BOOL = (None, True, False)
FOREIGN = {
    "vpc": "vpc-0f0e0d0c0b0a09081",
    "internet_gateway": "igw-0f0e0d0c0b0a09081",
    "security_group": "sg-0f0e0d0c0b0a09081",
    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-0b0a09080706",
}
"""Stand-ins for what somebody else owns; a world puts its own ids there."""

LB_INGRESS = (
    {"protocol": "tcp", "port": 80, "cidr_block": ANYWHERE},
    {"protocol": "tcp", "port": 443, "cidr_block": ANYWHERE, "description": "HTTPS"},
    {"protocol": "tcp", "from_port": 8080, "to_port": 8090, "cidr_block": "10.0.0.0/8"},
    {"protocol": "tcp", "port": 9000, "security_group": "web", "description": "calls back"},
    {"protocol": "icmp", "from_port": -1, "to_port": -1, "cidr_block": "192.0.2.0/24"},
)
WEB_INGRESS = (
    {"protocol": "tcp", "port": 80, "security_group": "load-balancer"},
    {"protocol": "tcp", "port": 8080, "security_group": "load-balancer", "description": "the other API"},
    {"protocol": "tcp", "port": 22, "cidr_block": "10.9.0.0/16"},
    {"protocol": "all", "security_group": "web"},
    {"protocol": "udp", "from_port": 5000, "to_port": 5010, "cidr_block": "10.0.0.0/8"},
)
EGRESS = (
    {"protocol": "all", "cidr_block": ANYWHERE},
    {"protocol": "tcp", "from_port": 0, "to_port": 65535, "security_group": "web"},
    {"protocol": "tcp", "port": 443, "cidr_block": ANYWHERE, "description": "updates"},
)


def _one_of(*options: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def _seldom(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Mostly the first: what costs a replacement of much would else drown the rest."""
    return st.sampled_from([usual] * (7 * len(others)) + list(others))


def _some(pool: tuple[Any, ...], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(range(len(pool))), unique=True, min_size=least).map(
        lambda found: [pool[index] for index in sorted(found)]
    )


def _mostly_admitting() -> st.SearchStrategy[list[dict[str, Any]] | None]:
    """Rules of what load balancers ask: three of four let them in, or there would be no capacity that a change could cost."""
    admitting = _some(WEB_INGRESS[2:]).map(lambda others: [*WEB_INGRESS[:2], *others])
    return st.sampled_from((True, True, True, False)).flatmap(
        lambda is_so: admitting if is_so else st.none() | _some(WEB_INGRESS)
    )


def _instance_genes(name: str) -> dict[str, st.SearchStrategy[Any]]:
    options: dict[str, st.SearchStrategy[Any]] = {
        "count": _one_of(2, 1, 3, 4, 0),
        "image_id": _one_of(*IMAGES),
        "image_update": _one_of(None, "keep", "replace"),
        "instance_type": _one_of("t3.micro", "t3.small"),
        "type_change": _one_of(None, "replace", "in-place"),
        "user_data": _one_of("#!/bin/sh\nexec web-api\n", "#!/bin/sh\nexec web-api --new\n", None, ""),
        "root_volume": _one_of(None, {"volume_size": 20}, {"volume_size": 30, "encrypted": True}),
        "metadata_options": _one_of(
            None, {"http_tokens": "required"}, {"http_tokens": "optional", "http_put_response_hop_limit": 2}
        ),
        "surge": _one_of(1, 0, 2),
        "unavailable": _one_of(0, 1, 2),
        "settle": _one_of("5s", "0s"),
        "state": _one_of(None, "running", "running", "any", "any", "stopped"),
        "subnets": _one_of("first two", "all", "first"),
        "extra_group": _one_of(False, True),
        "tags": _one_of(None, {"role": name}, {"role": "other", "cost": "7"}),
    }
    return {f"{name}.{key}": value for key, value in options.items()}


def _group_genes(name: str) -> dict[str, st.SearchStrategy[Any]]:
    options: dict[str, st.SearchStrategy[Any]] = {
        "port": _one_of(80, 8080),
        "protocol": _seldom("HTTP", "HTTPS"),
        "protocol_version": _seldom(None, "HTTP1"),
        "target_type": _seldom(None, "ip"),
        "interval": _one_of(10, 20, None),
        "threshold": _one_of(2, 3, None),
        "path": _one_of("/health", "/", None),
        "matcher": _one_of(None, "200", "200-299"),
        "delay": _one_of(30, 10, None),
        "stickiness": _one_of(None, True, False),
        "targets": _one_of(["own"], ["web", "api"], ["other"], [], None),
        "min_healthy": _one_of(None, 0, 1),
        "name": _seldom(None, f"given-{name}"),
        "tags": _one_of(None, {"role": name}),
    }
    return {f"group-{name}.{key}": value for key, value in options.items()}


def _balancer_genes(name: str) -> dict[str, st.SearchStrategy[Any]]:
    options: dict[str, st.SearchStrategy[Any]] = {
        "scheme": _seldom("internet-facing", "internal"),
        "subnets": _one_of("first two", "all"),
        "groups": _one_of(["load-balancer"], ["extra", "load-balancer"], ["load-balancer"], None),
        "idle": _one_of(None, 60, 120),
        "drop": _one_of(True, None, False),
        "name": _seldom(None, f"given-{name}"),
        "tags": _one_of(None, {"role": "entrance"}),
        "http.port": _one_of(80, 81),
        "http.action": st.sampled_from(ACTIONS),
        "alt": _one_of(None, 8080, 80),
        "alt.https": _one_of(False, True),
        "alt.policy": _one_of(None, "ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"),
        "alt.action": st.sampled_from(ACTIONS),
        "priorities": _one_of((10, 20, 30), (20, 10, 30), (30, 10, 20), (5, 20, 30), (1, 2, 3)),
        "rules": st.lists(st.sampled_from(("soon", "old", "beta")), unique=True, max_size=3),
        "rules.action": st.tuples(*[st.sampled_from(ACTIONS)] * 3),
        "rules.path": st.tuples(*[_one_of("/v2/*", "/v1/*", "/a?/*")] * 3),
        "rules.host": _one_of(None, "*.example.com", ["a.example.com", "b.example.com"]),
        "listener_tags": _one_of(None, {"role": "door"}),
    }
    return {f"{name}.{key}": value for key, value in options.items()}


ACTIONS = ("own", "other", "1:0", "1:1", "0:1", "sticky", "redirect", "moved", "fixed", "sorry")
"""How requests are answered: by groups, or by the load balancer itself."""

GENES: dict[str, st.SearchStrategy[Any]] = {
    "tags": _one_of({"service": "demo"}, None, {"service": "demo", "team": "a"}, {"service": "other"}),
    "vpc.foreign": _seldom(False, True),
    "vpc.cidr": _seldom(0, 1),
    "vpc.dns_hostnames": _one_of(True, None, False),
    "vpc.dns_support": _one_of(None, True),
    "vpc.name": _one_of(None, "the-network"),
    "subnets.count": _one_of(2, 3),
    "subnets.blocks": _seldom((1, 2, 3), (1, 2, 4), (1, 5, 3)),
    "subnets.zones": _seldom("abc", "abd"),
    "subnets.map": st.tuples(*[st.sampled_from(OPTIONAL_BOOL)] * 3),
    "subnets.tags": _one_of(None, {"tier": "public"}, {"tier": "front"}),
    "tables.second": _one_of(False, True),
    "tables.members": st.tuples(*[_one_of(0, 1, 0, None)] * 3),
    "tables.managed": _one_of(True, True, False),
    "tables.routes": _one_of((ANYWHERE,), (ANYWHERE, "198.51.100.0/24"), ("198.51.100.0/24", ANYWHERE, "203.0.113.0/24")),
    "gateway.name": _one_of(None, "the-door"),
    "extra": _one_of(False, True),
    "lb.ingress": _some(LB_INGRESS),
    "lb.egress": st.none() | _some(EGRESS),
    "lb.description": _seldom("HTTP from anywhere", "Entrance"),
    "lb.words": _one_of(None, "", "in words"),
    "web.ingress": _mostly_admitting(),
    "web.egress": st.none() | _some(EGRESS),
    "web.name": _seldom(None, "given-web"),
    "web.words": _one_of(None, "other words"),
    "api": _one_of(False, True),
    **_instance_genes("web"),
    **_instance_genes("api"),
    "group-api": _one_of(False, True),
    **_group_genes("web"),
    **_group_genes("api"),
    "balancers": _one_of(1, 1, 1, 2, 2, 0),
    **_balancer_genes("public"),
    **_balancer_genes("second"),
}  # fmt: skip

genomes = st.fixed_dictionaries(GENES)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """One valid spec."""
    return render(draw(genomes))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """Two valid specs that differ in a few genes; now and then in many."""
    before = draw(genomes)
    size = draw(st.sampled_from((1, 2, 3, 5, 8, 20)))
    moved = draw(st.lists(st.sampled_from(sorted(GENES)), min_size=1, max_size=size, unique=True))
    after = {**before, **{name: draw(GENES[name]) for name in moved}}
    first, second = render(before), render(after)
    assume(first != second)
    return first, second


def render(genes: Genes) -> Spec:
    """The spec that the genes stand for."""
    subnets = SUBNETS[: genes["subnets.count"]]
    spec: Spec = {"stack": "demo", "region": "us-east-1", "tags": genes["tags"]}
    foreign = genes["vpc.foreign"]
    network = "10.9" if foreign else f"10.{genes['vpc.cidr']}"
    if not foreign:
        spec["vpcs"] = {"main": _kept(
            cidr_block=f"{network}.0.0/16", enable_dns_hostnames=genes["vpc.dns_hostnames"],
            enable_dns_support=genes["vpc.dns_support"], name=genes["vpc.name"],
        )}  # fmt: skip
        spec["internet_gateways"] = {"main": _kept(name=genes["gateway.name"])}
    spec["subnets"] = {
        name: _kept(
            cidr_block=f"{network}.{genes['subnets.blocks'][index]}.0/24", availability_zone=genes["subnets.zones"][index],
            map_public_ip_on_launch=genes["subnets.map"][index], tags=genes["subnets.tags"],
        )
        for index, name in enumerate(subnets)
    }  # fmt: skip
    spec["route_tables"] = _route_tables(genes, subnets)
    spec["security_groups"] = _security_groups(genes)
    spec["instances"] = {name: _instances(genes, name, subnets) for name in _instance_names(genes)}
    spec["target_groups"] = {name: _target_group(genes, name) for name in _group_names(genes)}
    spec["load_balancers"] = {name: _balancer(genes, name, spec) for name in ("public", "second")[: genes["balancers"]]}
    if foreign:
        for section in ("subnets", "route_tables", "security_groups", "target_groups"):
            for entry in spec[section].values():
                entry["vpc"] = FOREIGN["vpc"]
    return {key: value for key, value in spec.items() if value}


def _kept(**entries: Any) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value is not None}


def _instance_names(genes: Genes) -> tuple[str, ...]:
    return ("web", "api") if genes["api"] else ("web",)


def _group_names(genes: Genes) -> tuple[str, ...]:
    return ("web", "api") if genes["group-api"] else ("web",)


def _route_tables(genes: Genes, subnets: tuple[str, ...]) -> dict[str, Any]:
    gateway = FOREIGN["internet_gateway"] if genes["vpc.foreign"] else "main"
    routes = [{"destination_cidr_block": block, "internet_gateway": gateway} for block in genes["tables.routes"]]
    second = genes["tables.second"]
    members: dict[str, list[str]] = {"public": [], "second": []}
    for index, name in enumerate(subnets):
        place = genes["tables.members"][index]
        if place is not None:
            members["second" if second and place else "public"].append(name)
    tables = {"public": _kept(subnets=members["public"] if genes["tables.managed"] else None, routes=routes)}
    if second:
        tables["second"] = {"subnets": members["second"], "routes": routes[:1]}
    return tables


def _security_groups(genes: Genes) -> dict[str, Any]:
    def worded(rules: list[dict[str, Any]] | None, words: str | None) -> list[dict[str, Any]] | None:
        if rules is None or words is None:
            return rules
        return [{**rule, "description": words} for rule in rules]

    groups = {
        "load-balancer": _kept(
            description=genes["lb.description"], ingress=worded(genes["lb.ingress"], genes["lb.words"]), egress=genes["lb.egress"]
        ),
        "web": _kept(
            ingress=worded(genes["web.ingress"], genes["web.words"]), egress=genes["web.egress"], name=genes["web.name"],
            description="HTTP from the load balancer",
        ),
    }  # fmt: skip
    if genes["extra"]:
        groups["extra"] = {
            "description": "More",
            "ingress": [{"protocol": "tcp", "port": 25, "security_group": "web"}],
        }
    return groups


def _instances(genes: Genes, name: str, subnets: tuple[str, ...]) -> dict[str, Any]:
    def gene(key: str) -> Any:
        return genes[f"{name}.{key}"]

    unavailable = gene("unavailable")
    if gene("surge") == 0 or gene("type_change") == "in-place":
        unavailable = max(unavailable, 1)
    places = {"first": subnets[:1], "first two": subnets[:2], "all": subnets}[gene("subnets")]
    groups = ["web"]
    if gene("extra_group"):
        groups += [FOREIGN["security_group"]] if genes["vpc.foreign"] else ["extra"] if genes["extra"] else []
    copied = (
        "count",
        "image_id",
        "image_update",
        "instance_type",
        "type_change",
        "user_data",
        "root_volume",
        "metadata_options",
        "state",
        "tags",
    )
    return {
        **_kept(**{key: gene(key) for key in copied}),
        "subnets": list(places),
        "security_groups": groups,
        "rollout": {"max_surge": gene("surge"), "max_unavailable": unavailable, "settle": gene("settle")},
    }  # fmt: skip


def _target_group(genes: Genes, name: str) -> dict[str, Any]:
    def gene(key: str) -> Any:
        return genes[f"group-{name}.{key}"]

    names = {"own": name, "other": "api" if name == "web" else "web", "web": "web", "api": "api"}
    targets = gene("targets")
    if targets is not None:
        targets = [names[target] for target in targets if names[target] in _instance_names(genes)]
    health_check = _kept(
        path=gene("path"), interval_seconds=gene("interval"), healthy_threshold_count=gene("threshold"), matcher=gene("matcher")
    )  # fmt: skip
    stickiness = gene("stickiness")
    attributes = _kept(**{
        "deregistration_delay.timeout_seconds": gene("delay"), "stickiness.enabled": stickiness,
        "stickiness.type": None if stickiness is None else "lb_cookie",
    })  # fmt: skip
    return _kept(
        protocol=gene("protocol"), port=gene("port"), protocol_version=gene("protocol_version"), targets=targets,
        target_type=gene("target_type"),
        min_healthy=0 if targets is None else gene("min_healthy"),
        health_check=health_check or None, attributes=attributes or None, name=gene("name"), tags=gene("tags"),
    )  # fmt: skip


def _balancer(genes: Genes, name: str, spec: Spec) -> dict[str, Any]:
    def gene(key: str) -> Any:
        return genes[f"{name}.{key}"]

    def action(key: str) -> dict[str, Any]:
        return _action(key, name, genes)

    tags = gene("listener_tags")
    rules = {
        rule: _kept(
            priority=gene("priorities")[index], action=action(gene("rules.action")[index]), tags=tags,
            conditions=[{"path_pattern": gene("rules.path")[index]}, *([{"host_header": gene("rules.host")}] if gene("rules.host") else [])],
        )
        for index, rule in enumerate(("soon", "old", "beta"))
        if rule in gene("rules")
    }  # fmt: skip
    listeners = {
        "http": _kept(protocol="HTTP", port=gene("http.port"), default_action=action(gene("http.action")), rules=rules or None, tags=tags)
    }  # fmt: skip
    if gene("alt") not in (None, gene("http.port")):
        https = gene("alt.https")
        listeners["alt"] = _kept(
            protocol="HTTPS" if https else "HTTP", port=gene("alt"), default_action=action(gene("alt.action")),
            certificate_arn=FOREIGN["certificate"] if https else None, ssl_policy=gene("alt.policy") if https else None,
        )  # fmt: skip
    targets = {item for group in spec["target_groups"].values() for item in group.get("targets", ())}
    needed = {subnet for target in targets for subnet in spec["instances"][target]["subnets"]}
    places = [item for item in spec["subnets"] if item in needed or item in SUBNETS[:2] or gene("subnets") == "all"]
    groups = gene("groups")
    return _kept(
        scheme=gene("scheme"), subnets=places, security_groups=groups and [item for item in groups if item in spec["security_groups"]],
        attributes=_kept(**{"idle_timeout.timeout_seconds": gene("idle"), "routing.http.drop_invalid_header_fields.enabled": gene("drop")}) or None,
        listeners=listeners, name=gene("name"), tags=gene("tags"),
    )  # fmt: skip


def _action(key: str, balancer: str, genes: Genes) -> dict[str, Any]:
    """The first load balancer has the group `web`, and `api` while there is no second; a group serves one only."""
    answers: dict[str, dict[str, Any]] = {
        "redirect": {"redirect": {"status_code": "HTTP_301", "protocol": "HTTPS", "port": 443}},
        "moved": {"redirect": {"status_code": "HTTP_302", "host": "new.example.com"}},
        "fixed": {"fixed_response": {"status_code": 503, "content_type": "text/plain", "message_body": "soon"}},
        "sorry": {"fixed_response": {"status_code": 404}},
    }
    if key in answers:
        return answers[key]
    has_api = genes["group-api"]
    if balancer == "second":
        return {"forward": "api"} if has_api else answers["fixed"]
    if not has_api or genes["balancers"] == 2:
        return {"forward": "web"}
    if key in ("own", "other"):
        return {"forward": "web" if key == "own" else "api"}
    weights = {"1:0": (1, 0), "1:1": (50, 50), "0:1": (0, 10), "sticky": (2, 1)}[key]
    groups = [{"target_group": name, "weight": weight} for name, weight in zip(("web", "api"), weights, strict=True)]
    forward: dict[str, Any] = {"target_groups": groups}
    if key == "sticky":
        forward["stickiness"] = {"enabled": True, "duration_seconds": 600}
    return {"forward": forward}
