"""Converts target groups and listeners to Envoy's resources, and writes the files from which Envoy reads them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from alb_reconcile.model.text import digest
from alb_reconcile.sandbox.pages import word_page
from alb_reconcile.sandbox.traffic.answers import SERVER, own_answers
from alb_reconcile.sandbox.traffic.authentication import authentication_filter
from alb_reconcile.sandbox.traffic.certificates import Certificate
from alb_reconcile.sandbox.traffic.forwarding import inserted, tells_server
from alb_reconcile.sandbox.traffic.ports import HOST
from alb_reconcile.sandbox.traffic.recording import is_logged, record_connections, record_requests
from alb_reconcile.sandbox.traffic.routes import LUA, ROUTES, name_of, tell_listener
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Listener, LoadBalancer, TargetGroup
from alb_reconcile.sandbox.traffic.tls import listener_context
from alb_reconcile.sandbox.traffic.transforms import FAILED, NAMESPACE, http_filter

TYPE: Final = "type.googleapis.com/envoy."
_PAGES: Final = "".join(f'["{status}"] = {json.dumps(word_page(status))}, ' for status in (400, 405, 500))
_NAMES: Final = f"local TRANSFORMS, FAILED = {json.dumps(NAMESPACE)}, {json.dumps(FAILED)}\n"
_SCRIPT: Final = f"local PAGES = {{{_PAGES}}}\n{_NAMES}" + (Path(__file__).parent / "balancer.lua").read_text(
    encoding="utf-8"
)
_MOST: Final = 1_000_000_000  # no limit of Envoy's: an ALB has none at this scale
_CASE: Final = {  # HTTP/1.1 header names as they were sent, and X-Forwarded-For instead of x-forwarded-for
    "stateful_formatter": {
        "name": "preserve_case",
        "typed_config": {
            "@type": f"{TYPE}extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
            "formatter_type_on_envoy_headers": "PROPER_CASE",
        },
    }
}
_POLICIES: Final = {"least_outstanding_requests": "LEAST_REQUEST", "weighted_random": "RANDOM"}


_NAMES_ASKED_FOR: Final = {  # otherwise Envoy doesn't know the names that clients ask for
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"{TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}


def file_source(file: Path) -> dict[str, Any]:
    """Envoy's ConfigSource of a file. Envoy reads the file again whenever it is replaced."""
    return {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}


class Files:
    """Envoy's configuration files in one folder. Files are replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions: dict[str, str] = {}

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def write(self, name: str, resources: Sequence[Mapping[str, Any]]) -> str:
        """Write resources to a file, unless it has them already. Returns the version, which is a digest of the resources."""
        version = digest(list(resources), 16)
        if self._versions.get(name) != version:
            part = self._folder / f"{name}.part"
            part.write_text(json.dumps({"version_info": version, "resources": list(resources)}), encoding="utf-8")
            part.replace(self.path(name))
            self._versions[name] = version
        return version

    def forget(self) -> None:
        """Let the next `write` of each file write it, even if it hasn't changed."""
        self._versions.clear()


def choose_ports(group: TargetGroup, addresses: Addresses, nowhere: int) -> Counter[int]:
    """The local ports to which a group's requests go, with the number of targets on each.

    AWS ELB, 'Health checks': requests go to the healthy targets; if none is healthy, to all registered ones (fail-open). Draining and
    unused targets get none. If an instance doesn't listen, or security groups block it, requests go to the port `nowhere`, which refuses
    them: on AWS a request to a blocked target fails after ten seconds.
    """
    states = {"healthy"} if any(item.state == "healthy" for item in group.targets) else {"initial", "unhealthy"}
    chosen = [item for item in group.targets if item.state in states]
    found = ((addresses.get((item.instance_id, item.port)), item.is_open) for item in chosen)
    return Counter(port if port and is_open else nowhere for port, is_open in found)


