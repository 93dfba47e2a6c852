"""Configures what Envoy records of requests and connections, one JSON object a line, for the logs of load balancers."""

from pathlib import Path
from typing import Any, Final

from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer
from alb_reconcile.sandbox.traffic.transforms import NAMESPACE

ROUTE: Final = "alb.route"
"""The key in a route's metadata for what the access log says of the route."""
_TYPE: Final = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_EVERY: Final = {
    "at": "%START_TIME(%s.%6f)%",
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "cipher": "%DOWNSTREAM_TLS_CIPHER%",
    "connection": "%CONNECTION_ID%",
}
_REQUEST: Final = {
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "host": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "agent": "%REQ(USER-AGENT)%",
    "trace": "%REQ(X-AMZN-TRACE-ID)%",
    "upgrade": "%REQ(UPGRADE)%",
    "content": "%REQ(CONTENT-TYPE)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "location": "%RESP(LOCATION)%",
    "received": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "sent": "%DOWNSTREAM_WIRE_BYTES_SENT%",
    "ms": "%DURATION%",
    "before": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
    "target": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    "after": "%COMMON_DURATION(US_RX_BEG:DS_TX_BEG:us)%",
    "upstream": "%UPSTREAM_REMOTE_ADDRESS%",
    "group": "%UPSTREAM_CLUSTER_RAW%",
    "name": "%REQUESTED_SERVER_NAME%",
    "priority": f"%METADATA(ROUTE:{ROUTE}:priority)%",
    "actions": f"%METADATA(ROUTE:{ROUTE}:actions)%",
    "sent_path": f"%DYNAMIC_METADATA({NAMESPACE}:path)%",
    "sent_host": f"%DYNAMIC_METADATA({NAMESPACE}:host)%",
    "old_path": f"%DYNAMIC_METADATA({NAMESPACE}.before:path)%",
    "old_host": f"%DYNAMIC_METADATA({NAMESPACE}.before:host)%",
}
_CONNECTION: Final = {
    "handshake": "%COMMON_DURATION(DS_HS_BEG:DS_HS_END:us)%",
    "exchange": "%DOWNSTREAM_TLS_GROUP%",
    "subject": "%DOWNSTREAM_PEER_SUBJECT%",
    "begin": "%DOWNSTREAM_PEER_CERT_V_START(%Y-%m-%dT%H:%M:%SZ)%",
    "end": "%DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%dT%H:%M:%SZ)%",
    "serial": "%DOWNSTREAM_PEER_SERIAL%",
    "failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
}


def is_logged(balancer: LoadBalancer, kind: str) -> bool:
    """Whether a load balancer's attributes enable a log: access, connection or health_check."""
    return balancer.attributes.get(f"{kind}_logs.s3.enabled") == "true"


def record_requests(balancer: LoadBalancer, found: Listener, file: Path) -> list[dict[str, Any]]:
    """The access loggers of Envoy's HttpConnectionManager, which record requests."""
    return _logger(balancer, found, file, "access", _REQUEST) if is_logged(balancer, "access") else []


def record_connections(balancer: LoadBalancer, found: Listener, file: Path) -> list[dict[str, Any]]:
    """The access loggers of an Envoy listener, which record each connection when it ends."""
    return _logger(balancer, found, file, "connection", _CONNECTION) if is_logged(balancer, "connection") else []


def _logger(
    balancer: LoadBalancer, found: Listener, file: Path, kind: str, fields: dict[str, str]
) -> list[dict[str, Any]]:
    whose = {"log": kind, "balancer": balancer.arn, "listener": found.arn}
    json_format = {**whose, **_EVERY, **fields}
    config = {"@type": _TYPE, "path": str(file), "log_format": {"json_format": json_format}}
    return [{"name": f"{kind} log", "typed_config": config}]
