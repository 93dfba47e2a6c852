"""The policies of `iam-policy`: each shipped spec is planned, made, changed, kept in sync and destroyed with exactly that."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.api.iam_policy import MOST, length, policy_documents
from alb_reconcile.cli.main import main
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.rollback import plan_rollback, roll_back
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.address import Address
from alb_reconcile.model.lookup import lookups_in
from alb_reconcile.model.text import physical_name
from alb_reconcile.sandbox.fixtures import make_others
from tests.harness import REGION, SPECS, Spec, demo, load, world
from tests.kinds.authorization import LOOKED_FOR, Guard, Request, is_allowed, types_of
from tests.kinds.test_nat_gateway import REGIONAL, ZONAL
from tests.specs.test_translated import FILES as TRANSLATED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from alb_reconcile.api.iam_policy import Command
    from alb_reconcile.aws.client import Aws
    from tests.harness import World

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
COMMANDS: tuple[Command, ...] = ("plan", "apply", "sync", "destroy")
KINDS = load_kinds()
OWN = sorted(SPECS.glob("*.yaml"))
QUICK = ("existing-vpc", "login")
EXISTING = SPECS / "existing-vpc.yaml"
FIRST = "iam:CreateServiceLinkedRole"
OF_EC2 = ("ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:GetSecurityGroupsForVpc")
VARIABLES = {
    "REGION": REGION, "EC2_SSH_KEY_NAME": "ops", "MY_IP": "198.51.100.7", "AWS_REGION": REGION,
    "TRUST_STORE": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:truststore/theirs/0a1b2c3d4e5f6071",
    "CERTIFICATE_ARN": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f",
}  # fmt: skip


def stem(file: Path) -> str:
    return file.stem


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
    for entry in spec.get("instances", {}).values():
        supply(there, entry.get("application", {}))
    there.clock.advance(60)
    return spec


def supply(there: World, application: dict[str, Any]) -> None:
    """Put there what an application names: its artifact, and its secrets in SSM."""
    if application:
        bucket, _, key = application["artifact"].removeprefix("s3://").partition("/")
        there.client("s3").create_bucket(Bucket=bucket)
        there.client("s3").put_object(Bucket=bucket, Key=key, Body=b"packed")
    for place in application.get("secrets", {}).values():
        there.client("ssm").put_parameter(
            Name=place.removeprefix("ssm:"), Value="secret", Type="SecureString", Overwrite=True
        )


def policies(spec: Spec, command: Command, without: str = "") -> list[dict[str, Any]]:
    """Those that are printed, but for one action."""
    found = policy_documents([load({"region": REGION, **spec}).target()], command)
    for statement in (item for document in found for item in document["Statement"]):
        statement["Action"] = [action for action in _list(statement["Action"]) if action != without]
    return found


def close(there: World, stack: str) -> bool:
    """Somebody takes the rules out of the stack's security groups; whether it has any."""
    ec2 = there.client("ec2")
    where = [{"Name": "tag:alb-reconcile:stack", "Values": [stack]}]
    groups = [item for item in ec2.describe_security_groups(Filters=where)["SecurityGroups"] if item["IpPermissions"]]
    for item in groups:
        ec2.revoke_security_group_ingress(GroupId=item["GroupId"], IpPermissions=item["IpPermissions"])
    return bool(groups)


@pytest.mark.parametrize(
    "file", [item if item.stem in QUICK else pytest.param(item, marks=pytest.mark.slow) for item in OWN], ids=stem
)
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


def test_a_deployment_and_a_rollback_need_less_than_an_apply() -> None:
    with world() as there:
        spec, after = demo(), demo()
        after["instances"]["web"] |= {
            "user_data": "#!/bin/sh\nnew\n",
            "rollout": {"strategy": "blue_green", "keep": "30m"},
        }
        there.converge(spec)
        guard = Guard(there)
        guard.documents = policies(after, "deploy")
        assert not there.apply(after).failures
        assert guard.denied == []
        guard.documents = policies(after, "rollback")

        async def main(aws: Aws) -> None:
            found = plan_rollback(load(after).target(), await discover(aws, "demo", load(after).desired))
            outcomes = await roll_back(Run(aws, "demo"), found, "2026-12-02T10:00:00Z", lambda _: None)
            assert {item.how for item in outcomes} == {"done"}

        there._run(main)
        assert guard.denied == []
        apply, deploy, rollback = (actions_in(policies(after, command)) for command in ("apply", "deploy", "rollback"))
        assert rollback < apply
        assert deploy < apply
        assert (
            not {"ec2:CreateVpc", "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:DeleteLoadBalancer"}
            & deploy
        )
        assert not {"ec2:RunInstances", "ec2:TerminateInstances"} & rollback


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


@pytest.mark.parametrize("file", [*OWN, *TRANSLATED], ids=stem)
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
    secrets = re.compile("ssm:Get(?!Parameters$)|secretsmanager:(Get|BatchGet)SecretValue|kms:Decrypt|.*[*]")
    assert command != "plan" or not [name for name in actions_in(many) if secrets.match(name)]
    parts = [item for document in many for item in document["Statement"]]
    # else no validation record would ever be deleted: one of another region may need it
    assert not [item for item in parts if "acm:ListCertificates" in _list(item["Action"]) and "Condition" in item]


