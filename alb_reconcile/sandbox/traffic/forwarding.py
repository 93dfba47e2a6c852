"""Changes headers by attributes of load balancers and listeners: of requests on their way to targets, and of answers."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.sandbox.traffic.snapshot import Listener

_OVERWRITE: Final = "OVERWRITE_IF_EXISTS_OR_ADD"
_OURS: Final = ("x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms")
_REQUEST: Final = "routing.http.request."
_RESPONSE: Final = "routing.http.response."
_CERTIFICATE: Final = {
    "serial": "x_amzn_mtls_clientcert_serial_number",
    "issuer": "x_amzn_mtls_clientcert_issuer",
    "subject": "x_amzn_mtls_clientcert_subject",
    "validity": "x_amzn_mtls_clientcert_validity",
    "leaf": "x_amzn_mtls_clientcert_leaf",
    "chain": "x_amzn_mtls_clientcert",
}
_BY_MODE: Final = {"verify": ("serial", "issuer", "subject", "validity", "leaf"), "passthrough": ("chain",)}
_DEFAULT_PORTS: Final = (80, 443)


def header(key: str, value: str) -> dict[str, Any]:
    """Envoy's HeaderValueOption that sets a header, and replaces any other value."""
    return {"header": {"key": key, "value": value}, "append_action": _OVERWRITE}


def header_changes(balancer: Mapping[str, str], listener: Listener) -> dict[str, Any]:
    """The part of Envoy's VirtualHost that changes headers. `balancer`: the load balancer's attributes.

    AWS ELB, 'HTTP headers and Application Load Balancers', 'HTTP header modification'.
    """
    added = [header("X-Forwarded-Port", str(listener.port))]
    removed = list(_OURS)
    if _xff_mode(balancer) == "remove":
        removed.append("x-forwarded-for")
    tells_tls = balancer.get("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") == "true"
    if tells_tls and listener.protocol == "HTTPS":
        added.append(header(name_of_header(listener, "x_amzn_tls_version"), "%DOWNSTREAM_TLS_VERSION%"))
        added.append(header(name_of_header(listener, "x_amzn_tls_cipher_suite"), "%DOWNSTREAM_TLS_CIPHER%"))
    return {
        "request_headers_to_add": added,
        "request_headers_to_remove": removed,
        "response_headers_to_add": [
            header(key, value.replace("%", "%%")) for key, value in inserted(listener.attributes).items()
        ],
        "response_headers_to_remove": [] if tells_server(listener) else ["server"],
    }


def appended_address(balancer: Mapping[str, str]) -> str:
    """What is appended to X-Forwarded-For: the client's `address`, its `address:port`, or nothing."""
    if _xff_mode(balancer) != "append":
        return ""
    return "address:port" if balancer.get("routing.http.xff_client_port.enabled") == "true" else "address"


def _xff_mode(balancer: Mapping[str, str]) -> str:
    return balancer.get("routing.http.xff_header_processing.mode") or "append"


def inserted(attributes: Mapping[str, str]) -> dict[str, str]:
    """The headers that a listener sets in all answers, in place of the target's own."""
    found = {}
    for key, value in sorted(attributes.items()):
        name = key.removeprefix(_RESPONSE).removesuffix(".header_value")
        if value and key == f"{_RESPONSE}{name}.header_value":
            found[_title(name)] = value
    return found


def tells_server(listener: Listener) -> bool:
    """Whether answers have the header `Server`."""
    return listener.attributes.get(f"{_RESPONSE}server.enabled") != "false"


def certificate_headers(listener: Listener) -> dict[str, str]:
    """The names of the headers with the client's certificate, by the part of the certificate that they contain."""
    mode = listener.mutual.mode if listener.mutual else ""
    return {part: name_of_header(listener, _CERTIFICATE[part]) for part in _BY_MODE.get(mode, ())}


def host_change(balancer: Mapping[str, str], listener: Listener) -> str:
    """The change of the Host header for targets: `:8080` appends that port, `-` removes a port, and empty changes nothing.

    AWS ELB, 'Edit attributes', 'Preserve host header': without the attribute, the listener's port is appended; if it is 80 or
    443, a port is removed.
    """
    if balancer.get("routing.http.preserve_host_header.enabled") == "true":
        return ""
    return "-" if listener.port in _DEFAULT_PORTS else f":{listener.port}"


def name_of_header(listener: Listener, name: str) -> str:
    """The name of a header that the load balancer sets, such as X-Amzn-Tls-Version, unless a listener attribute renames it."""
    return listener.attributes.get(f"{_REQUEST}{name}.header_name") or _title(name)


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("_"))
