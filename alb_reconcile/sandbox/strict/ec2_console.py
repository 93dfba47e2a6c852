"""Corrects GetConsoleOutput: moto's answer is the same for every instance."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from .references import not_found
from .rule import Call, before, refuse


@before("GetConsoleOutput")
def instance_is_there(call: Call) -> None:
    """GetConsoleOutput: InvalidInstanceID.NotFound."""
    if call.world.instance(call.given("InstanceId")) is None:
        refuse(*not_found(call.given("InstanceId")))


def patches(written: Callable[[str], bytes], moment: Callable[[], Any]) -> list[tuple[Any, str, Any]]:
    """`written`: what an instance has written since its boot, its last 64 KB; `moment`: the date and time."""
    from moto.core.responses import ActionResult
    from moto.ec2.responses import EC2Response

    def get_console_output(response: Any) -> ActionResult:
        instance_id = response._get_param("InstanceId")
        output = b64encode(written(instance_id)).decode()
        return ActionResult({"InstanceId": instance_id, "Timestamp": moment(), "Output": output})

    return [(EC2Response, "get_console_output", get_console_output)]
