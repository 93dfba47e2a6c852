"""An account that encrypts each new volume, whatever is asked for (EC2 EnableEbsEncryptionByDefault)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tests.harness import demo, world

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_an_unencrypted_disk_that_was_encrypted_all_the_same_is_no_difference() -> None:
    spec = demo()
    spec["instances"]["web"]["root_volume"] = {"encrypted": False}
    with world() as here:
        real = here._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            if operation == "run_instances":
                params = copy.deepcopy(dict(params))
                for mapping in params["BlockDeviceMappings"]:
                    mapping["Ebs"]["Encrypted"] = True
            return real(service, operation, params)

        here._call = call  # type: ignore[method-assign]
        assert not here.converge(spec).plan.warnings  # nobody can know yet
        plan = here.plan(spec)
        assert plan.is_empty
        assert plan.warnings == tuple(
            f"instance.web-{number}: its disk is encrypted all the same, as the account may want by default; take "
            "encrypted: false out of the spec"
            for number in (1, 2)
        )


def test_one_that_is_to_be_encrypted_still_is_replaced() -> None:
    spec = demo()
    spec["instances"]["web"]["root_volume"] = {"encrypted": False}
    with world() as here:
        here.converge(spec)
        spec["instances"]["web"]["root_volume"] = {"encrypted": True}
        assert {step.action for step in here.plan(spec).steps if step.address.kind == "instance"} == {
            "replace",
            "delete",
        }
