"""Repeats a call for as long as its error means "not yet"."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from alb_reconcile.model.errors import AwsError

_T = TypeVar("_T")


async def repeated(
    call: Callable[[], Awaitable[_T]],
    not_yet: Callable[[BaseException], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> _T:
    """What the call returns in the end; the call is repeated after 1 to 15 s. Raises errors that don't mean "not yet"."""
    try:  # nearly every call succeeds, and tenacity would cost more time than all other code around the call
        return await call()
    except AwsError as error:
        first = [error]

    from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

    async def attempt() -> _T:
        if first:
            raise first.pop()
        return await call()

    retrying = AsyncRetrying(
        retry=retry_if_exception(not_yet), wait=wait_random_exponential(1, 15, min=1), sleep=sleep, reraise=True
    )
    result: _T = await retrying(attempt)
    return result
