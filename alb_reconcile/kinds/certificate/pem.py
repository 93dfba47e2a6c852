"""Reads certificates from files (PEM, X.509) as far as a plan needs them. A private key is read only for the call that takes it."""

import base64
import binascii
import hashlib
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

from alb_reconcile.model.files import read_file

MAX_FILE: Final = 2_097_152
"""Bytes of ACM's longest chain."""
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_RSA, _EC = "2a864886f70d010101", "2a8648ce3d0201"
_CURVES: Final = {"2a8648ce3d030107": "prime256v1", "2b81040022": "secp384r1", "2b81040023": "secp521r1"}
_COMMON_NAME, _ALTERNATIVE_NAMES = "550403", "551d11"
_UTC_TIME, _DNS_NAME, _VERSION, _EXTENSIONS = 0x17, 0x82, 0xA0, 0xA3


class PemError(ValueError):
    """A file holds no certificate that can be read; the text says why."""


class PemFile(str):
    """The certificates of a file, as a text with their digests. The places of the file and of the key's file are no difference."""

    folder: Path
    file: str
    key_file: str

    @classmethod
    def of(cls, data: bytes, folder: Path = Path(), file: str = "", key_file: str = "") -> Self:
        """The value for the certificates that a file, or AWS, has. Raises PemError."""
        made = cls(f"sha256:{' '.join(digests_of(data))}")
        made.folder, made.file, made.key_file = folder, file, key_file
        return made

    def shown_as(self, text: str) -> Self:
        """The same file, with the text of the certificates that AWS shows."""
        made = type(self)(text)
        made.folder, made.file, made.key_file = self.folder, self.file, self.key_file
        return made

    def read(self) -> bytes:
        """The content of the file. Raises OSError."""
        return read_file(self.folder / self.file, MAX_FILE)

    def read_key(self) -> bytes:
        """The private key, for the call at hand. Raises OSError."""
        return read_file(self.folder / self.key_file, MAX_FILE)


class PemCertificate(NamedTuple):
    """The content of a certificate. `names` are its domain names."""

    names: tuple[str, ...]
    key_algorithm: str
    not_before: datetime
    not_after: datetime


def blocks(data: bytes) -> list[bytes]:
    """The certificates of a file (DER). Raises PemError."""
    try:
        found = [base64.b64decode(b"".join(part.split()), validate=True) for part in _BLOCK.findall(data)]
    except binascii.Error:
        found = []
    if not found:
        raise PemError("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    return found


def digests_of(data: bytes) -> tuple[str, ...]:
    """A short digest of each certificate of a file, in their order. Raises PemError."""
    return tuple(hashlib.sha256(part).hexdigest()[:16] for part in blocks(data))


def read_certificate(data: bytes) -> PemCertificate:
    """The first certificate of a file. Raises PemError."""
    try:
        return _parse(blocks(data)[0])
    except (IndexError, KeyError, UnicodeDecodeError, StopIteration) as error:
        raise PemError("holds a certificate that can't be read") from error


def key_mistake(certificate: Path, key: Path) -> str:
    """Why a private key isn't the certificate's, or can't be imported; empty if it can."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password=_refuse)
    except ssl.SSLError as error:
        if "MISMATCH" in str(error):
            return "isn't the key of that certificate; name the two that belong together"
        return "holds no private key in PEM that can be read"
    except _EncryptedError:
        return "is encrypted, and ACM takes none that is; write it without a passphrase"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return ""


class _EncryptedError(Exception):
    pass


def _refuse() -> str:
    raise _EncryptedError


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents of the elements in a sequence (DER)."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            length, place = int.from_bytes(data[place : place + count]), place + count
        if place + length > len(data):
            raise IndexError
        yield tag, data[place : place + length]
        place += length


def _parse(der: bytes) -> PemCertificate:
    ((_, whole),) = list(_items(der))[:1]
    parts = [item for item in _items(next(_items(whole))[1]) if item[0] != _VERSION]
    validity, subject, key = parts[3][1], parts[4][1], parts[5][1]
    begin, end = (_time(tag, text) for tag, text in _items(validity))
    names = tuple(_alternative_names(next((text for tag, text in parts[6:] if tag == _EXTENSIONS), b"")))
    return PemCertificate(names or tuple(_common_names(subject)), _algorithm(key), begin, end)


def _time(tag: int, text: bytes) -> datetime:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    try:
        return datetime.strptime(text.decode(), form).replace(tzinfo=UTC)
    except ValueError:
        raise IndexError from None


def _common_names(subject: bytes) -> Iterator[str]:
    for _, relative in _items(subject):
        for _, pair in _items(relative):
            (_, oid), (_, value) = _items(pair)
            if oid.hex() == _COMMON_NAME:
                yield value.decode().lower()


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for _, every in _items(extensions):
        for _, extension in _items(every):
            parts = list(_items(extension))
            if parts[0][1].hex() == _ALTERNATIVE_NAMES:
                ((_, names),) = _items(parts[-1][1])
                yield from (text.decode().lower() for tag, text in _items(names) if tag == _DNS_NAME)


def _algorithm(key: bytes) -> str:
    """ACM's name of a key's algorithm; empty for an algorithm that ACM doesn't take."""
    (_, algorithm), (_, bits) = _items(key)
    kind, *more = (text for _, text in _items(algorithm))
    if kind.hex() == _EC and more:
        return f"EC_{curve}" if (curve := _CURVES.get(more[0].hex())) else ""
    if kind.hex() == _RSA:
        ((_, numbers),) = _items(bits[1:])
        return f"RSA_{int.from_bytes(next(_items(numbers))[1]).bit_length()}"
    return ""
