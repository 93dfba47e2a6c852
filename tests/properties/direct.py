"""AWS calls without the wire: into the strict emulator's own response objects, for tests that make very many of them."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.validate import ParamValidator
from moto.ec2.responses import EC2Response
from moto.elbv2.responses import ELBV2Response

from alb_reconcile.aws.hints import explain_code
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict.inventory import parser
from tests.harness import REGION, by_hand

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = "123456789012"
RESPONSES = {"ec2": EC2Response, "elbv2": ELBV2Response}


@cache
def _operation(service: str, operation: str) -> Any:
    client = by_hand(service)
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])


def call(service: str, operation: str, params: Mapping[str, Any], *, once: bool = False) -> dict[str, Any]:
    """One EC2 or ELBv2 call: validated, answered and parsed as boto3 would. Raises AwsError."""
    model = _operation(service, operation)
    given = dict(params)
    if "UserData" in given:  # as botocore does
        given["UserData"] = base64.b64encode(given["UserData"]).decode()
    problems = ParamValidator().validate(given, model.input_shape)
    assert not problems.has_errors(), problems.generate_report()
    response = RESPONSES[service]()
    response.params, response.region, response.current_account = given, REGION, ACCOUNT
    response.partition = "aws"
    response.querystring, response.headers = {"Action": [model.name]}, {}
    response.data, response.uri_match, response.response_headers = {}, {}, {}
    status, headers, body = response.call_action()
    raw = {"status_code": status, "headers": headers, "body": str(body).encode()}
    answer: dict[str, Any] = parser(model.service_model.metadata["protocol"]).parse(raw, model.output_shape)
    if "Error" in answer:
        code = str(answer["Error"].get("Code"))
        raise AwsError(
            service, operation, code, str(answer["Error"].get("Message", "")), "",
            hint=explain_code(service, operation, code), ambiguous=status >= 500,
        )  # fmt: skip
    return answer
