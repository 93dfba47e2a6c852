"""AWS calls without the wire: into the emulator's own response objects, since tests make very many of them."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.validate import ParamValidator
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model
from moto.ec2.responses import EC2Response
from moto.elbv2.responses import ELBV2Response

from alb_reconcile.aws.hints import explain_code
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import aws as strict
from alb_reconcile.sandbox.strict.inventory import parser
from tests.answered import answer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
# Tests compare what is there before and after, which are hundreds of answers each time.
vars(strict)["answer"] = lambda response, _, result: answer_of(response, result)


class _Unsent(BaseResponse):
    answer: dict[str, Any] | None = None

    def serialized(self, action_result: ActionResult) -> Any:
        if isinstance(action_result.result, Exception):
            return super().serialized(action_result)
        self.answer = answer_of(self, action_result.result)
        return 200, {}, ""

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """Without an id, which takes moto long to make."""
        return headers, body


class _Ec2(_Unsent, EC2Response):
    pass


class _Elb(_Unsent, ELBV2Response):
    pass


RESPONSES: dict[str, type[_Unsent]] = {"ec2": _Ec2, "elbv2": _Elb}


@cache
def _operation(service: str, operation: str) -> Any:
    model = get_service_model(service)
    return next(model.operation_model(name) for name in model.operation_names if xform_name(name) == operation)


_VALID: set[str] = set()
"""What was validated: most questions are asked often."""


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def call(
    service: str,
    operation: str,
    params: Mapping[str, Any],
    *,
    account: str = DEFAULT_ACCOUNT_ID,
    region: str = REGION,
    once: bool = False,
) -> dict[str, Any]:
    """One EC2 or ELBv2 call: validated, answered and parsed as boto3 would. Raises AwsError."""
    model = _operation(service, operation)
    given: dict[str, Any] = _copied(dict(params))  # moto writes into what it is given
    if "UserData" in given:  # as botocore does
        given["UserData"] = base64.b64encode(given["UserData"]).decode()
    if (question := f"{service} {operation} {given}") not in _VALID:
        problems = ParamValidator().validate(given, model.input_shape)
        assert not problems.has_errors(), problems.generate_report()
        _VALID.add(question)
    response = RESPONSES[service]()
    response.params, response.region, response.current_account = given, region, account
    response.partition = "aws"
    response.querystring, response.headers = {"Action": [model.name]}, {}
    response.data, response.uri_match, response.response_headers = {}, {}, {}
    try:
        status, headers, body = response.call_action()
    except NotImplementedError as error:  # moto's server says so, too
        raise AwsError(service, operation, "NotImplemented", str(error), "") from None
    if response.answer is not None:
        return response.answer
    raw = {"status_code": status, "headers": headers, "body": str(body).encode()}
    answer: dict[str, Any] = parser(model.service_model.metadata["protocol"]).parse(raw, model.output_shape)
    if "Error" in answer:
        code = str(answer["Error"].get("Code"))
        raise AwsError(
            service, operation, code, str(answer["Error"].get("Message", "")),
            answer["ResponseMetadata"]["RequestId"],
            hint=explain_code(service, operation, code), ambiguous=status >= 500,
        )  # fmt: skip
    return answer
