"""The local certificate authority, and the certificates that it issues for HTTPS listeners."""

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import trustme

from alb_reconcile.model.text import digest

_VALID: Final = timedelta(days=198)
"""How long certificates are valid: as long as ACM's ("ACM certificate characteristics")."""
_LOCAL: Final = ("localhost", "127.0.0.1")
_NAME: Final = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Certificate(NamedTuple):
    """The PEM files of a certificate chain and its key."""

    chain: Path
    key: Path


class Authority:
    """A CA; its certificate is in `ca_file` (PEM). Each object has a new key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._issued: dict[tuple[str, ...], Certificate] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def certify(self, names: Iterable[str]) -> Certificate:
        """A certificate for domain names, which may begin with `*.`, and always for localhost and 127.0.0.1.

        The same names get the same certificate. Names that a certificate can't contain are left out.
        """
        wanted = [name for name in map(str.lower, names) if len(name) <= 253 and _NAME.fullmatch(name)]
        key = tuple(dict.fromkeys([*wanted, *_LOCAL]))
        if key not in self._issued:
            self._issued[key] = self._issue(key)
        return self._issued[key]

    def keep(self, chain: str, key: str) -> Certificate:
        """Write another CA's certificate, and its key, to files."""
        stem = digest([chain, "imported"])
        files = Certificate(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        files.chain.write_text(chain)
        self._shut(files.key).write_text(key)
        return files

    @staticmethod
    def _shut(file: Path) -> Path:
        """Make a file that no other user may read, or restrict an existing one, before anything secret is written to it."""
        file.touch(mode=0o600)
        file.chmod(0o600)
        return file

    def _issue(self, names: tuple[str, ...]) -> Certificate:
        issued = self._authority.issue_cert(*names, not_after=datetime.now(UTC) + _VALID)
        stem = digest(list(names))
        files = Certificate(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        for part in issued.cert_chain_pems:
            part.write_to_path(files.chain, append=part is not issued.cert_chain_pems[0])
        issued.private_key_pem.write_to_path(os.fspath(self._shut(files.key)))
        return files
