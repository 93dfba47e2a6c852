"""The role of another account that the tool assumes (STS AssumeRole)."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Role:
    """What STS AssumeRole is asked for. `arn` names the account, which is the only one that it leads to."""

    arn: str
    session_name: str
    external_id: str = ""
    session_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]
