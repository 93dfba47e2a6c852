"""Repeats a call for as long as its error means "not yet"."""

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from alb_reconcile.model.errors import AwsError

_T = TypeVar("_T")
_LONGEST: Final = 15.0


async def repeated(
    call: Callable[[], Awaitable[_T]],
    not_yet: Callable[[BaseException], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> _T:
    """What the call returns in the end; the call is repeated after 1 to 15 s. Raises errors that don't mean "not yet".

    Each pause is drawn from 1 s to a bound that doubles from 1 s on, so that calls that are refused together aren't repeated together.
    """
    bound = 1.0
    while True:
        try:
            return await call()
        except AwsError as error:
            if not not_yet(error):
                raise
        await sleep(random.uniform(1.0, bound))  # noqa: S311 (a pause, no secret)
        bound = min(bound * 2, _LONGEST)
