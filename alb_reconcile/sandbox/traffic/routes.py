"""A listener's rules as Envoy's routes, in the order in which they are tried."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from alb_reconcile.model.text import digest
from alb_reconcile.sandbox.pages import word_page
from alb_reconcile.sandbox.traffic.authentication import callback_routes, guarded
from alb_reconcile.sandbox.traffic.conditions import compare, match_headers
from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer, Rule, Snapshot, TargetGroup

LUA: Final = "envoy.filters.http.lua"
_LUA_PER_ROUTE: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute"
_ROUTES: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_OVERWRITE: Final = "OVERWRITE_IF_EXISTS_OR_ADD"
_LONGEST_BODY: Final = 4096  # 1,024 characters of four bytes: a fixed response's limit
_OURS: Final = ("x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms")


def name_of(arn: str) -> str:
    """How Envoy's cluster or route configuration for it is called: short, and a file's name, too."""
    return digest(arn, 16)


class Router:
    """Translates one listener. `doors`: the local ports of its load balancer's listeners, by their own ports."""

    def __init__(
        self, snapshot: Snapshot, balancer: LoadBalancer, listener: Listener, doors: Mapping[int, int]
    ) -> None:
        self._groups, self._listener, self._balancer = snapshot.target_groups, listener, balancer
        self._attributes = balancer.attributes
        self._doors = {str(port): str(local) for port, local in doors.items()}

    def configuration(self) -> dict[str, Any]:
        """Envoy's RouteConfiguration."""
        routes = [*callback_routes(self._balancer, self._listener)]
        for rule in self._listener.rules:
            routes += (guarded(route, self._balancer, self._listener, rule) for route in self._routes(rule))
        return {
            "@type": _ROUTES,
            "name": name_of(self._listener.arn),
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
            "max_direct_response_body_size_bytes": _LONGEST_BODY,
            **self._forwarded_headers(),
        }

    def _forwarded_headers(self) -> dict[str, Any]:
        """AWS ELB, 'HTTP headers and Application Load Balancers': X-Forwarded-* and X-Amzn-Tls-*."""
        mode = self._attribute("routing.http.xff_header_processing.mode", "append")
        added = [_header("X-Forwarded-Port", str(self._listener.port))]
        removed = list(_OURS)
        if mode == "append":
            with_port = self._attribute("routing.http.xff_client_port.enabled") == "true"
            address = "ADDRESS" if with_port else "ADDRESS_WITHOUT_PORT"
            client = _header("X-Forwarded-For", f"%DOWNSTREAM_DIRECT_REMOTE_{address}%")
            added.append(client | {"append_action": "APPEND_IF_EXISTS_OR_ADD"})
        elif mode == "remove":
            removed.append("x-forwarded-for")
        tells_tls = self._attribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") == "true"
        if tells_tls and self._listener.protocol == "HTTPS":
            added.append(_header("X-Amzn-Tls-Version", "%DOWNSTREAM_TLS_VERSION%"))
            added.append(_header("X-Amzn-Tls-Cipher-Suite", "%DOWNSTREAM_TLS_CIPHER%"))
        return {"request_headers_to_add": added, "request_headers_to_remove": removed}

    def _attribute(self, key: str, default: str = "false") -> str:
        return self._attributes.get(key) or default

    def _routes(self, rule: Rule) -> Iterator[dict[str, Any]]:
        headers = match_headers(rule.conditions)
        if headers is None:
            return
        # The last one: what comes before it is asked for by `guarded`.
        action = max(rule.actions, key=lambda item: item.get("Order") or 0, default={})
        kind, match = action.get("Type"), {"prefix": "/", "headers": headers}
        if kind == "redirect":
            yield {"match": match} | self._redirect(action["RedirectConfig"])
        elif kind == "fixed-response":
            yield {"match": match} | _answer(action["FixedResponseConfig"])
        elif kind == "forward":
            yield from self._forward(match, action)

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
        here = {"port": str(self._listener.port), "protocol": self._listener.protocol}
        # Lua answers before it comes to Envoy's own answer, which can't put a location together.
        return _context({"redirect": wanted, "doors": self._doors} | here) | {"direct_response": {"status": status}}

    def _forward(self, match: dict[str, Any], action: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        config = action.get("ForwardConfig") or {}
        given = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn", "")}]
        weights = {item["TargetGroupArn"]: int(item.get("Weight", 1)) for item in given}
        if len(weights) == 1:
            weights = dict.fromkeys(weights, 1)  # all of it, whatever its weight is
        if not sum(weights.values()):
            yield {"match": match} | _page(503)
            return
        stickiness = config.get("TargetGroupStickinessConfig") or {}
        seconds = int(stickiness.get("DurationSeconds") or 0) if stickiness.get("Enabled") else 0
        if seconds:
            for arn in weights:  # also at weight 0: who was there before comes back
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
        }
        group = self._groups.get(arn)
        if group:
            context["version"] = group.protocol_version
        if sticky := _sticky(group):
            context["sticky"] = sticky
        if seconds:
            context["group"] = {"id": name_of(arn), "seconds": seconds}
        target = _header("x-sandbox-target", "%UPSTREAM_REMOTE_ADDRESS%")  # for Lua, which takes it out again
        told = {"response_headers_to_add": [target]} if sticky or seconds else {}
        return _context(context) | told


def _sticky(group: TargetGroup | None) -> dict[str, Any] | None:
    """AWS ELB, 'Sticky sessions': by the load balancer's own cookie, or beside the application's."""
    attributes = group.attributes if group else {}
    if attributes.get("stickiness.enabled") != "true":
        return None
    kind = attributes.get("stickiness.type", "lb_cookie")
    seconds = int(attributes.get(f"stickiness.{kind}.duration_seconds") or 86400)
    app = attributes.get("stickiness.app_cookie.cookie_name") if kind == "app_cookie" else None
    return {"seconds": seconds, "app": app} if app else {"seconds": seconds}


def _context(values: dict[str, Any]) -> dict[str, Any]:
    return {"typed_per_filter_config": {LUA: {"@type": _LUA_PER_ROUTE, "filter_context": values}}}


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": _OVERWRITE}


def _answer(config: Mapping[str, Any]) -> dict[str, Any]:
    """A fixed response: text that says that it is UTF-8, as an ALB's does."""
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
    return {"direct_response": answer, "response_headers_to_add": [_header("content-type", kind)]}
