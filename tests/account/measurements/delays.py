"""Measurements of how long AWS takes, and of what it takes at all, where load balancers and instances are made and removed."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.account.bench import answer
from tests.account.inventory import PATH
from tests.account.measurements.measurement import Measurement, measurement
from tests.account.measurements.resources import https, imported, launch

if TYPE_CHECKING:
    from tests.account.answers import Facts
    from tests.account.bench import Bench

ALL: list[Measurement] = []
_alone = partial(measurement, on_service=False, into=ALL)
_on_service = partial(measurement, on_service=True, into=ALL)
SERVICE_ROLE = "AWSServiceRoleForElasticLoadBalancing"
LET_GO = 3600.0
MANY = 5


@_alone(balancers=1)
def first_load_balancer(bench: Bench) -> Facts:
    """What does CreateLoadBalancer answer in an account without the service-linked role, and is the role there then?"""
    look = partial(bench.tool.place.client("iam").get_role, RoleName=SERVICE_ROLE)
    if answer(look) == "accepted":
        return {}  # it is never deleted
    own = {"Subnets": bench.pair, "Scheme": "internal", "Tags": bench.tags, "Name": f"test-{bench.run}-first"}
    told = bench.until_taken(partial(bench.elb.create_load_balancer, **own), patience=300, poll=5)
    return {"CreateLoadBalancer": told, "GetRole then": answer(look)}


@_on_service(instances=5)
def unknown_after_create(bench: Bench) -> Facts:
    """For how long don't CreateTags and RunInstances know what was created just before?"""
    iam, name = bench.tool.place.client("iam"), f"test-{bench.run}-unknown"
    found = launch(bench, f"{name}-tags", SubnetId=bench.pair[0])[0]["InstanceId"]
    tag = [{"Key": "later", "Value": "yes"}]
    facts = {
        "CreateTags of an instance": bench.until_taken(partial(bench.ec2.create_tags, Resources=[found], Tags=tag))
    }
    bench.ec2.terminate_instances(InstanceIds=[found])

    def launched(what: str, **changed: Any) -> None:
        number = iter(range(10_000))

        def call() -> None:  # a refused token isn't used again
            found = launch(bench, f"{name}-{what}-{next(number)}", **{"SubnetId": bench.pair[0], **changed})
            bench.ec2.terminate_instances(InstanceIds=[found[0]["InstanceId"]])

        facts[f"RunInstances with {what}"] = bench.until_taken(call)

    public = ed25519.Ed25519PrivateKey.generate().public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    tagged = bench.tagged("key-pair")
    bench.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public.public_bytes(*form), TagSpecifications=tagged)
    launched("a key pair", KeyName=name)
    own = {"VpcId": bench.vpc, "TagSpecifications": bench.tagged("security-group")}
    group = bench.ec2.create_security_group(GroupName=name, Description="a measurement", **own)["GroupId"]
    launched("a security group", SecurityGroupIds=[group])
    zone = bench.ec2.describe_subnets(SubnetIds=bench.pair[:1])["Subnets"][0]["AvailabilityZone"]
    launched("a subnet", SubnetId=bench.subnets(bench.vpc, {"10.77.13.0/24": zone})[0])
    trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust, place = json.dumps({"Version": "2012-10-17", "Statement": [trusted]}), f"{PATH}-test/{bench.run}/"
    iam.create_role(RoleName=name, Path=place, AssumeRolePolicyDocument=trust, Tags=bench.tags)
    iam.create_instance_profile(InstanceProfileName=name, Path=place, Tags=bench.tags)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    launched("an instance profile", IamInstanceProfile={"Name": name})
    return facts


@_on_service(instances=MANY)
def instances_of_one_launch(bench: Bench) -> Facts:
    """In what order does RunInstances name several instances, and does it show the tags of each?"""
    made = launch(bench, f"{bench.run}-many", MANY)
    bench.ec2.terminate_instances(InstanceIds=[item["InstanceId"] for item in made])
    return {
        "AmiLaunchIndex in the order of the answer": ", ".join(str(item["AmiLaunchIndex"]) for item in made),
        "with tags": str(sum(bool(item.get("Tags")) for item in made)),
    }


@_on_service(balancers=1, addresses=2)
def certificate_let_go(bench: Bench) -> Facts:
    """For how long does InUseBy name a load balancer after DeleteListener and DeleteLoadBalancer, and is DeleteCertificate refused?"""
    acm, facts = bench.tool.place.client("acm"), dict[str, str]()

    def let_go(balancer: str, what: str) -> None:
        arn = imported(bench, acm, f"{what.lower()}.example.com")
        listener = https(bench, balancer, arn)

        def users() -> Any:
            return acm.describe_certificate(CertificateArn=arn)["Certificate"].get("InUseBy")

        bench.until(users, patience=120)
        own = {"ListenerArn": listener} if what == "delete_listener" else {"LoadBalancerArn": balancer}
        getattr(bench.elb, what)(**own)
        shown = bench.until(lambda: not users(), patience=LET_GO, poll=5)
        facts[f"InUseBy empty after {what}"] = "no" if shown is None else f"{shown:.1f} s"
        told = bench.until_taken(partial(acm.delete_certificate, CertificateArn=arn), patience=LET_GO, poll=5)
        facts[f"DeleteCertificate then, {what}"] = told

    with bench.balancer("let-go") as made:
        bench.until_active(made["LoadBalancerArn"])
        for what in ("delete_listener", "delete_load_balancer"):
            let_go(made["LoadBalancerArn"], what)
    return facts


@_on_service()
def host_patterns(bench: Bench) -> Facts:
    """Which host patterns does CreateRule take?"""

    def create(pattern: str) -> None:
        with bench.rule({"Field": "host-header", "HostHeaderConfig": {"Values": [pattern]}}):
            pass

    patterns = ("alerts-eu.*", "api-*.*", "*", "*.*", "*.example.com", "example", "?.example.com")
    return {pattern: answer(partial(create, pattern)) for pattern in patterns}


@_on_service()
def sticky_groups_in_a_forward(bench: Bench) -> Facts:
    """Does CreateRule take two target groups with stickiness in a forward that has none?"""
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": "lb_cookie"}]
    with bench.group() as one, bench.group(TargetType="ip") as two:
        for arn in (one, two):
            bench.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=sticky)

        def create(**stickiness: Any) -> None:
            groups = [{"TargetGroupArn": arn, "Weight": 1} for arn in (one, two)]
            config = {"TargetGroups": groups, "TargetGroupStickinessConfig": stickiness}
            condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/sticky"]}}
            with bench.rule(condition, Actions=[{"Type": "forward", "ForwardConfig": config}]):
                pass

        enabled = partial(create, Enabled=True, DurationSeconds=1)
        return {"disabled": answer(partial(create, Enabled=False)), "enabled": answer(enabled)}


@_on_service(ends_it=True)
def destroy_by_step(bench: Bench) -> Facts:
    """How long does `destroy` of the demo take, and each of its steps?"""
    said = bench.service.tool.run("destroy", "--yes", "--format", "json", bench.service.file)
    (run,) = json.loads(said)["runs"]
    steps = {step["key"].partition("@")[0]: step["seconds"] or 0.0 for step in run["steps"]}
    return {name: f"{took:.1f} s" for name, took in {"all": bench.tool.place.seconds(run["seconds"]), **steps}.items()}
