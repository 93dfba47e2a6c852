"""Sends calls through boto3's clients: the only module that uses boto3's clients.

botocore makes the clients, as it does for boto3; importing boto3 itself reads its code for uploads to S3, a sixth of a plan's start.
"""

import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.answers import HINT, ForeignAnswerError, check_answer, foreign_answer
from alb_reconcile.aws.endpoint import endpoint_of, is_address, without_passwords
from alb_reconcile.aws.guard import ask_guard
from alb_reconcile.aws.hints import explain_code, transport_error, unusable
from alb_reconcile.aws.role import Role
from alb_reconcile.aws.throttle import note_throttling
from alb_reconcile.model.errors import THROTTLED, AwsError, UnreachableError
from alb_reconcile.model.text import printable

Response = dict[str, Any]

_LARGEST: Final = 2 * 1024 * 1024
"""The most bytes of an object that are read: leases, specs and results are all smaller."""


class BotoTransport:
    """Calls through boto3, with its standard settings: profile, environment, shared config, SSO, instance roles."""

    def __init__(
        self,
        *,
        region: str,
        profile: str | None = None,
        endpoint_url: str | None = None,
        max_workers: int = 8,
        sandbox: bool = False,
        role: Role | None = None,
        assumed: dict[str, Any] | None = None,
    ) -> None:
        """With a `role` all calls are made as the role; the other settings say what assumes it. `assumed` keeps the credentials of
        roles for other transports that assume the same roles, in memory only."""
        self.region = region
        self.endpoint = endpoint_of(endpoint_url, os.environ)
        self.answered = False
        """Whether AWS has answered anything yet, even with a refusal."""
        self._sandbox = sandbox
        self._profile = profile
        self._role, self._assumed = role, {} if assumed is None else assumed
        self._endpoint_url = endpoint_url
        self._workers = max(max_workers, 1)
        self._attempts: int | None = None
        self._clients: dict[tuple[str, bool], Any] = {}
        self._session: Any = None
        self._lock = threading.Lock()
        self._making: dict[tuple[str, bool], threading.Lock] = {}

    def prepare(self) -> None:
        """Read the settings, which otherwise the first call does.

        Raises UnreachableError where there are no usable settings.
        """
        from botocore.exceptions import BotoCoreError

        from alb_reconcile.aws.models import make_session

        try:
            session = _sandbox_session() if self._sandbox else make_session(profile=self._profile)
            session.set_config_variable("region", self.region)
            session.get_scoped_config()  # raises for an unknown profile
            if self._role is not None:
                session = self._assume(session, self._role)
        except (BotoCoreError, ValueError) as error:
            raise unusable(error) from None
        if not self._sandbox:
            self._attempts = _attempts_of(session)
        self._session = session

    def _assume(self, session: Any, role: Role) -> Any:
        """A session of the role. Its credentials are fetched at their first use, and again before they expire."""
        from botocore.config import Config
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

        from alb_reconcile.aws.models import make_session

        # botocore logs each refusal with a traceback; the caller gets the error in words
        logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
        source = session.get_credentials()
        if source is None:
            raise ValueError("there are no credentials to assume a role with")
        limits = timeouts.timeouts_of("sts", once=False, attempts=None)
        config = Config(
            connect_timeout=limits.connect, read_timeout=limits.read,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
            **({"proxies": {}} if self._sandbox else {}),
        )  # fmt: skip

        def make_client(service: str, **named: Any) -> Any:
            client = session.create_client(service, config=config, endpoint_url=self._endpoint_url, **named)
            return _bounded(client, limits)

        wanted: dict[str, Any] = {"RoleSessionName": role.session_name}
        if role.external_id:
            wanted["ExternalId"] = role.external_id
        if role.session_tags:
            wanted["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(role.session_tags.items())]
        fetcher = AssumeRoleCredentialFetcher(make_client, source, role.arn, extra_args=wanted, cache=self._assumed)
        assumed = _sandbox_session() if self._sandbox else make_session(profile=self._profile)
        assumed.set_config_variable("region", self.region)
        assumed._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
        return assumed

    def _make_client(self, service: str, *, once: bool) -> Any:
        from botocore.config import Config

        # the user's environment for AWS isn't meant for a sandbox
        direct = {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}
        limits = timeouts.timeouts_of(service, once=once, attempts=self._attempts)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
            max_pool_connections=self._workers,
            connect_timeout=limits.connect,
            read_timeout=limits.read,
            user_agent_extra="alb-reconcile",
            s3={"addressing_style": "path" if self.endpoint else "auto"},
            **(direct if self._sandbox else {}),
        )
        client = self._session.create_client(
            service, config=config, endpoint_url=self._endpoint_url, region_name=self.region
        )
        if not is_address(
            url := client.meta.endpoint_url
        ):  # of the configuration; not all of that is botocore's to see
            raise ValueError(f"Invalid endpoint: {url}")
        _bounded(client, limits)
        client.meta.events.register_first("before-send", ask_guard)
        client.meta.events.register("before-parse", check_answer)
        client.meta.events.register("response-received", note_throttling)
        return client

    @staticmethod
    @cache
    def regions() -> frozenset[str]:
        """The regions that the installed SDK has for EC2, of all partitions."""
        from alb_reconcile.aws.models import regions_of

        return regions_of("ec2")

    @staticmethod
    def default_region(profile: str | None) -> str | None:
        """The region of the environment or the shared config. Raises UnreachableError for an unknown profile."""
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            region: str | None = Session(profile=profile).get_config_variable("region")
        except BotoCoreError as error:
            raise unusable(error) from None
        return region

    def __call__(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            client = self._client(service, once)
        except (BotoCoreError, ValueError) as error:
            raise unusable(error) from None
        try:
            answer: Response = getattr(client, operation)(**params)
            if service == "s3" and "Body" in answer:  # a stream, which may break as well
                read = partial(answer["Body"].read, _LARGEST)
                answer["Body"] = _within(timeouts.CONTENT, client.meta.endpoint_url, read)
        except ClientError as error:
            self.answered = True
            if error.operation_name == "AssumeRole" and self._role is not None:
                raise _not_assumed(self._role, error.response.get("Error", {})) from None
            if said := foreign_answer():
                raise _invalid(client, service, operation, said) from None
            details, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            code, status = str(details.get("Code", "Unknown")), int(meta.get("HTTPStatusCode", 0))
            said = str(details.get("Message", ""))
            is_in_environment = getattr(self._session.get_credentials(), "method", "") == "env"
            profile = None if is_in_environment else self._session.profile
            raise AwsError(
                service, operation, code, said, str(meta.get("RequestId", "")),
                hint=explain_code(service, operation, code, said, profile), ambiguous=status >= 500, retries=int(meta.get("RetryAttempts", 0)),
            ) from None  # fmt: skip
        except (ForeignAnswerError, ResponseParserError):
            self.answered = True
            raise _invalid(client, service, operation, foreign_answer() or "what can't be parsed") from None
        except BotoCoreError as error:
            raise transport_error(service, operation, error) from None
        except RuntimeError as error:
            if self._role is None or "credentials are still expired" not in str(error):
                raise
            raise _expired(self._role) from None
        self.answered = True
        return answer

    def in_region(self, region: str) -> "BotoTransport":
        """The same account in another region, with the same settings."""
        other = copy.copy(self)
        other.region = region
        other._clients, other._making = {}, {}
        return other

    def make_early(self, *needed: tuple[str, bool]) -> None:
        """Make clients that are going to be needed (as `_client` takes them) while the first calls are under way."""

        def make() -> None:
            for service, once in needed:
                with suppress(Exception):  # the call that needs the client gets the error
                    self._client(service, once)

        threading.Thread(target=make, daemon=True).start()

    def _client(self, service: str, once: bool) -> Any:
        """The client for a service, made when it is first asked for; sessions aren't thread-safe, clients are."""
        key = service, once
        # a call waits for its own client only
        with self._making.setdefault(key, threading.Lock()):
            if key not in self._clients:
                with self._lock:
                    if self._session is None:
                        self.prepare()
                    self._clients[key] = self._make_client(service, once=once)
            return self._clients[key]


def _bounded(client: Any, limits: timeouts.Timeouts) -> Any:
    """The same client, with a limit for each whole attempt. botocore's read timeout is for one read: each byte of an answer restarts it."""
    session = client._endpoint.http_session
    send, seconds = session.send, limits.connect + limits.read
    session.send = lambda request: _within(seconds, request.url, partial(send, request))
    return client


def _within(seconds: float, url: str, work: Callable[[], Any]) -> Any:
    """The result of `work`, in a thread that is abandoned when it is late. Raises ReadTimeoutError then."""
    from botocore.exceptions import ReadTimeoutError

    told: Future[Any] = Future()

    def run() -> None:
        try:
            told.set_result(work())
        except BaseException as error:  # the caller's thread raises any error
            told.set_exception(error)

    thread = threading.Thread(target=run, name="attempt", daemon=True)
    thread.start()
    thread.join(seconds)
    if not told.done():
        raise ReadTimeoutError(endpoint_url=url)
    return told.result()


def _invalid(client: Any, service: str, operation: str, said: str) -> AwsError:
    message = f"{without_passwords(client.meta.endpoint_url)} answered {said}"
    return AwsError(service, operation, "InvalidResponse", message, "", hint=HINT, ambiguous=True)


def _not_assumed(role: Role, details: Mapping[str, Any]) -> AwsError:
    """The error that the role's credentials can't be fetched, the first time or again."""
    code, said = str(details.get("Code", "Unknown")), str(details.get("Message", "")).rstrip(".")
    if code in THROTTLED:
        return AwsError("sts", "assume_role", code, said, "")
    asked = " and this external id" * bool(role.external_id) + ", with sts:TagSession" * bool(role.session_tags)
    return UnreachableError(
        printable(
            f"the role {role.arn} can't be assumed: {code}: {said}; see that it exists, that its trust policy allows this identity{asked}, "
            "and that this identity may call sts:AssumeRole"
        )
    )


def _expired(role: Role) -> UnreachableError:
    """The error that the role's credentials were already expired when they came, by this machine's clock."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return UnreachableError(
        f"the credentials of the role {role.arn} had expired when they came; this machine's clock says {now}: set it by a time server"
    )


def _attempts_of(session: Any) -> int | None:
    """How often the user wants each call to be tried; None without such a setting. Raises UnreachableError."""
    try:
        attempts: int | None = session.get_config_variable("max_attempts")
    except ValueError:
        attempts = 0
    if attempts is not None and attempts < 1:
        what = "AWS_MAX_ATTEMPTS, or max_attempts of the AWS profile, must be a whole number of at least 1"
        raise UnreachableError(f"the AWS settings can't be used: {what}")
    return attempts


def _sandbox_session() -> Any:
    """A session without the user's profiles, files and credentials."""
    from alb_reconcile.aws.models import make_session

    own = make_session({
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    })  # fmt: skip
    own.set_credentials("sandbox", "sandbox")  # the sandbox wants credentials, and takes any
    return own