def cluster(group: TargetGroup, ports: Mapping[int, int]) -> dict[str, Any]:
    """Envoy's Cluster for a target group. Its endpoints are the local ports, with their weights.

    The endpoints aren't in a file of their own: Envoy would watch each such file with an inotify instance, of which a user has 128. So
    Envoy rebuilds a cluster when a target joins or leaves. Requests that are open in the old cluster continue there.
    """
    policy = _POLICIES.get(group.attributes.get("load_balancing.algorithm.type", ""), "ROUND_ROBIN")
    http = {"http_protocol_options": {"header_key_format": _CASE}}
    if group.protocol_version in ("HTTP2", "GRPC"):
        http = {"http2_protocol_options": {}}
    name = name_of(group.arn)
    chosen = [
        {"endpoint": {"address": address(port)}, "load_balancing_weight": weight}
        for port, weight in sorted(ports.items())
    ]
    made: dict[str, Any] = {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": chosen}] if chosen else []},
        "connect_timeout": "10s",
        "lb_policy": policy,
        "circuit_breakers": {"thresholds": [dict.fromkeys(_LIMITS, _MOST)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": http,
            }
        },
    }
    if group.protocol == "HTTPS":
        alpn = ["h2"] if "http2_protocol_options" in http else ["http/1.1"]
        made["transport_socket"] = _tls("Upstream", {"common_tls_context": {"alpn_protocols": alpn}})
    return made


_LIMITS: Final = ("max_connections", "max_pending_requests", "max_requests")


def listener(
    balancer: LoadBalancer, found: Listener, port: int, routes: Path, certificates: Sequence[Certificate], records: Path
) -> dict[str, Any]:
    """Envoy's Listener on a local port. The file `routes` has the routes of all listeners. The first certificate is the default one. Envoy
    records requests and connections in `records`.

    The listener contains nothing of the rules, so that a change of rules doesn't affect its connections.
    """
    secure = found.protocol == "HTTPS"
    h2 = secure and balancer.attributes.get("routing.http2.enabled", "true") == "true"
    chain: dict[str, Any] = {"filters": [_manager(balancer, found, routes, "AUTO" if h2 else "HTTP1", records)]}
    if secure:
        context = listener_context(found, certificates, ["h2", "http/1.1"] if h2 else ["http/1.1"])
        chain["transport_socket"] = _tls("Downstream", context)
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": name_of(found.arn),
        "address": address(port),
        "filter_chains": [chain],
        "access_log": record_connections(balancer, found, records),
        "listener_filters": [_NAMES_ASKED_FOR] if secure and is_logged(balancer, "access") else [],
    }


def _manager(balancer: LoadBalancer, found: Listener, routes: Path, codec: str, records: Path) -> dict[str, Any]:
    idle = f"{balancer.attributes.get('idle_timeout.timeout_seconds') or 60}s"
    longest = f"{balancer.attributes.get('client_keep_alive.seconds') or 3600}s"
    router = {"@type": f"{TYPE}extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    lua = {
        "@type": f"{TYPE}extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": _SCRIPT},
        "clear_route_cache": False,  # AWS ELB, 'Transforms': a rewrite doesn't change the target
    }
    manager = {
        "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "codec_type": codec,
        "server_name": SERVER,
        "server_header_transformation": "PASS_THROUGH",
        "rds": {"route_config_name": ROUTES, "config_source": file_source(routes)},
        "early_header_mutation_extensions": [tell_listener(found)],
        "access_log": record_requests(balancer, found, records),
        "http_filters": [
            authentication_filter(),
            http_filter(),
            {"name": LUA, "typed_config": lua},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
        "local_reply_config": own_answers(inserted(found.attributes), tells_server(found)),
        "use_remote_address": True,
        "skip_xff_append": True,  # Lua does it, by the attribute xff_header_processing.mode
        "generate_request_id": False,
        "stream_idle_timeout": idle,
        "common_http_protocol_options": {"idle_timeout": idle, "max_connection_duration": longest},
        "http1_safe_max_connection_duration": True,
        "drain_timeout": "1s",  # between the notice that a connection ends, and its end
        "http_protocol_options": {
            "accept_http_10": True,
            "allow_custom_methods": True,
            "default_host_for_http_10": balancer.dns_name,
            "header_key_format": _CASE,
        },
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "max_request_headers_kb": 1024,  # Lua refuses more than 64, as an ALB does
        # Envoy obeys x-envoy-* headers of clients at internal addresses: this range matches no client
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _tls(side: str, context: dict[str, Any]) -> dict[str, Any]:
    kind = f"{TYPE}extensions.transport_sockets.tls.v3.{side}TlsContext"
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": kind, **context}}


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}
