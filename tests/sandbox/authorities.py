"""Authorities of clients, and clients with their certificates in files."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import trustme
from cryptography import x509

from alb_reconcile.sandbox.client_authority import DAY, ClientAuthority, as_pem

if TYPE_CHECKING:
    from pathlib import Path


class TestAuthority(ClientAuthority):
    """One whose clients are files."""

    __test__ = False  # pytest is not to collect it

    def client(self, folder: Path, name: str, *, days_left: int = 5) -> Client:
        parts = [(x509.NameOID.COUNTRY_NAME, "US"), (x509.NameOID.ORGANIZATION_NAME, "Example, Inc"),
                 (x509.NameOID.COMMON_NAME, name)]  # fmt: skip
        subject = x509.Name([x509.NameAttribute(*part) for part in parts])
        certificate, key = self.issue(subject, days_left * DAY)
        file = folder / f"{name}.pem"
        file.write_text(as_pem(certificate) + key)
        return Client(certificate, file)


class Client:
    """Who has a certificate. `file` has it and its key (PEM)."""

    def __init__(self, certificate: x509.Certificate, file: Path) -> None:
        self.certificate, self.file = certificate, file
        self.pem = as_pem(certificate)


@cache
def authority(name: str) -> TestAuthority:
    """The same one for a name, for as long as the process lives."""
    return TestAuthority(name)


@cache
def server_certificate(*names: str, number: int = 1, rsa: bool = False) -> tuple[str, str]:
    """A server's certificate and its key (PEM): the same ones for the same arguments."""
    issued = _servers().issue_cert(*names, key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA)
    return issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()


@cache
def _servers() -> trustme.CA:
    return trustme.CA()


def servers_pem() -> str:
    """The authority of those."""
    return _servers().cert_pem.bytes().decode()
