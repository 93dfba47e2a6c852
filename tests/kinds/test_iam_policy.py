"""The policies of `iam-policy`: each shipped spec is planned, made, changed, kept in sync and destroyed with exactly that."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.api.iam_policy import MOST, length, policy_documents
from alb_reconcile.cli.main import main
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import ReconcileError, RefusedError
from alb_reconcile.model.lookup import lookups_in
from alb_reconcile.model.text import physical_name
from alb_reconcile.sandbox.others import make_others
from tests.at_length import SOAK
from tests.harness import REGION, SPECS, Spec, demo, load, world
from tests.kinds.authorization import LOOKED_FOR, Guard, Request, is_allowed, types_of
from tests.specs.test_translated import FILES as TRANSLATED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from alb_reconcile.api.iam_policy import Command
    from alb_reconcile.model.desired_stack import DesiredStack
    from tests.harness import World

ACCOUNT = "123456789012"
COMMANDS: tuple[Command, ...] = ("plan", "apply", "sync", "destroy")
KINDS = load_kinds()
OWN = sorted(SPECS.glob("*.yaml"))
VARIABLES = {
    "REGION": REGION, "EC2_SSH_KEY_NAME": "ops", "MY_IP": "198.51.100.7", "AWS_REGION": REGION,
    "TRUST_STORE": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:truststore/theirs/0a1b2c3d4e5f6071",
    "CERTIFICATE_ARN": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f",
}  # fmt: skip


def read(file: Path) -> Spec:
    """A shipped spec as plain data, with the tests' variables."""
    text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: VARIABLES.get(found[1], found[2] or ""), file.read_text())
    spec: Spec = yaml.safe_load(text)
    return spec


def ready(there: World, file: Path) -> Spec:
    """The same in a world that has what it names of others."""
    spec = read(file)
    wanted = load(spec).desired.values()
    found = {item for each in wanted for item in lookups_in(each.state)}
    names = ("kind", "parameter", "many", "words", "domain")
    lookups = [{"tags": dict(item.tags), **{name: getattr(item, name) for name in names}} for item in found]
    states = json.loads(json.dumps([asdict(item.state) for item in wanted], default=str))
    make_others(there.strict, REGION, states, lookups)
    there.clock.advance(60)
    return spec


def target(spec: Spec) -> DesiredStack:
    return load({"region": REGION, **spec}).target()


def policies(spec: Spec, command: Command) -> list[dict[str, Any]]:
    return policy_documents([target(spec)], command)


def close(there: World, stack: str) -> bool:
    """Somebody takes the rules out of the stack's security groups; whether it has any."""
    ec2 = there.client("ec2")
    where = [{"Name": "tag:alb-reconcile:stack", "Values": [stack]}]
    groups = [item for item in ec2.describe_security_groups(Filters=where)["SecurityGroups"] if item["IpPermissions"]]
    for item in groups:
        ec2.revoke_security_group_ingress(GroupId=item["GroupId"], IpPermissions=item["IpPermissions"])
    return bool(groups)


@pytest.mark.parametrize("file", OWN if SOAK else OWN[:3:2], ids=lambda file: file.stem)
def test_its_policies_are_enough(file: Path) -> None:
    """Those of specs/examples/ are tried in tests/specs/test_translated.py."""
    with world() as there:
        spec = ready(there, file)
        guard = Guard(there)
        guard.documents = policies(spec, "apply")
        result = there.apply(spec)
        assert guard.denied == []
        assert not result.failures
        guard.documents = policies(spec, "plan")
        assert there.plan(spec).is_empty
        assert guard.denied == []
        spec["tags"] = {**spec.get("tags", {}), "changed": "yes"}  # all that carries tags is changed
        guard.documents = policies(spec, "apply")
        assert not there.apply(spec).failures
        assert guard.denied == []
        guard.documents = policies(spec, "sync")
        lost = close(there, spec["stack"])
        assert bool(there.sync(spec).outcomes) == lost
        assert there.plan(spec).is_empty
        assert guard.denied == []
        guard.documents = policies(spec, "destroy")
        result = there.apply(spec, destroy=True, allow={"lift-protection": 1})
        assert {request.action for request in guard.denied} <= LOOKED_FOR
        assert not result.failures


def test_a_round_may_take_out_the_target_of_an_instance_that_has_gone() -> None:
    """Found: the target of an instance that somebody has just terminated is taken out, which the policy of `sync` didn't allow."""
    with world() as there:
        spec = demo()
        there.converge(spec)
        ids = there.plan(spec).ids
        guard = Guard(there)
        guard.documents = policies(spec, "sync")
        there.client("ec2").terminate_instances(InstanceIds=[ids[Address("instance", "web-2")]])
        assert not [item for item in there.sync(spec).outcomes if item.how != "done"]
        assert guard.denied == []
        assert "deregister_targets" in [name for name, _ in there.log]


