"""Decides which requests the sandbox answers: those of this machine's programs, for the services that a stack needs."""

import re
from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
SERVICES: Final = {
    "acm": "acm",
    "ec2": "ec2",
    "elasticloadbalancing": "elbv2",
    "iam": "iam",
    "logs": "logs",
    "route53": "route53",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "servicequotas": "servicequotas",
    "sqs": "sqs",
    "ssm": "ssm",
    "sts": "sts",
    "tagging": "resourcegroupstaggingapi",
    "wafv2": "wafv2",
}
"""moto's name of each service, by the service's name in request signatures."""
_POLICIES: Final = re.compile(r"/2015-03-31/functions/[^/]+/policy(/[^/]+)?")
_CONFIGURATION: Final = re.compile(r"/2015-03-31/functions/[^/]+/configuration")
"""Of Lambda, only policies and this path (read-only) are served: moto would run functions in containers."""
_SIGNED: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/, ]+/[0-9]{8}/[^/, ]+/([a-z0-9-]+)/aws4_request,")


def refuse_pages(environ: Mapping[str, Any], port: int) -> str:
    """Why a request is refused as not coming from a program on this machine; empty if it isn't refused.

    A page in the user's browser can reach 127.0.0.1, too: directly, which the browser's headers show (Origin, Sec-Fetch-Site), or by a
    domain that resolves to it (DNS rebinding), which is then the Host.
    """
    names = {f"{name}:{port}" for name in _NAMES} | (_NAMES if port == 80 else set())
    if environ.get("HTTP_HOST", "").lower() not in names:
        return f"The sandbox answers only at http://127.0.0.1:{port}; use that address."
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
        return "The sandbox answers only programs, not pages in a browser."
    return ""


def service_of(environ: Mapping[str, Any]) -> str | None:
    """moto's name of the service that a request is signed for; None if that service isn't served, or without a signature.

    A page in a browser can't send a signature: the browser would first ask the server whether the page may send that header.
    """
    signed = _SIGNED.match(environ.get("HTTP_AUTHORIZATION", ""))
    if signed and signed[1] == "cloudtrail":  # trails aren't served, only the event history
        return "cloudtrail" if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".LookupEvents") else None
    if signed and signed[1] == "lambda":
        path, is_read = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD", "GET") == "GET"
        is_served = _POLICIES.fullmatch(path) or (is_read and _CONFIGURATION.fullmatch(path))
        return "lambda" if is_served else None
    return SERVICES.get(signed[1]) if signed else None
