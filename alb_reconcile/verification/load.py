"""Sends requests at an open rate: each starts when it is due, whether or not earlier ones have been answered."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from alb_reconcile.verification.client import Client, Reply, Shot


@dataclass(frozen=True)
class Answer:
    """A request and its result. Times in seconds.

    `at`: when the request was due, from the start of the load; `waited`: how much later it started, because `concurrency` others were
    under way; `latency`: from its start to the last byte, or to the error.
    """

    shot: Shot
    at: float
    waited: float
    latency: float
    reply: Reply


async def send(
    plan: Iterable[Shot], client: Client, *, rate: float, concurrency: int, duration: float | None = None
) -> AsyncIterator[Answer]:
    """Send what `plan` yields, `rate` a second, and yield the answers as they come.

    At most `concurrency` requests are under way; a request that is due meanwhile starts late, and its answer says so. `plan` is asked
    for the next shot only when it is due, and may be endless: no request starts after `duration` seconds. A caller that stops reading
    (aclose) ends the load, requests under way included.
    """
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[Answer | BaseException | None] = asyncio.Queue()
    slots = asyncio.Semaphore(concurrency)
    began = loop.time()

    async def one(shot: Shot, due: float) -> None:
        started = loop.time()
        try:
            reply = await client.fire(shot)
        finally:
            slots.release()
        ended = loop.time()
        answers.put_nowait(Answer(shot, due - began, started - due, ended - started, reply))

    async def start() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                shots, number = iter(plan), 0
                while duration is None or number / rate < duration:
                    due = began + number / rate
                    await asyncio.sleep(due - loop.time())
                    await slots.acquire()
                    if duration is not None and loop.time() - began > duration:
                        break
                    shot = next(shots, None)
                    if shot is None:
                        break
                    group.create_task(one(shot, due))
                    number += 1
        except BaseExceptionGroup as errors:  # whatever it is, the reader of the answers must see it
            answers.put_nowait(errors.exceptions[0])
        else:
            answers.put_nowait(None)

    starting = asyncio.create_task(start())
    try:
        while (answer := await answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
