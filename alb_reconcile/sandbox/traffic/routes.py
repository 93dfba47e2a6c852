"""Converts a listener's rules to Envoy's routes, in the order in which they are tried."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from alb_reconcile.model.text import digest
from alb_reconcile.sandbox.pages import word_page
from alb_reconcile.sandbox.traffic.authentication import callback_routes, guarded
from alb_reconcile.sandbox.traffic.conditions import compare, match_headers, match_path
from alb_reconcile.sandbox.traffic.forwarding import (
    appended_address,
    certificate_headers,
    header,
    header_changes,
    host_change,
    inserted,
)
from alb_reconcile.sandbox.traffic.recording import ROUTE
from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer, Rule, Snapshot, TargetGroup
from alb_reconcile.sandbox.traffic.transforms import rewrites

LUA: Final = "envoy.filters.http.lua"
_LUA_PER_ROUTE: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute"
ROUTES: Final = "routes"
"""Envoy's name of the RouteConfiguration that all listeners share, so that Envoy watches one file however many listeners there are."""
_TYPE: Final = "type.googleapis.com/envoy."
_LISTENER: Final = "x-sandbox-listener"
"""The request header by which Envoy finds the rules of the request's listener."""
_LONGEST_BODY: Final = 4096  # 1,024 characters of four bytes: a fixed response's limit


def name_of(arn: str) -> str:
    """The name of the Envoy cluster, listener or virtual host for an ARN."""
    return digest(arn, 16)


def configuration(virtual_hosts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Envoy's RouteConfiguration with these virtual hosts, one for each listener."""
    return {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "vhost_header": _LISTENER,
        "virtual_hosts": list(virtual_hosts),
        "request_headers_to_remove": [_LISTENER],
        "max_direct_response_body_size_bytes": _LONGEST_BODY,
    }


def tell_listener(listener: Listener) -> dict[str, Any]:
    """Envoy's extension that puts the listener's name into a header of each request, in place of the client's value."""
    kind = f"{_TYPE}extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    config = {"@type": kind, "mutations": [{"append": header(_LISTENER, name_of(listener.arn))}]}
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}


