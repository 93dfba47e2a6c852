"""Renders what `verify` found, as text and as JSON. Escapes text that came from the network."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.secrets import Headers
from alb_reconcile.model.text import printable
from alb_reconcile.verification.checks import Check
from alb_reconcile.verification.judge import Finding, TargetShare
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.names import NameFinding, names_json
from alb_reconcile.verification.session import Report
from alb_reconcile.verification.tls import Tls

_WIDTH: Final = 100
_SIGNS: Final = {"ok": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow"), "unreachable": ("✗", "red")}
_MOST: Final = 10
"""The most versions and unknown targets that are listed; JSON has them all."""


def verify_text(report: Report, style: Style) -> str:
    """The whole report as text."""
    return "\n".join(_lines(report, style))


def _lines(report: Report, style: Style) -> Iterator[str]:
    yield style.paint(f"{report.stack} · {report.region} · account {report.account}", "bold")
    yield ""
    for finding in report.findings:
        yield from _finding(finding, style, report.secret_headers)
    for name in report.names:
        yield from _name(name, style)
    yield ""
    total = sum(item.requests for item in report.findings)
    fine = sum(item.state == "ok" for item in report.findings)
    skipped = sum(item.state == "skipped" for item in report.findings)
    rows = f"{fine} of {len(report.findings)} listeners and rules"
    right = sum(item.right for item in report.findings)
    words = (
        f"{rows} answered {total} requests as expected"
        if report.ok
        else f"{rows} are as they should be, {'though ' if right and right == total else ''}{right} of {total} requests were answered as expected"
    )
    words += f", {skipped} can't be checked" if skipped else ""
    if report.names:
        led = sum(item.state == "ok" for item in report.names)
        words += f"; {led} of {len(report.names)} names lead where they should"
    yield style.paint(
        f"Verified: {words}." if report.ok else f"Not verified: {words}.", "green" if report.ok else "red"
    )


def _finding(finding: Finding, style: Style, headers: Headers) -> Iterator[str]:
    sign, color = _SIGNS[finding.state]
    check = finding.check
    name = f"{check.address} default action" if check.is_default else str(check.address)
    yield f"  {style.paint(f'{sign} {name}', color)}  {_action(finding)}"
    if check.request:
        request = check.request.redacted(headers)
        yield style.paint(f"      {request.method} {_url(check, request)}", "dim")
    if finding.requests:
        yield f"      {_counts(finding)}"
    for item in finding.tls:
        yield from (style.paint(line, "dim") for line in _wrap(_tls(item), ""))
    if finding.shares:
        yield from _shares(finding.shares, style)
    if finding.versions:
        yield from _wrap(f"versions: {_listing(finding.versions)}", "")
    if finding.websocket == "":
        yield "      WebSocket: a message came back"
    for text in finding.problems:
        yield from (style.paint(line, "red") for line in _wrap(text, "✗ "))
    for text in finding.notes:
        yield from (style.paint(line, "yellow") for line in _wrap(text, "! "))


def _name(found: NameFinding, style: Style) -> Iterator[str]:
    sign, color = _SIGNS[found.state]
    yield f"  {style.paint(f'{sign} {found.address}', color)}  {printable(found.name)} {found.type}"
    if found.values:
        yield from _wrap(", ".join(found.values), "")
    parts = [f"HTTPS by {found.tls.version.replace('v', ' ', 1)}"] if found.tls else []
    parts += ["port 80 redirects to it"] if found.redirects else []
    if parts:
        yield f"      {', '.join(parts)}"
    for text in found.problems:
        yield from (style.paint(line, "red") for line in _wrap(text, "✗ "))
    for text in found.notes:
        yield from (style.paint(line, "yellow") for line in _wrap(text, "! "))


def _wrap(text: str, bullet: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent="      " + bullet,
        subsequent_indent="      " + " " * len(bullet),
        break_on_hyphens=False,
    )


def _listing(counts: Mapping[Any, int]) -> str:
    rows = list(counts.items())
    return ", ".join(f"{name} × {count}" for name, count in rows[:_MOST]) + (", …" if len(rows) > _MOST else "")


def _action(finding: Finding) -> str:
    asked = finding.check.action.authentication
    return f"{asked.type}, then {_routing(finding)}" if asked else _routing(finding)


def _routing(finding: Finding) -> str:
    action = finding.check.action
    if action.forward:
        names = ", ".join(dict.fromkeys(row.group for row in finding.shares))
        return f"forward to {names}" if names else "forward"
    if action.redirect:
        return f"redirect {dict(action.redirect).get('status_code', '').removeprefix('HTTP_')}"
    return f"fixed response {dict(action.fixed_response).get('status_code', '')}"


def _url(check: Check, request: Request) -> str:
    usual = {"http": 80, "https": 443}[check.scheme]
    port = "" if check.port == usual else f":{check.port}"
    query = "&".join(f"{name}={text}" for name, text in request.query)
    headers = "".join(f"  {name}: {text}" for name, text in request.headers)
    return printable(f"{check.scheme}://{request.host}{port}{request.path}" + (f"?{query}" if query else "") + headers)


def _counts(finding: Finding) -> str:
    parts = [f"{finding.requests} requests"]
    answers = [*finding.statuses.items(), *finding.errors.items()]
    parts.append(", ".join(f"{count} × {name}" for name, count in answers))
    if finding.protocols:
        parts.append(" and ".join(f"HTTP/{name}" for name in finding.protocols))
    if finding.latency:
        parts.append(", ".join(f"{name} {value:g} ms" for name, value in finding.latency.items()))
    return printable(" · ".join(parts))


def _tls(item: Tls) -> str:
    parts = [item.version.replace("v", " ", 1)]
    if item.days_left is not None:
        parts.append(f"certificate of {item.name} by {item.issuer}, {item.days_left} days left")
    return " · ".join(parts)


def _tls_json(item: Tls) -> dict[str, Any]:
    return {**item._asdict(), "names": list(item.names)}


def _shares(shares: tuple[TargetShare, ...], style: Style) -> Iterator[str]:
    names = max(len(row.target.label) for row in shares)
    ids = max(len(row.target.id) for row in shares)
    healths = max(len(row.target.health) for row in shares)
    for row in shares:
        color = "green" if row.target.health == "healthy" else "yellow"
        share = "" if row.share is None else f"  {row.answers:>5} answers {row.share:>6.1%}"
        share += f" of {row.expected:.1%}" if row.share is not None and row.expected is not None else ""
        fine = "  ✓" if row.target.health == "healthy" else ""  # that an unhealthy target gets nothing is no good news
        verdict = {True: fine, False: "  ✗", None: ""}[row.within]
        yield (
            f"      {row.target.label:<{names}}  {style.paint(f'{row.target.id:<{ids}}', 'dim')}  "
            f"{style.paint(f'{row.target.health:<{healths}}', color)}{share}{verdict}"
        ).rstrip()
        if row.target.reason:
            yield from (style.paint(line, "yellow") for line in _wrap(row.target.reason, "  "))


def verify_json(report: Report) -> str:
    """The documented form."""
    return json.dumps(
        {
            "version": 1,
            "stack": report.stack,
            "region": report.region,
            "account": report.account,
            "ok": report.ok,
            "checks": [_check_json(item, report.secret_headers) for item in report.findings],
            "names": [names_json(item) for item in report.names],
        },
        indent=2,
    )


def _check_json(finding: Finding, headers: Headers) -> dict[str, Any]:
    check, request = finding.check, finding.check.request and finding.check.request.redacted(headers)
    kind = "forward" if check.action.forward else "redirect" if check.action.redirect else "fixed_response"
    asked = request and {
        "method": request.method,
        "scheme": check.scheme,
        "host": request.host,
        "port": check.port,
        "path": request.path,
        "query": dict(request.query),
        "headers": dict(request.headers),
    }
    return {
        "address": str(check.address),
        "action": kind,
        "state": finding.state,
        "ok": finding.ok,
        "request": asked,
        "requests": finding.requests,
        "statuses": {str(status): count for status, count in finding.statuses.items()},
        "errors": dict(finding.errors),
        "latency_ms": dict(finding.latency),
        "protocols": dict(finding.protocols),
        "tls": [_tls_json(item) for item in finding.tls],
        "targets": [_share_json(row) for row in finding.shares],
        "unknown_targets": dict(finding.unknown),
        "unattributed": finding.unattributed,
        "versions": dict(finding.versions),
        "websocket": None if finding.websocket is None else {"ok": not finding.websocket, "problem": finding.websocket},
        "problems": list(finding.problems),
        "notes": list(finding.notes),
    }


def _share_json(row: TargetShare) -> dict[str, Any]:
    return {
        "id": row.target.id,
        "port": row.target.port,
        "name": row.target.name,
        "target_group": row.group,
        "health": row.target.health,
        "reason": row.target.reason,
        "answers": row.answers,
        "share": row.share if row.share is None else round(row.share, 4),
        "expected_share": row.expected if row.expected is None else round(row.expected, 4),
        "within_tolerance": row.within,
    }
