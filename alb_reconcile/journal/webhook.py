"""Sends a signed message to a webhook, in bounded time and only to the address that was checked."""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.webhook_addresses import refusal, resolve
from alb_reconcile.model.errors import UsageError
from alb_reconcile.model.version import __version__

URL_VARIABLE: Final = "ALB_RECONCILE_WEBHOOK_URL"
ALLOW_VARIABLE: Final = "ALB_RECONCILE_WEBHOOK_ALLOW"
SECRET_VARIABLE: Final = "ALB_RECONCILE_WEBHOOK_SECRET"  # noqa: S105 (a variable's name)
_SHORTEST: Final = 16
_CONNECT: Final = 2.0
"""Seconds for each address of a name, so that there is time for the next address."""


@dataclass(frozen=True)
class Webhook:
    """A receiver of notifications. Neither the URL nor the secret is shown by `repr`; `title` is the receiver's name without secrets.

    `private`: the receiver may be in-house, at a private or local address. `plain`: http:// is allowed. `timeout` bounds one message
    with all its requests; `every` is the least time between two messages about one stack (seconds).
    """

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    title: str = ""
    private: bool = False
    plain: bool = False
    timeout: float = 5.0
    every: float = 60.0
    a_minute: int = 30
    """The most messages in a minute about all stacks together."""


def make_webhook(
    url: str, secret: str, *, private: bool = False, plain: bool = False, place: str = URL_VARIABLE
) -> Webhook:
    """Make a webhook from its settings, which are checked. A `secret` that begins with whsec_ is base64, as in Standard Webhooks.
    `place` is where the URL was read: a variable or a file.

    Raises UsageError, with neither the URL nor the secret in its text.
    """
    parsed = _parse(url, place)
    title = f"{parsed.scheme}://{parsed.raw_host.decode('ascii')}"
    if parsed.scheme != "https" and not plain:
        raise UsageError(
            f"the webhook's URL has to begin with https://; correct it in {place}, or allow http:// by --webhook-allow http "
            f"or {ALLOW_VARIABLE}=http"
        )
    return Webhook(url, _key(secret), title, private, plain)


def _parse(url: str, place: str = URL_VARIABLE) -> Any:
    import httpx  # only here: most runs have no webhook

    try:
        parsed = httpx.URL(url)
        is_host = re.fullmatch(r"[a-z0-9._:-]+", parsed.raw_host.decode("ascii"), re.IGNORECASE)
        valid = is_host and 0 < (parsed.port or 1) < 65536 and parsed.scheme in ("http", "https")
    except (httpx.InvalidURL, ValueError):
        valid = False
    if not valid:
        raise UsageError(f"the webhook's URL isn't valid; write https://HOST/PATH into {place}")
    return parsed


def _key(secret: str) -> bytes:
    text = secret.strip()
    try:
        encoded = text.removeprefix("whsec_")
        key = text.encode() if encoded == text else base64.b64decode(encoded, validate=True)
    except ValueError:
        raise UsageError(
            f"the webhook's secret isn't base64 after whsec_; correct {SECRET_VARIABLE}, or the file that holds it"
        ) from None
    if len(key) < _SHORTEST:
        raise UsageError(
            f"the webhook's secret has {len(key)} bytes and needs at least {_SHORTEST}; set {SECRET_VARIABLE}, for example to whsec_ and the output of: openssl rand -base64 32"
        )
    return key


def sign(key: bytes, message: str, moment: int, body: bytes) -> dict[str, str]:
    """The headers that prove which sender sent a message, and when (Standard Webhooks 1.0, symmetric signatures)."""
    signed = b".".join((message.encode(), str(moment).encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message, "webhook-timestamp": str(moment), "webhook-signature": f"v1,{signature}"}


async def send(webhook: Webhook, message: str, body: bytes) -> None:
    """Deliver a message: 2xx is a receipt. Redirects aren't followed, proxies not used.

    Raises RecordError with the reason, after `webhook.timeout` seconds at the latest.
    """
    import httpx

    try:
        async with asyncio.timeout(webhook.timeout):
            await _send(webhook, message, body)
    except TimeoutError:
        raise RecordError(f"it took more than {webhook.timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise RecordError(reason_of(error)) from None


async def _send(webhook: Webhook, message: str, body: bytes) -> None:
    import httpx

    url = _parse(webhook.url)
    name = url.raw_host.decode("ascii")
    found = await resolve(name, url.port or {"https": 443, "http": 80}[url.scheme])
    for address in found:
        why = refusal(address, private=webhook.private)
        if why:
            raise RecordError(
                f"{why}, so nothing is sent there; name a public host, or allow private ones if that is intended"
            )
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": f"alb-reconcile/{__version__}",
        **sign(webhook.secret, message, int(time.time()), body),
    }
    limits = httpx.Timeout(webhook.timeout, connect=min(_CONNECT, webhook.timeout))
    async with httpx.AsyncClient(
        verify=httpx.create_ssl_context(), timeout=limits, trust_env=False, follow_redirects=False
    ) as client:
        for number, address in enumerate(found, 1):
            # the address that was checked: the name could lead elsewhere when it is resolved again
            place = url.copy_with(host=address.partition("%")[0])
            request = client.stream("POST", place, content=body, headers=headers, extensions={"sni_hostname": name})
            try:
                async with request as response:  # the response's body is of no interest
                    status = response.status_code
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(found):
                    raise
                continue
            if 300 <= status < 400:
                raise RecordError(f"it answered with a redirect ({status}), which isn't followed; name the final URL")
            if not 200 <= status < 300:
                raise RecordError(f"it answered with status {status}")
            return
    raise RecordError("its name has no address")


def reason_of(error: BaseException) -> str:
    """The system's own word for an error, which has nothing of the URL in it."""
    import httpx

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for item in reversed(causes):
        if isinstance(item, ssl.SSLCertVerificationError):
            return f"its certificate isn't trusted: {item.verify_message}"
        if isinstance(item, OSError) and item.strerror:
            return item.strerror.lower()
    return "it took too long" if isinstance(error, httpx.TimeoutException) else "the connection was lost"