@pytest.mark.parametrize("file", [*OWN, *TRANSLATED], ids=lambda file: file.stem)
def test_nothing_of_others_may_be_changed(file: Path) -> None:
    """What has no tag of the stack, and isn't named by its spec, is nobody's to change; nor does tagging it help."""
    spec = read(file)
    documents = policies(spec, "apply")
    context = {"aws:RequestedRegion": REGION, "aws:RequestTag/alb-reconcile:stack": spec["stack"]}
    other = {**context, "aws:ResourceTag/alb-reconcile:stack": "theirs"}
    free = {
        (action, item.rstrip("*"))
        for kind in KINDS.values()
        for action, text in kind.iam_actions.on.items()
        for item in text.split()
        if item.endswith("*")
    }
    free.add(("ec2:RunInstances", "image"))  # AWS's own have no tags
    for action in sorted(actions_in(documents)):
        service, _, name = action.partition(":")
        if service not in ("ec2", "elasticloadbalancing") or name.startswith(("Describe", "Get")):
            continue
        for kind, (_, by_request, by_own) in types_of(action).items():
            is_made = (
                by_request
                and name.startswith(("Create", "Run", "Allocate", "Import"))
                and (service != "ec2" or not by_own)
            )
            if (action, kind) in free or (is_made and name != "CreateTags"):
                continue
            theirs = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}/theirs/1"
            assert not is_allowed(documents, Request(action, theirs, context)), (action, kind)
            assert not is_allowed(documents, Request(action, theirs, other)), (action, kind)


def test_a_stack_of_another_name_is_left_alone() -> None:
    with world() as there:
        there.converge(demo())
        guard = Guard(there)
        guard.documents = policies({**demo(), "stack": "other"}, "destroy")
        before = there.strict.inventory()
        with pytest.raises(ReconcileError, match="not authorized"):
            there.apply(demo(), destroy=True)
        assert there.strict.inventory() == before
        looks = {"Effect": "Allow", "Action": "ec2:DescribeInstanceAttribute", "Resource": "*"}
        guard.documents = [*policies({**demo(), "stack": "other"}, "apply"), {"Statement": [looks]}]
        with pytest.raises(RefusedError, match="may not"):  # EC2's dry runs say so before anything is changed
            there.apply(demo(), destroy=True)
        there.apply(demo(), destroy=True, check=False)
        assert there.strict.inventory() == before


@pytest.mark.parametrize("file", [*OWN, *TRANSLATED], ids=lambda file: file.stem)
def test_what_plans_reads_no_secret(file: Path) -> None:
    """Whatever key encrypts a parameter: `aws/ssm` decrypts for everybody in the account who may read it. What SSM tells a plan are
    ids, of which each parameter is named."""
    spec = read(file)
    documents = policies(spec, "plan")
    says = re.compile("ssm:Get(?!Parameters$)|secretsmanager:(Get|BatchGet)SecretValue|kms:Decrypt|.*[*]")
    assert not [action for action in actions_in(documents) if says.match(action)]
    named = [item for document in documents for item in document["Statement"] if "ssm:GetParameters" in item["Action"]]
    secrets = {
        secret.name
        for item in load(spec).desired.values()
        if (action := action_of(item.state)).authentication and (secret := action.authentication.client_secret)
    }
    for resource in (resource for item in named for resource in _list(item["Resource"])):
        name = resource.partition(":parameter/")[2]
        assert name
        assert "*" not in name
        assert name not in {secret.removeprefix("/") for secret in secrets}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_policy_is_as_aws_takes_it(command: Command) -> None:
    stacks = [load(read(file)).target() for file in (*OWN, *TRANSLATED)]
    many = policy_documents(stacks, command)
    assert many == policy_documents(stacks, command)
    for document in many:
        assert set(document) == {"Version", "Statement"}
        assert length(document["Statement"]) <= MOST
        for statement in document["Statement"]:
            assert set(statement) - {"Condition"} == {"Effect", "Action", "Resource"}
            assert statement["Action"]
            assert statement["Resource"]
            assert all(values for tests in statement.get("Condition", {}).values() for values in tests.values())
            for resource in _list(statement["Resource"]):
                assert resource == "*" or re.fullmatch(
                    r"arn:aws:[a-z0-9-]+:[a-z0-9-]*:(\*|\d{12}|aws)?:[^\s]+", resource
                )
    changing = {name for name in actions_in(many) if not re.search(":(Describe|List|Get)", name)}
    assert (command == "plan") == (not changing)


