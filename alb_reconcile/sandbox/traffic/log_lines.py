"""Writes entries of a load balancer's logs, in AWS's format, from what Envoy and the health checks recorded."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.traffic.snapshot import Listener, TargetGroup
from alb_reconcile.sandbox.traffic.transforms import FAILED

NODE: Final = "127.0.0.1"
"""The address of a load balancer's node; here a load balancer has only one."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FAILURES: Final = {
    "certificate_has_expired": "ClientCertExpired",
    "not_yet_valid": "ClientCertNotYetValid",
    "certificate_revoked": "ClientCertCrlHit",
    "unable_to_get_certificate_CRL": "ClientCertCrlProcessingError",
    "CRL": "ClientCertCrlProcessingError",
    "chain_too_long": "ClientCertMaxChainDepthExceeded",
    "unsupported_certificate_purpose": "ClientCertPurposeInvalid",
    "local_issuer": "ClientCertUntrusted",
    "self_signed": "ClientCertUntrusted",
    "self-signed": "ClientCertUntrusted",
    "unable_to_verify": "ClientCertUntrusted",
}
Record = Mapping[str, Any]


def access_entry(record: Record, found: Listener, moment: datetime, target: str, group: str, certificate: str) -> str:
    """A line of an access log (AWS ELB, 'Access log entries'). `target` is an address and port, `group` and `certificate` are ARNs; each is
    empty if there is none."""
    scheme, created = found.protocol.lower(), moment
    is_refused = record.get("details") == "lua_response" and record.get("actions") != "redirect"
    transformed = _transformed(record)
    answered = str(record["status"]) if record.get("details") == "via_upstream" else ""
    host = str(record.get("old_host") or record.get("host") or "")
    port = "" if re.search(r":\d+$", host) else f":{found.port}"
    url = f"{scheme}://{host}{port}{record.get('old_path') or record.get('path') or ''}"
    fields = [
        _type(record, scheme),
        stamp(moment + timedelta(milliseconds=int(record.get("ms") or 0))),
        name_of_balancer(str(record["balancer"])),
        str(record["client"]),
        target or "-",
        *(_seconds(record.get(part) if target else None) for part in ("before", "target", "after")),
        str(record.get("status") or "-"),
        answered or "-",
        str(record.get("received") or 0),
        str(record.get("sent") or 0),
        quoted(f"{record.get('method') or '-'} {url} {record.get('protocol') or '-'}"),
        quoted(record.get("agent")),
        str(record.get("cipher") or "-"),
        str(record.get("tls") or "-"),
        group or "-",
        quoted(record.get("trace")),
        quoted(record.get("name")),
        quoted(certificate),
        str(record.get("priority") or "-"),
        stamp(created),
        quoted(None if is_refused and not transformed[2] else _executed(record)),
        quoted(record.get("location") if record.get("actions") == "redirect" else None),
        quoted(None),
        quoted(target),
        quoted(answered),
        quoted(None),
        quoted(None),
        trace_of(record),
        *(quoted(text) for text in transformed),
        NODE,
    ]
    return " ".join(fields)


def connection_entry(record: Record, found: Listener, moment: datetime) -> str:
    """A line of a connection log (AWS ELB, 'Connection log entries')."""
    host, _, port = str(record["client"]).rpartition(":")
    is_secure = found.protocol == "HTTPS"
    begin, end = record.get("begin"), record.get("end")
    handshake = record.get("handshake")
    shows = bool(found.mutual and record.get("subject"))
    fields = [
        stamp(moment), host, port, str(found.port),
        str(record.get("tls") or "-"),
        str(record.get("cipher") or "-"),
        f"{int(handshake) / 1e6:.3f}" if handshake is not None else "-",
        quoted(record.get("subject") if shows else None),
        f"NotBefore={begin};NotAfter={end}" if shows and begin and end else "-",
        str(record["serial"]).upper() if shows and record.get("serial") else "-",
        _verdict(str(record.get("failure") or "")) if is_secure else "-",
        trace_of(record),
        str(record.get("exchange") or "-"),
        name_of_balancer(str(record["balancer"])),
        NODE,
    ]  # fmt: skip
    return " ".join(fields)


