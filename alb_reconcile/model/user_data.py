"""What an instance runs at its first boot."""

from __future__ import annotations

from dataclasses import dataclass, field

from alb_reconcile.model.text import digest


@dataclass(frozen=True)
class UserData:
    """What an instance runs at its first boot. It may hold secrets: only the digest is ever compared or shown."""

    digest: str
    content: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, content: bytes) -> UserData:
        """User data with its content."""
        return cls(digest(content.hex(), 16), content)

    def __str__(self) -> str:
        return f"sha256:{self.digest}"
