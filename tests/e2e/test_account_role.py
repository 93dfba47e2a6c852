"""`make test-aws` under a role that has exactly the printed policy, which a proxy asks the sandbox's IAM about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.account.__main__ import main
from tests.account.place import Place
from tests.account.role import COMMANDS
from tests.e2e.test_account import NAMED, NETWORK, quietly
from tests.e2e.tool import client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

pytestmark = pytest.mark.slow

SIGNED = re.compile(r"Credential=([^/]+)/[0-9]+/[a-z0-9-]+/([a-z0-9-]+)/")
OWNER = "testing"
DENIED = (
    "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not {}</Message></Error></Errors></Response>"
)
NO = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not {}</Message></Error></ErrorResponse>"


class Policies:
    """Lets the owner do all but what is `denied`, and a role what one of its policies names: the resources and conditions are compared
    in tests/kinds/test_iam_actions.py."""

    def __init__(self, port: int) -> None:
        self.port, self.denied = port, set[str]()
        self.used: dict[str, set[str]] = {}
        """The actions of each role."""
        self._allowed: dict[str, tuple[str, set[str]]] = {}

    def refusal(self, authorization: str, operation: str, _body: bytes) -> tuple[int, bytes] | None:
        signed = SIGNED.search(authorization)
        if signed is None or signed[2] not in ("ec2", "elasticloadbalancing", "iam"):
            return None
        action = f"{signed[2]}:{operation}"
        if signed[1] == OWNER:
            is_allowed = action not in self.denied
        else:
            role, actions = self._of(signed[1])
            self.used.setdefault(role, set()).add(action)
            is_allowed = action in actions
        form = DENIED if signed[2] == "ec2" else NO
        return None if is_allowed else (403, form.format(action).encode())

    def _of(self, key: str) -> tuple[str, set[str]]:
        if key not in self._allowed:
            iam = client("iam", self.port)
            (role,) = [item["RoleName"] for item in iam.list_roles()["Roles"]]
            self._allowed[key] = role, set(self._actions(iam, role))
        return self._allowed[key]

    def _actions(self, iam: Any, role: str) -> list[str]:
        found = list[str]()
        for item in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            document = iam.get_policy_version(PolicyArn=item["PolicyArn"], VersionId="v1")["PolicyVersion"]["Document"]
            for statement in document["Statement"]:
                found += [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        return found


@pytest.fixture
def policies(proxied: tuple[Proxy, Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Policies:
    """The sandbox is AWS, as far as the program can tell."""
    proxy, tool = proxied
    environment = tool.environment | NAMED
    environment |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_port}"}
    environment |= {"AWS_ACCESS_KEY_ID": OWNER, "AWS_SECRET_ACCESS_KEY": OWNER}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Place, "real", lambda _self, seconds: seconds / 600)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(NETWORK)
    found = Policies(proxy.upstream)
    proxy.refuses = found
    return found


def left_in_iam(port: int) -> list[Any]:
    iam = client("iam", port)
    return [*iam.list_roles()["Roles"], *iam.list_policies(Scope="Local")["Policies"]]


def test_a_stack_lives_under_the_printed_policy(
    policies: Policies, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    before = account.census()
    assert main(["try", "--yes", "./small.yaml"], quietly) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert said.count("removed: policy") == len(COMMANDS)
    assert "removed: role alb-reconcile-test-small-" in said
    assert {"ec2:CreateVpc", "ec2:DeleteSubnet"} <= set().union(*policies.used.values())
    assert left_in_iam(policies.port) == []
    assert account.census() == before


def test_a_permission_that_isnt_printed_is_missed(
    policies: Policies, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    before = account.census()

    def forgetful(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
        code, said = quietly(arguments, folder, given)
        return code, said.replace("ec2:CreateSubnet", "ec2:DeleteSubnet") if arguments[0] == "iam-policy" else said

    assert main(["try", "--yes", "./small.yaml"], forgetful) == 1
    assert "not ec2:CreateSubnet" in capsys.readouterr().err
    assert left_in_iam(policies.port) == []
    assert account.census() == before