def actions_in(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    return {name for document in documents for item in document["Statement"] for name in _list(item["Action"])}


def _list(values: Any) -> list[str]:
    return values if isinstance(values, list) else [values]


def test_destroying_is_nothing_that_sync_may_unless_its_spec_says_so() -> None:
    assert not [
        name for name in actions_in(policies(demo(), "sync")) if re.search(":(Delete(?!Route$)|Terminate)", name)
    ]
    trusting = {**demo(), "sync": {"correct": ["create", "update", "replace", "delete"]}}
    assert "ec2:TerminateInstances" in actions_in(policies(trusting, "sync"))
    assert "ec2:RunInstances" not in actions_in(
        policies({**demo(), "sync": {"report": ["create", "instance"]}}, "sync")
    )


def test_a_lease_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "stack.yaml"
    spec.write_text(yaml.dump({"account_ids": [ACCOUNT], "lease": "s3://locks/prod", **demo()}))
    assert main(["iam-policy", str(spec), "--for", "sync"]) == 0
    document = json.loads(capsys.readouterr().out)
    documents = document if isinstance(document, list) else [document]
    found = [item for part in documents for item in part["Statement"] if "s3:PutObject" in item["Action"]]
    assert found == [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::locks/prod/{ACCOUNT}-us-east-1-demo.json"}
    ]  # fmt: skip
    assert [item for part in documents for item in part["Statement"] if "s3:ListBucket" in item["Action"]] == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::locks"}
    ]
    assert main(["iam-policy", str(spec), "--for", "plan"]) == 0
    assert "s3:" not in capsys.readouterr().out


def test_too_much_for_one_policy_is_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam-policy", str(SPECS / "private.yaml"), "--for", "apply"]) == 0
    told = capsys.readouterr()
    documents = json.loads(told.out)
    assert len(documents) == 2
    assert (
        "note: a list of 2 policies, since AWS takes 6,144 characters in one: make each a policy (jq -c '.[]' prints"
        in told.err
    )


@pytest.mark.parametrize("command", ["status", "verify"])
def test_what_only_reads_is_allowed_what_plan_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for name in ("plan", command):
        assert main(["iam-policy", str(SPECS / "demo.yaml"), "--for", name]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]


def test_a_loop_of_the_page_makes_each_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With whatever stands for `aws`."""
    if shutil.which("jq") is None:
        pytest.skip("jq isn't installed")
    page = (SPECS.parent / "docs" / "iam.md").read_text()
    (loop,) = re.findall(r"^jq .+?^done$", page, re.M | re.S)
    for spec, many in (("private", 2), ("demo", 1)):
        assert main(["iam-policy", str(SPECS / f"{spec}.yaml"), "--for", "apply"]) == 0
        (tmp_path / "policy.json").write_text(capsys.readouterr().out)
        script = f'aws() {{ printf "%s\\n" "$6"; }}\n{loop}'
        made = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        assert [json.loads(line)["Version"] for line in made.splitlines()] == ["2012-10-17"] * many


def test_what_is_looked_up_may_be_read() -> None:
    spec = read(SPECS / "existing-vpc.yaml")
    spec["target_groups"]["api"]["vpc"] = {"ssm": "/net/vpc"}
    https = {
        "protocol": "HTTPS",
        "port": 443,
        "certificate_arn": {"domain": "api.example.com"},
        "default_action": {"forward": "api"},
    }
    spec["load_balancers"]["internal"]["listeners"] = {"https": https}
    documents = policies(spec, "plan")
    context = {"aws:RequestedRegion": REGION}
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/net/vpc"
    assert is_allowed(documents, Request("ssm:GetParameters", parameter, context))
    assert is_allowed(documents, Request("acm:ListCertificates", "*", context))
    assert is_allowed(
        documents, Request("acm:DescribeCertificate", f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1", context)
    )
    by_tags = {"aws:ResourceTag/Network": "shared", "aws:ResourceTag/Tier": "private"}
    subnet = f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-1"
    assert is_allowed(policies(spec, "apply"), Request("ec2:RunInstances", subnet, context | by_tags))
    assert not is_allowed(policies(spec, "apply"), Request("ec2:DeleteSubnet", subnet, context | by_tags))


def test_only_the_role_that_is_named_may_be_passed() -> None:
    own = {"instance_profiles": {"app": {"session_manager": True}}}
    spec = {**demo(), **own}
    spec["instances"]["web"]["iam_instance_profile"] = "app"
    documents = policies(spec, "apply")
    context = {"iam:PassedToService": "ec2.amazonaws.com"}
    role = f"arn:aws:iam::{ACCOUNT}:role/alb-reconcile/{REGION}/demo/demo-app-0a1b2c3d"
    assert is_allowed(documents, Request("iam:PassRole", role, context))
    assert not is_allowed(documents, Request("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", context))
    assert not is_allowed(documents, Request("iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"}))
    assert "iam:PassRole" not in actions_in(policies(demo(), "apply"))


EXISTING = SPECS / "existing-vpc.yaml"
PASSED = {"iam:PassedToService": "ec2.amazonaws.com"}


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[dict[str, Any]], str]:
    """The policies that the command prints for a spec, and what it says beside."""
    assert main(["iam-policy", *options]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    return found if isinstance(found, list) else [found], told.err


def may_pass(documents: list[dict[str, Any]], role: str) -> bool:
    return is_allowed(documents, Request("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{role}", PASSED))


def test_of_a_profile_that_is_only_named_the_role_of_that_name_may_be_passed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the console calls both; of any other role it is told what to give."""
    documents, said = printed(capsys, str(EXISTING), "--for", "apply")
    assert may_pass(documents, "orders-api")
    assert may_pass(documents, "service-role/orders-api")
    assert not may_pass(documents, "admin")
    assert not may_pass(documents, "not-orders-api")
    assert "no spec says which role the instance profile orders-api has" in said
    assert "give its name with --pass-role" in said
    for command in ("plan", "destroy"):
        assert "role" not in printed(capsys, str(EXISTING), "--for", command)[1]


