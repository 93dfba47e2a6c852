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
"""As long as ACM's are ("ACM certificate characteristics")."""
_LOCAL: Final = ("localhost", "127.0.0.1")
_NAME: Final = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Certificate(NamedTuple):
    """Two PEM files."""

    chain: Path
    key: Path


class Authority:
    """Signs what its `ca_file` (PEM) makes trusted. Both last as long as the object: a new one has a new key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._issued: dict[tuple[str, ...], Certificate] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def certify(self, names: Iterable[str]) -> Certificate:
        """The certificate for domain names, `*.` in front allowed, and always for localhost and 127.0.0.1.

        The same names get the same certificate. Those that no certificate can be for are left out.
        """
        wanted = [name for name in map(str.lower, names) if len(name) <= 253 and _NAME.fullmatch(name)]
        key = tuple(dict.fromkeys([*wanted, *_LOCAL]))
        if key not in self._issued:
            self._issued[key] = self._issue(key)
        return self._issued[key]

    def keep(self, chain: str, key: str) -> Certificate:
        """A certificate of somebody else's authority, with its key, in files."""
        stem = digest([chain, "imported"])
        files = Certificate(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        files.chain.write_text(chain)
        self._shut(files.key).write_text(key)
        return files

    @staticmethod
    def _shut(file: Path) -> Path:
        """A file that nobody else may read, before there is anything in it, also where it was there already."""
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
