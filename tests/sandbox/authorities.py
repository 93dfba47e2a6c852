"""Certificate authorities of clients, what they issue, and what they take back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

_DAY = timedelta(days=1)


class ClientAuthority:
    """Signs clients' certificates. `pem` is its own certificate."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._begin = datetime.now(UTC).replace(microsecond=0) - 10 * _DAY
        built = self._build(self._name, self._key.public_key(), self._begin + 100 * _DAY)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = _pem(built.sign(self._key, hashes.SHA256()))

    def _build(self, name: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(end)
        )

    def issue(self, folder: Path, name: str, *, days_left: int = 5) -> Client:
        """A client's certificate and key, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [(x509.NameOID.COUNTRY_NAME, "US"), (x509.NameOID.ORGANIZATION_NAME, "Example, Inc"),
                 (x509.NameOID.COMMON_NAME, name)]  # fmt: skip
        subject = x509.Name([x509.NameAttribute(*part) for part in parts])
        end = datetime.now(UTC) + days_left * _DAY
        made = self._build(subject, key.public_key(), end).sign(self._key, hashes.SHA256())
        file = folder / f"{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_text(_pem(made) + secret.decode())
        return Client(made, file)

    def revoke(self, *clients: Client) -> str:
        """A list of what is revoked (PEM)."""
        now = datetime.now(UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        made = made.last_update(now - _DAY).next_update(now + _DAY)
        for client in clients:
            entry = x509.RevokedCertificateBuilder().serial_number(client.certificate.serial_number)
            made = made.add_revoked_certificate(entry.revocation_date(now - _DAY).build())
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Client:
    """Who has a certificate. `file` has it and its key (PEM)."""

    def __init__(self, certificate: x509.Certificate, file: Path) -> None:
        self.certificate, self.file = certificate, file
        self.pem = _pem(certificate)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@cache
def authority(name: str) -> ClientAuthority:
    """The same one for a name, for as long as the process lives."""
    return ClientAuthority(name)
