"""Makes Envoy's configuration for rules that authenticate: the sandbox's gatekeeper decides before such a route is taken."""

from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.sandbox.identity.claims import HEADERS
from alb_reconcile.sandbox.identity.guards import CALLBACK_KEY, Guard, Login, key_of, read_guard
from alb_reconcile.sandbox.identity.places import CALLBACK
from alb_reconcile.sandbox.identity.service import CHECKS
from alb_reconcile.sandbox.traffic.ports import HOST
from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer, Rule, Snapshot

FILTER: Final = "envoy.filters.http.ext_authz"
_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."
_CLUSTER: Final = "gatekeeper"
_TIMEOUT: Final = "60s"  # the gatekeeper's own time-outs are shorter


def guards_in(snapshot: Snapshot) -> dict[str, Guard]:
    """The guards of all rules and default actions, by key."""
    return {
        key: guard
        for balancer in snapshot.load_balancers
        for listener in balancer.listeners
        for rule in listener.rules
        for key, guard in _guard_of(balancer, listener, rule)
    }


def _guard_of(balancer: LoadBalancer, listener: Listener, rule: Rule) -> Iterator[tuple[str, Guard]]:
    guard = read_guard(rule.actions, balancer.arn)
    if guard is not None:
        yield key_of(listener.arn, rule.arn), guard


def guarded(route: dict[str, Any], balancer: LoadBalancer, listener: Listener, rule: Rule) -> dict[str, Any]:
    """A rule's route. If the rule authenticates, Envoy asks the gatekeeper first. The route contains no secrets."""
    for key, _ in _guard_of(balancer, listener, rule):
        return _asking(route, key)
    return route


def callback_routes(balancer: LoadBalancer, listener: Listener) -> Iterator[dict[str, Any]]:
    """The route for users that a provider redirects back, on listeners with a login. It needs no rule that matches (AWS ELB, 'Authenticate
    users')."""
    guards = (guard for rule in listener.rules for _, guard in _guard_of(balancer, listener, rule))
    if any(isinstance(guard, Login) for guard in guards):
        yield _asking({"match": {"path": CALLBACK}, "direct_response": {"status": 401}}, CALLBACK_KEY)


def _asking(route: dict[str, Any], key: str) -> dict[str, Any]:
    check = {"http_service": _service(f"{CHECKS}/{key}")}
    settings = {"@type": f"{_TYPE}ExtAuthzPerRoute", "check_settings": check}
    return route | {"typed_per_filter_config": route.get("typed_per_filter_config", {}) | {FILTER: settings}}


def authentication_filter() -> dict[str, Any]:
    """Envoy's filter that asks the gatekeeper. It is disabled except on routes that enable it."""
    config = {
        "@type": f"{_TYPE}ExtAuthz",
        "http_service": _service(CHECKS),
        "allowed_headers": _named("cookie", "authorization"),
        "status_on_error": {"code": "InternalServerError"},
    }
    return {"name": FILTER, "disabled": True, "typed_config": config}


def _service(prefix: str) -> dict[str, Any]:
    answer = {
        "allowed_upstream_headers": _named(*HEADERS),
        "allowed_client_headers": _named("content-type", "location", "set-cookie", "www-authenticate"),
        "allowed_client_headers_on_success": _named("set-cookie"),
    }
    uri = {"uri": f"http://{HOST}", "cluster": _CLUSTER, "timeout": _TIMEOUT}
    return {"server_uri": uri, "path_prefix": prefix, "authorization_response": answer}


def _named(*headers: str) -> dict[str, Any]:
    return {"patterns": [{"exact": header, "ignore_case": True} for header in headers]}


def gatekeeper(port: int) -> dict[str, Any]:
    """Envoy's cluster for the gatekeeper."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": HOST, "port_value": port}}}}
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": _CLUSTER,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
