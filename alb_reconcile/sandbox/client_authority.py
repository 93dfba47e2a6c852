"""A certificate authority for clients: issues certificates for listeners that verify clients, and for the clients."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY: Final = timedelta(days=1)
_YEAR: Final = 365 * DAY


class ClientAuthority:
    """A CA that signs clients' certificates. `pem` is its own certificate."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._begin = datetime.now(UTC).replace(microsecond=0) - 10 * DAY
        built = self._build(self._name, self._key.public_key(), self._begin + _YEAR)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = as_pem(built.sign(self._key, hashes.SHA256()))

    def issue(self, subject: x509.Name, end: timedelta = _YEAR) -> tuple[x509.Certificate, str]:
        """A client's certificate that expires `end` from now, and its key (PEM)."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(subject, key.public_key(), datetime.now(UTC) + end).sign(self._key, hashes.SHA256())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return made, secret.decode()

    def revoke(self, certificates: Iterable[x509.Certificate] = ()) -> str:
        """The revocation list with these certificates (PEM)."""
        now = datetime.now(UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        made = made.last_update(now - DAY).next_update(now + _YEAR)
        for item in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(item.serial_number)
            made = made.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

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


def as_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
