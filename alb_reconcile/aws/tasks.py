"""Starts reads before their results are needed."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


def set_off(read: Awaitable[_T]) -> asyncio.Future[_T]:
    """Start a read, and return its future, which needn't be awaited: the callback keeps asyncio from logging an error with a traceback."""
    task = asyncio.ensure_future(read)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
