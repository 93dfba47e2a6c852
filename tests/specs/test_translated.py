"""`specs/examples/`: what others document for their tools is made, stable and destroyed here, on the strict AWS, under its own policies."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.sandbox.client_authority import ClientAuthority
from alb_reconcile.sandbox.fixtures import make_others
from alb_reconcile.spec.stack import load_stack
from tests.harness import REGION, SPECS, Spec, by_hand, load, world
from tests.kinds.authorization import LOOKED_FOR, Guard
from tests.kinds.hand import LINUX_1

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import World

pytestmark = pytest.mark.slow

FILES = sorted((SPECS / "examples").glob("*.yaml"))
UNUSED = "no listener or rule forwards to it"
UNANSWERED = ("192.168.0.10", "10.0.0.20")
"""Addresses of Ansible's examples, which are nobody's here."""
AUTHORITY = ClientAuthority("somebody's clients")


def test_there_is_one_for_each_source() -> None:
    assert [file.stem for file in FILES] == [
        "ansible", "cloudformation", "kubernetes-ingress", "terraform-complete", "terraform-mutual-auth"
    ]  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_valid_without_a_variable(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGION", "INSTANCE_1", "INSTANCE_2", "TRUST_STORE", "CA_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    stack = load_stack(str(file))
    warnings = [item.message for item in stack.warnings]
    # the module's example has a function that nothing leads to
    told = {"terraform-complete": [UNUSED], "cloudformation": ["checked is sticky"]}.get(file.stem, [])
    assert len(warnings) == len(told)
    assert all(part in text for part, text in zip(told, warnings, strict=True))


def read(file: Any, variables: Mapping[str, str]) -> Spec:
    """As plain data, with these variables or the defaults."""
    text = file.read_text(encoding="utf-8")
    filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)
    spec: Spec = yaml.safe_load(filled)
    return spec


def bucket(name: str, **objects: str) -> None:
    """Somebody's, with these objects."""
    by_hand("s3").create_bucket(Bucket=name)
    for key, body in objects.items():
        by_hand("s3").put_object(Bucket=name, Key=key, Body=body.encode())


def secret(name: str, text: str) -> None:
    """Somebody's; the sandbox has made it already where a spec names it as it is."""
    try:
        by_hand("secretsmanager").create_secret(Name=name, SecretString=text)
    except by_hand("secretsmanager").exceptions.ResourceExistsException:
        by_hand("secretsmanager").put_secret_value(SecretId=name, SecretString=text)


def prepare(there: World, file: Any) -> Spec:
    """Makes what the spec names and doesn't declare."""
    theirs = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:truststore/theirs/0a1b2c3d4e5f6071"
    spec = read(file, {"REGION": REGION, "TRUST_STORE": theirs})
    states = json.loads(json.dumps([asdict(item.state) for item in load(spec).desired.values()], default=str))
    make_others(there.strict, REGION, states, [])
    variables = {"REGION": REGION}
    bucket("mutual-auth-certificates", **{"ca_cert/RootCA.pem": AUTHORITY.pem, "crl/crl.pem": AUTHORITY.revoke()})
    by_hand("ssm").put_parameter(
        Name="/complete/client-secret", Value="client_secret", Type="SecureString", Overwrite=True
    )
    for name, key in (("my-k8s-secret", "clientSecret"), ("cloudformation/oidc", "client_secret")):
        secret(name, json.dumps({key: "client_secret"}))
    if file.stem == "kubernetes-ingress":
        store = by_hand("elbv2").create_trust_store(
            Name="theirs", CaCertificatesBundleS3Bucket="mutual-auth-certificates",
            CaCertificatesBundleS3Key="ca_cert/RootCA.pem",
        )  # fmt: skip
        variables["TRUST_STORE"] = store["TrustStores"][0]["TrustStoreArn"]
    if "INSTANCE_1" in file.read_text(encoding="utf-8"):
        subnet = next(iter(spec["load_balancers"].values()))["subnets"][0]
        made = by_hand("ec2").run_instances(ImageId=LINUX_1, SubnetId=subnet, MinCount=2, MaxCount=2)["Instances"]
        variables |= {f"INSTANCE_{number}": item["InstanceId"] for number, item in enumerate(made, 1)}
    there.clock.advance(60)
    return read(file, variables)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_made_stable_and_destroyed_without_a_rest(file: Any) -> None:
    with world() as there:
        spec = prepare(there, file)
        before = there.strict.inventory().keys()
        guard = Guard(there)
        guard.documents = policy_documents([load(spec).target()], "apply")
        result = there.apply(spec)
        assert not result.failures
        assert guard.denied == []
        assert result.rest
        assert result.rest.is_empty
        assert [text for text in result.problems if not any(address in text for address in UNANSWERED)] == []
        guard.documents = policy_documents([load(spec).target()], "destroy")
        destroyed = there.destroy(spec)
        assert {request.action for request in guard.denied} <= LOOKED_FOR
        assert destroyed.plan.count()["delete"] == result.plan.count()["create"], "one way to count"
        assert there.strict.inventory().keys() == before
