"""Imitates AWS's rules for the association between an instance and its IAM profile."""

from typing import Any

from .ec2_launch import show_profile
from .references import not_found
from .rule import Call, after, before, refuse


@before("AssociateIamInstanceProfile")
def instance_has_one_profile(call: Call) -> None:
    """AssociateIamInstanceProfile: IncorrectState if there is an association; the instance must not be terminated."""
    instance = call.world.instance(call.given("InstanceId"))
    if instance is None:
        refuse(*not_found(call.given("InstanceId")))
    if instance.state in ("shutting-down", "terminated"):
        refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not in a valid state.")
    if instance.id in call.world.ec2.iam_instance_profile_associations:
        refuse("IncorrectState", f"There is an existing association for instance {instance.id}")


@after("AssociateIamInstanceProfile")
def profile_shows_on_the_instance(call: Call, result: Any) -> Any:
    """DescribeInstances shows the profile's own id."""
    association = result["IamInstanceProfileAssociation"]
    show_profile(association.instance, association)
    return result


@after("ReplaceIamInstanceProfileAssociation")
def replaced_profile_shows_on_the_instance(call: Call, result: Any) -> Any:
    """ReplaceIamInstanceProfileAssociation: the instance has the new profile, under a new association id."""
    from moto.ec2.utils import random_iam_instance_profile_association_id

    association = result["IamInstanceProfileAssociation"]
    association.association_id = random_iam_instance_profile_association_id()
    show_profile(association.instance, association)
    return result


@before("DescribeIamInstanceProfileAssociations")
def associations_named_exist(call: Call) -> None:
    """DescribeIamInstanceProfileAssociations: InvalidAssociationID.NotFound (moto leaves them out)."""
    known = {a.association_id for a in call.world.ec2.iam_instance_profile_associations.values()}
    for association_id in call.given("AssociationIds", []):
        if association_id not in known:
            refuse("InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist")


@after("DescribeIamInstanceProfileAssociations")
def associations_are_complete(call: Call, result: Any) -> Any:
    """Moto reads the wrong paging parameter and stops after a hundred."""
    if call.given("AssociationIds") or call.given("Filters"):
        return result
    every = list(call.world.ec2.iam_instance_profile_associations.values())
    return {"IamInstanceProfileAssociations": every, "NextToken": None}