def actions_in(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    return {name for document in documents for item in document["Statement"] for name in _list(item["Action"])}


def _list(values: Any) -> list[str]:
    return values if isinstance(values, list) else [values]


def test_destroying_is_nothing_that_sync_may_unless_its_spec_says_so() -> None:
    usual = actions_in(policies(demo(), "sync"))
    assert not [name for name in usual if re.search(":(Delete(?!Route$)|Terminate)", name)]
    assert {FIRST, *OF_EC2} <= usual
    trusting = {**demo(), "sync": {"correct": ["create", "update", "replace", "delete"]}}
    assert "ec2:TerminateInstances" in actions_in(policies(trusting, "sync"))
    reports = actions_in(policies({**demo(), "sync": {"report": ["create", "replace", "instance"]}}, "sync"))
    assert not {FIRST, *OF_EC2, "ec2:RunInstances"} & reports


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


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[dict[str, Any]], str]:
    """The policies that the command prints for a spec, and what it says beside."""
    assert main(["iam-policy", *options]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    return found if isinstance(found, list) else [found], told.err


def test_what_is_no_role_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam-policy", str(EXISTING), "--for", "apply", "--pass-role", "*"]) == 64
    assert "isn't a role's name" in capsys.readouterr().err


CHANGES_OF_BUCKETS = (
    "DeleteBucket", "DeleteBucketPolicy", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging",
    "PutLifecycleConfiguration",
)  # fmt: skip


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


def test_only_a_role_that_is_named_may_be_passed(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an entry's profile its own; of one that is only named the role of that name, as the console calls both, or which is given."""
    spec = {**demo(), "instance_profiles": {"app": {"session_manager": True}}}
    assert "iam:PassRole" not in actions_in(policies(demo(), "apply"))
    spec["instances"]["web"]["iam_instance_profile"] = "app"
    named, said = printed(capsys, str(EXISTING), "--for", "apply")
    assert "no spec says which role the instance profile orders-api has" in said
    assert "give its name with --pass-role" in said
    assert "role" not in printed(capsys, str(EXISTING), "--for", "plan")[1]
    given, said = printed(
        capsys, str(EXISTING), "--for", "sync", "--pass-role", "orders", "--pass-role", "orders-batch"
    )
    assert "instance profile" not in said
    for documents, passed, others in (
        (policies(spec, "apply"), [f"alb-reconcile/{REGION}/demo/demo-app-0a1b2c3d"], ["admin"]),
        (named, ["orders-api", "service-role/orders-api"], ["admin", "not-orders-api"]),
        (given, ["orders", "services/orders-batch"], ["orders-api"]),
    ):
        for role in (*passed, *others):
            arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
            for service in ("ec2", "lambda"):
                asked = Request("iam:PassRole", arn, {"iam:PassedToService": f"{service}.amazonaws.com"})
                assert is_allowed(documents, asked) == (role in passed and service == "ec2"), (role, service)


def s3(documents: Sequence[Mapping[str, Any]], action: str, resource: str, account: str = ACCOUNT) -> bool:
    context = {"aws:RequestedRegion": REGION, "s3:ResourceAccount": account}
    return is_allowed(documents, Request(f"s3:{action}", f"arn:aws:s3:::{resource}", context))


@pytest.mark.parametrize("command", ["apply", "sync", "destroy"])
def test_of_others_buckets_nothing_may_be_changed(command: Command) -> None:
    """Found: a stack called mutual-auth might delete what mutual-auth-certificates has, and prod what is in any bucket prod-…"""
    example = read(next(file for file in TRANSLATED if file.stem == "terraform-mutual-auth"))
    prod = {**demo(), "stack": "prod", "log_buckets": {"logs": {}}, "account_ids": [ACCOUNT]}
    for spec, name in ((example, "mutual-auth-certificates"), (prod, "prod-other")):
        documents = policies(spec, command)
        for object_ in ("ca_cert/RootCA.pem", f"AWSLogs/{ACCOUNT}/ELBAccessLogTestFile"):
            assert not s3(documents, "DeleteObject", f"{name}/{object_}")
        assert not [action for action in (*CHANGES_OF_BUCKETS, "ListBucket") if s3(documents, action, name)]


# -- what AWS asks of a caller beside the call's own permission


def applied(there: World, spec: Spec, without: str = "") -> Guard:
    """What IAM was asked when a spec was applied under its policy."""
    guard = Guard(there)
    guard.documents = policies(spec, "apply", without)
    assert bool(there.apply(spec).failures) == bool(without)
    assert {request.action for request in guard.denied} == ({without} if without else set())
    return guard


@pytest.mark.parametrize("spec", [demo(), REGIONAL], ids=["load balancer", "regional NAT gateway"])
def test_an_accounts_first_one_needs_a_role(spec: Spec) -> None:
    with world() as there:
        assert {FIRST, *(OF_EC2 if "load_balancers" in spec else ())} <= applied(there, spec).used
        there.destroy(spec)
        assert FIRST not in applied(there, spec).used, "the account has the role"
    with world() as there:
        applied(there, spec, without=FIRST)
    assert FIRST not in actions_in(policies(ZONAL, "apply"))
    # terraform-aws-modules/terraform-aws-iam#627: elasticloadbalancing.amazonaws.com.cn is no principal that has one
    assert "amazonaws.com.cn" not in str(policies({**spec, "region": "cn-north-1"}, "apply"))
