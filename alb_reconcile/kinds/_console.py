"""Reads the end of what an instance has written to its console (EC2 GetConsoleOutput): cloud-init writes there what user data did."""

from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import printable

ACTION: Final = "ec2:GetConsoleOutput"
_LINES: Final = 6
_WIDTH: Final = 200


async def end_of_console(aws: Aws, instance: str) -> str:
    """The last lines of an instance's console, to be put behind a message; empty where AWS shows none."""
    try:
        answer = await aws.call("ec2", "get_console_output", InstanceId=instance, Latest=True)
    except AwsError:
        try:  # only instances on Nitro show the latest output
            answer = await aws.call("ec2", "get_console_output", InstanceId=instance)
        except AwsError:
            return ""
    text = str(answer.get("Output") or "")  # botocore has decoded it
    lines = [printable(line.strip())[:_WIDTH] for line in text.splitlines() if line.strip()][-_LINES:]
    return f"; the console of {instance} ends with: " + " | ".join(lines) if lines else ""