def health_entry(check: Check, group: TargetGroup, target: str, moment: datetime, balancer: str) -> str:
    """A line of a health check log (AWS ELB, 'Health check log entries')."""
    kinds = {"GRPC": "grpc", "HTTP2": "h2"}
    reasons = {"Target.Timeout": "TimedOut", "Target.ResponseCodeMismatch": "ResponseCodeMismatch"}
    reason = reasons.get(check.reason.partition("|")[0], "ConnectionReset") if check.reason else "-"
    if reason == "ResponseCodeMismatch" and group.protocol_version == "GRPC":
        reason = "GRPCUnexpectedStatus"
    elif reason == "ResponseCodeMismatch" and check.code >= 500:
        reason = "TargetError"
    fields = [
        kinds.get(group.protocol_version) or group.health_check.protocol.lower(),
        stamp(moment),
        f"{check.latency:.9f}",
        target,
        group.arn.split("/")[1],
        "FAIL" if check.reason else "PASS",
        str(check.code) if check.code >= 0 else "-",
        reason,
        name_of_balancer(balancer),
        NODE,
    ]
    return " ".join(fields)


def choose_certificate(name: str | None, arns: Sequence[str], names: Callable[[str], Sequence[str]]) -> str:
    """The ARN of the certificate for a name that a client asks for: the first that covers the name, also by a wildcard, else the default
    one, which is the first."""
    asked = (name or "").lower()
    for text in (asked, "*." + asked.partition(".")[2]):
        for arn in arns:
            if text in {item.lower() for item in names(arn)}:
                return arn
    return arns[0] if arns else ""


def name_of_balancer(arn: str) -> str:
    """A load balancer's resource id, app/NAME/ID."""
    return arn.partition(":loadbalancer/")[2] or arn


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def quoted(text: object) -> str:
    """The text in quotes; a hyphen if it is empty. Quotes and characters that can't be printed are escaped."""
    safe = "".join(
        f"\\x{ord(char):02x}" if char == '"' or not char.isprintable() else char for char in str(text or "-")
    )
    return f'"{safe}"'


def trace_of(record: Record) -> str:
    """The trace id of a connection. The connection's requests have the same id."""
    return f"TID_{uuid5(NAMESPACE_OID, '{client} {connection}'.format_map(record)).hex}"


def _executed(record: Record) -> str:
    """The actions that were executed: if authentication refused the request, not the action after it."""
    actions = str(record.get("actions") or "")
    return actions.rpartition(",")[0] if str(record.get("details")).startswith("ext_authz_") else actions


def _type(record: Record, scheme: str) -> str:
    secure = "s" if scheme == "https" else ""
    if str(record.get("upgrade") or "").lower() == "websocket":
        return f"ws{secure}"
    if str(record.get("content") or "").startswith("application/grpc"):
        return f"grpc{secure}"
    return "h2" if record.get("protocol") == "HTTP/2" else scheme


def _seconds(microseconds: object) -> str:
    return f"{int(str(microseconds)) / 1e6:.3f}" if microseconds is not None else "-1"


def _transformed(record: Record) -> tuple[str, str, str]:
    """The transformed host and URL, and the transform's status; all empty if the rule has no transform."""
    host, path = record.get("sent_host"), record.get("sent_path")
    if host is None and path is None:
        return "", "", ""
    failed = record.get("details") == "lua_response" or FAILED in (host, path)
    return ("", "", "TransformReplaceError") if failed else (str(host or ""), str(path or ""), "TransformSuccess")


def _verdict(failure: str) -> str:
    if not failure:
        return "Success"
    return "Failed:" + next((code for text, code in _FAILURES.items() if text in failure), "UnmappedConnectionError")
