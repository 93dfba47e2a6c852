"""The role of another account that the tool assumes (STS AssumeRole)."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Role:
    """The parameters of STS AssumeRole. `arn` names the account, the only one that the role can reach."""

    arn: str
    session_name: str
    external_id: str = ""
    session_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]
