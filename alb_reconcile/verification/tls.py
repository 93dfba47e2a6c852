"""Collects what TLS connections showed: the version, and each certificate's subject, issuer and end."""

from __future__ import annotations

import ssl
from typing import Any, Final, NamedTuple

SOON: Final = 30
"""Days that a certificate should have left. ACM renews its own 60 days before they expire."""
_DAY: Final = 86400


class Tls(NamedTuple):
    """One way in which connections were made. `issuer` and the fields after it are empty where certificates weren't checked
    (`--insecure`)."""

    version: str
    name: str = ""
    names: tuple[str, ...] = ()
    issuer: str = ""
    expires: str = ""
    days_left: int | None = None

    @property
    def warning(self) -> str:
        """What a user should do about the certificate soon, or nothing."""
        if self.days_left is None or self.days_left >= SOON:
            return ""
        return f"the certificate of {self.name} expires in {self.days_left} days ({self.expires}); renew it"


def read_tls(connection: Any, now: float) -> Tls | None:
    """The TLS details of an `ssl.SSLObject`; None for anything else."""
    if not isinstance(connection, ssl.SSLObject):
        return None
    version, shown = connection.version() or "", connection.getpeercert() or {}
    end = shown.get("notAfter")
    if not isinstance(end, str):
        return Tls(version)
    expires = ssl.cert_time_to_seconds(end)
    names = tuple(str(value) for kind, value in _pairs(shown.get("subjectAltName")) if kind in ("DNS", "IP Address"))
    subject, issuer = _named(shown.get("subject")), _named(shown.get("issuer"))
    name = subject.get("commonName") or (names[0] if names else "")
    by = issuer.get("commonName") or issuer.get("organizationalUnitName") or issuer.get("organizationName") or ""
    return Tls(version, name, names, by, end, int((expires - now) // _DAY))


def _pairs(found: Any) -> tuple[tuple[str, str], ...]:
    return found if isinstance(found, tuple) else ()


def _named(found: Any) -> dict[str, str]:
    """The parts of a name, which ssl returns as tuples of tuples of pairs."""
    return dict(pair for part in _pairs(found) for pair in part if len(pair) == 2)  # type: ignore[misc]