class Router:
    """Converts the rules of one listener. `doors`: the local ports of its load balancer's listeners, by their ports in AWS."""

    def __init__(
        self, snapshot: Snapshot, balancer: LoadBalancer, listener: Listener, doors: Mapping[int, int]
    ) -> None:
        self._groups, self._listener, self._balancer = snapshot.target_groups, listener, balancer
        self._attributes = balancer.attributes
        self._mute = snapshot.mute.get(balancer.arn, 0)
        self._doors = {str(port): str(local) for port, local in doors.items()}

    def virtual_host(self) -> dict[str, Any]:
        """Envoy's VirtualHost of the listener."""
        routes = [*self._unanswered(), *callback_routes(self._balancer, self._listener)]
        for rule in self._listener.rules:
            routes += (guarded(route, self._balancer, self._listener, rule) for route in self._routes(rule))
        name = name_of(self._listener.arn)
        return {"name": name, "domains": [name], "routes": routes, **header_changes(self._attributes, self._listener)}

    def _unanswered(self) -> Iterator[dict[str, Any]]:
        """A route that answers 504 to the share of requests that would come to nodes without a route back; here one node stands for all."""
        if self._mute:
            share = {"numerator": round(self._mute * 10_000), "denominator": "TEN_THOUSAND"}
            fraction = {"runtime_key": "mute", "default_value": share}
            yield {"match": {"prefix": "/", "runtime_fraction": fraction}} | _page(504)

    def _attribute(self, key: str, default: str = "false") -> str:
        return self._attributes.get(key) or default

    def _routes(self, rule: Rule) -> Iterator[dict[str, Any]]:
        headers = match_headers(rule.conditions)
        if headers is None:
            return
        # The last action routes; `guarded` adds the authentication before it.
        action = max(rule.actions, key=lambda item: item.get("Order") or 0, default={})
        kind, match = action.get("Type"), match_path(rule.conditions) | {"headers": headers}
        told = _metadata(rule)
        if kind == "redirect":
            yield {"match": match} | self._redirect(action["RedirectConfig"]) | told
        elif kind == "fixed-response":
            yield {"match": match} | _answer(action["FixedResponseConfig"]) | told
        elif kind == "forward":
            rewritten = rewrites(rule.transforms)
            for route in self._forward(match, action):
                yield route | told | ({"typed_per_filter_config": rewritten} if rewritten else {})

    def _redirect(self, config: Mapping[str, Any]) -> dict[str, Any]:
        status = int(str(config["StatusCode"]).removeprefix("HTTP_"))
        wanted = {
            "status": str(status),
            "body": word_page(status),
            "protocol": config.get("Protocol") or "#{protocol}",
            "host": config.get("Host") or "#{host}",
            "port": str(config.get("Port") or "#{port}"),
            "path": config.get("Path") or "/#{path}",
            "query": config.get("Query", "#{query}") or "",
        }
        here: dict[str, Any] = {"port": str(self._listener.port), "protocol": self._listener.protocol}
        # Lua answers redirects: Envoy's own answer, which comes after, can't build a location.
        here |= {"response": inserted(self._listener.attributes)}
        return _context({"redirect": wanted, "doors": self._doors} | here) | {"direct_response": {"status": status}}

    def _forward(self, match: dict[str, Any], action: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        config = action.get("ForwardConfig") or {}
        given = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn", "")}]
        weights = {item["TargetGroupArn"]: int(item.get("Weight", 1)) for item in given}
        if len(weights) == 1:
            weights = dict.fromkeys(weights, 1)  # a single group gets all requests, whatever its weight
        if not sum(weights.values()):
            yield {"match": match} | _page(503)
            return
        stickiness = config.get("TargetGroupStickinessConfig") or {}
        seconds = int(stickiness.get("DurationSeconds") or 0) if stickiness.get("Enabled") else 0
        if seconds:
            for arn in weights:  # also at weight 0: clients that were there before return
                cookie = compare("cookie", f"(?:.*;)?\\s*AWSALBTG={name_of(arn)}(?:;.*)?")
                stuck = match | {"headers": [*match["headers"], cookie]}
                yield {"match": stuck} | self._to_groups({arn: 1}, seconds)
        yield {"match": match} | self._to_groups(weights, seconds)

    def _to_groups(self, weights: Mapping[str, int], seconds: int) -> dict[str, Any]:
        clusters = [
            {"name": name_of(arn), "weight": weight, **self._to_group(arn, seconds)} for arn, weight in weights.items()
        ]
        idle = f"{self._attribute('idle_timeout.timeout_seconds', '60')}s"
        return {"route": {"weighted_clusters": {"clusters": clusters}, "timeout": "0s", "idle_timeout": idle}}

    def _to_group(self, arn: str, seconds: int) -> dict[str, Any]:
        context: dict[str, Any] = {
            "drop": self._attribute("routing.http.drop_invalid_header_fields.enabled") == "true",
            "secure": self._listener.protocol == "HTTPS",
            "host": host_change(self._attributes, self._listener),
            "client": appended_address(self._attributes),
            "certificate": certificate_headers(self._listener),
        }
        group = self._groups.get(arn)
        if group:
            context["version"] = group.protocol_version
        if sticky := _sticky(group):
            context["sticky"] = sticky
        if seconds:
            context["group"] = {"id": name_of(arn), "seconds": seconds}
        target = header("x-sandbox-target", "%UPSTREAM_REMOTE_ADDRESS%")  # for Lua, which removes it
        told = {"response_headers_to_add": [target]} if sticky or seconds else {}
        return _context(context) | told


def _metadata(rule: Rule) -> dict[str, Any]:
    """A route's metadata for the access log: the rule's priority, 0 for the default rule, and its actions."""
    kinds = [str(item.get("Type")) for item in sorted(rule.actions, key=lambda item: item.get("Order") or 0)]
    named = ",".join("authenticate" if kind.startswith("authenticate-") else kind for kind in kinds)
    return {"metadata": {"filter_metadata": {ROUTE: {"priority": str(rule.priority or 0), "actions": named}}}}


def _sticky(group: TargetGroup | None) -> dict[str, Any] | None:
    """The stickiness of a group, None if it has none: by the load balancer's cookie, or by an application cookie (AWS ELB, 'Sticky
    sessions')."""
    attributes = group.attributes if group else {}
    if attributes.get("stickiness.enabled") != "true":
        return None
    kind = attributes.get("stickiness.type", "lb_cookie")
    seconds = int(attributes.get(f"stickiness.{kind}.duration_seconds") or 86400)
    app = attributes.get("stickiness.app_cookie.cookie_name") if kind == "app_cookie" else None
    return {"seconds": seconds, "app": app} if app else {"seconds": seconds}


def _context(values: dict[str, Any]) -> dict[str, Any]:
    return {"typed_per_filter_config": {LUA: {"@type": _LUA_PER_ROUTE, "filter_context": values}}}


def _answer(config: Mapping[str, Any]) -> dict[str, Any]:
    """The route's part for a fixed response. Text has the charset UTF-8, as an ALB's has."""
    kind = config.get("ContentType") or "text/plain"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return _direct(int(config["StatusCode"]), config.get("MessageBody") or "", kind)


def _page(status: int) -> dict[str, Any]:
    return _direct(status, word_page(status), "text/html")


def _direct(status: int, body: str, kind: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": status}
    if body:
        answer["body"] = {"inline_string": body}
    return {"direct_response": answer, "response_headers_to_add": [header("content-type", kind)]}