def test_a_role_that_is_given_may_be_passed_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--pass-role", "orders", "--pass-role", "orders-batch")
    documents, said = printed(capsys, str(EXISTING), "--for", "sync", *given)
    assert may_pass(documents, "orders")
    assert may_pass(documents, "services/orders-batch")
    assert not may_pass(documents, "orders-api")
    assert "instance profile" not in said


@pytest.mark.parametrize("role", ["*", f"arn:aws:iam::{ACCOUNT}:role/orders", "services/orders", "a role"])
def test_what_is_no_role_is_refused(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam-policy", str(EXISTING), "--for", "apply", "--pass-role", role]) == 64
    assert "isn't a role's name" in capsys.readouterr().err


def s3(documents: Sequence[Mapping[str, Any]], action: str, resource: str, account: str = ACCOUNT) -> bool:
    context = {"aws:RequestedRegion": REGION, "s3:ResourceAccount": account}
    return is_allowed(documents, Request(f"s3:{action}", f"arn:aws:s3:::{resource}", context))


CHANGES_OF_BUCKETS = (
    "DeleteBucket", "DeleteBucketPolicy", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging",
    "PutLifecycleConfiguration",
)  # fmt: skip


def test_of_others_buckets_nothing_may_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """Found: a stack called mutual-auth might delete what mutual-auth-certificates has, and prod what is in any bucket prod-…"""
    example = next(file for file in TRANSLATED if file.stem == "terraform-mutual-auth")
    prod = {**demo(), "stack": "prod", "log_buckets": {"logs": {}}, "account_ids": [ACCOUNT]}
    for command in ("apply", "sync", "destroy"):
        named, _ = printed(capsys, str(example), "--for", command)
        for documents, name in ((named, "mutual-auth-certificates"), (policies(prod, command), "prod-other")):
            assert not s3(documents, "DeleteObject", f"{name}/ca_cert/RootCA.pem")
            assert not s3(documents, "DeleteObject", f"{name}/AWSLogs/{ACCOUNT}/ELBAccessLogTestFile")
            assert not [action for action in (*CHANGES_OF_BUCKETS, "ListBucket") if s3(documents, action, name)]


def test_a_log_bucket_may_be_changed_in_the_stacks_account_and_its_logs_stay() -> None:
    long = "l" * 60
    buckets = {"logs": {}, long: {}, "front": {"name": "our-logs"}}
    spec = {**demo(), "log_buckets": buckets, "account_ids": [ACCOUNT]}
    apply, destroy = policies(spec, "apply"), policies(spec, "destroy")
    cut = physical_name("demo", f"log_bucket.{long}", [ACCOUNT, REGION], "", 63)
    for name in ("demo-logs-0a1b2c3d", "our-logs", "demo-front-0a1b2c3d", cut):
        for action in CHANGES_OF_BUCKETS:
            assert s3([*apply, *destroy], action, name)
            assert not s3([*apply, *destroy], action, name, account="999999999999")
        assert s3(destroy, "DeleteObject", f"{name}/front/AWSLogs/{ACCOUNT}/ELBAccessLogTestFile")
        assert not s3(destroy, "DeleteObject", f"{name}/AWSLogs/{ACCOUNT}/elasticloadbalancing/a.log.gz")


def test_certificates_are_listed_in_every_region() -> None:
    """Else no validation record would ever be deleted: one of another region may need it."""
    spec = {**demo(), "certificates": {"api": {"domain_name": "api.example.com", "zone": "example.com"}}}
    told = [
        item
        for document in policies(spec, "destroy")
        for item in document["Statement"]
        if "acm:ListCertificates" in ([item["Action"]] if isinstance(item["Action"], str) else item["Action"])
    ]
    assert told
    assert not [item for item in told if "Condition" in item]
