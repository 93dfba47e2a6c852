"""Extends kombu's transports for SQS and Redis: messages are checked, kept while their cell is run, and given up.

kombu 5.7 never renews a message's visibility, ends the worker on a malformed one, and drops a rejected one from Redis.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any, Final

from celery.worker import state
from kombu.transport import SQS, redis, virtual

from alb_reconcile.fleet.cells import MessageError
from alb_reconcile.fleet.messages import rebuild, text_of
from alb_reconcile.fleet.queues import DEAD, MOST_DELIVERIES, NAME, QueueState
from alb_reconcile.journal.log import tell
from alb_reconcile.model.errors import AwsError, UsageError

_PAUSE: Final = 2.0
"""Seconds to wait after a queue that doesn't answer, or refuses: Celery would ask again at once."""
_LOOK: Final = 0.1
_SHOWN: Final = 10
"""The most dead letters that are shown."""


class _Checked:
    """A transport that hands on only this program's messages. A message that is refused stays in SQS's queue until the queue's redrive
    policy removes it."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """kombu's hook. Celery asks once more after a signal, and would get a message that it can only give back."""
        if state.should_stop is not None:
            raise TimeoutError
        super().drain_events(connection, timeout=timeout)  # type: ignore[misc]  # kombu's transports have the method

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            checked = rebuild(message, queue)
        except MessageError as error:
            tell("message_refused", level=40, error=error)
            return
        super()._deliver(checked, queue)  # type: ignore[misc]  # kombu's transports have it; this is mixed into them


class _Client:
    """The client that kombu takes for boto3's: this program's own connection to AWS, with its credentials, time limits and errors."""

    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def __getattr__(self, operation: str) -> Any:
        return partial(self._call, operation)

    def _call(self, operation: str, **params: Any) -> Any:
        try:
            return self._ask("sqs", operation, params)
        except AwsError:
            _pause()
            raise


def _pause() -> None:
    """Wait, until a signal ends the worker at the latest. A signal's handler in Python doesn't end a sleep, so each sleep is short."""
    until = time.monotonic() + _PAUSE
    while state.should_stop is None and state.should_terminate is None and time.monotonic() < until:
        time.sleep(_LOOK)  # this thread has nothing else to do, and signals are seen between two sleeps


class SqsChannel(SQS.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel to SQS."""

    def new_sqs_client(self, *_: Any, **__: Any) -> Any:
        """kombu's hook. Returns the client for SQS."""
        return _Client(self.transport_options["ask"])

    def _prepare_json_payload(self, text: str) -> Any:
        """The message in a text; an empty one, which is refused, if the text is no message of kombu's."""
        try:
            found = json.loads(text)
            is_message = isinstance(found["properties"]["delivery_info"], dict)
        except (ValueError, TypeError, KeyError, RecursionError):
            return {}
        return found if is_message else {}

    def extend(self, message: Any, seconds: int) -> None:
        """Keep a message from other workers for `seconds` from now on (ChangeMessageVisibility). Raises AwsError."""
        where = {"QueueUrl": message.delivery_info["sqs_queue"], "ReceiptHandle": message.delivery_tag}
        self.transport_options["ask"]("sqs", "change_message_visibility", {**where, "VisibilityTimeout": seconds})

    def look(self, url: str, *, dead: bool) -> QueueState:
        """The queue's state (GetQueueAttributes); with `dead` also that of its dead-letter queue, and some of its messages.

        Raises AwsError, UsageError.
        """
        ask = self.transport_options["ask"]

        def attributes(of: str) -> dict[str, str]:
            found = ask("sqs", "get_queue_attributes", {"QueueUrl": of, "AttributeNames": ["All"]})
            return dict(found.get("Attributes", {}))

        own = attributes(url)
        target = json.loads(own.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", "")
        if not target:
            raise UsageError(
                f"the queue {url} has no dead-letter queue, and a cell that always fails would be deleted from it; "
                "give it a RedrivePolicy with maxReceiveCount 5"
            )
        count, letters = self._look_at_dead(target, attributes) if dead else (0, [])
        return QueueState(
            int(own["ApproximateNumberOfMessages"]), int(own["ApproximateNumberOfMessagesNotVisible"]), count,
            tuple(letters), int(own["VisibilityTimeout"]),
        )  # fmt: skip

    def _look_at_dead(self, arn: str, attributes: Callable[[str], dict[str, str]]) -> tuple[int, list[str]]:
        ask = self.transport_options["ask"]
        account, name = arn.split(":")[4:6]
        url = ask("sqs", "get_queue_url", {"QueueName": name, "QueueOwnerAWSAccountId": account})["QueueUrl"]
        count = int(attributes(url)["ApproximateNumberOfMessages"])
        letters: list[str] = []
        if count:
            peek = {"QueueUrl": url, "MaxNumberOfMessages": _SHOWN, "VisibilityTimeout": 0}
            for item in ask("sqs", "receive_message", peek).get("Messages", ()):
                text = self._decode_python_message_body(item["Body"]).decode(errors="replace")
                letters.append(text_of(self._prepare_json_payload(text) or {"message": text}))
        return count, letters


class SqsTransport(_Checked, SQS.Transport):  # type: ignore[misc]  # kombu has no types
    """The transport to SQS, which raises this program's errors."""

    Channel = SqsChannel
    connection_errors = (*SQS.Transport.connection_errors, AwsError)
    channel_errors = (*SQS.Transport.channel_errors, AwsError)


class RedisQoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    """Acknowledgement as in SQS: a rejected message stays where it is until its time is over."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """kombu's hook. Reject a message."""
        if requeue:
            super().reject(delivery_tag, requeue=True)
        else:
            virtual.QoS.ack(self, delivery_tag)


class RedisChannel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel to Redis."""

    QoS = RedisQoS

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            tell("message_refused", level=40, error=f"the message isn't JSON: {error}")
            raise Empty from None

    def _do_restore_message(
        self, payload: Any, exchange: str, routing_key: str, pipe: Any, leftmost: bool = False
    ) -> None:  # fmt: skip
        info = payload["properties"]["delivery_info"]
        info["deliveries"] = int(info.get("deliveries", 1)) + 1
        if info["deliveries"] > MOST_DELIVERIES:
            tell("dead_letter", level=40, message=text_of(payload), deliveries=MOST_DELIVERIES)
            pipe.rpush(DEAD, json.dumps(payload))
        else:
            super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)

    def extend(self, message: Any, seconds: int) -> None:
        """Keep a message from other workers for `seconds` from now on."""
        with self.conn_or_acquire() as client:
            until = time.time() + seconds - self.visibility_timeout
            client.zadd(self.unacked_index_key, {message.delivery_tag: until}, xx=True)

    def look(self, _: str, *, dead: bool) -> QueueState:
        """The lengths of the lists, and some of the dead letters."""
        with self.conn_or_acquire() as client:
            prefix = self.global_keyprefix  # kombu adds the prefix only in commands that it uses itself
            letters = tuple(text_of(json.loads(item)) for item in client.lrange(prefix + DEAD, 0, _SHOWN - 1))
            in_flight, count = client.zcard(prefix + self.unacked_index_key), client.llen(DEAD) if dead else 0
        return QueueState(self._size(NAME), in_flight, count, letters if dead else (), self.visibility_timeout)


class RedisTransport(_Checked, redis.Transport):  # type: ignore[misc]  # kombu has no types
    """The transport to Redis."""

    Channel = RedisChannel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """kombu's hook. kombu looks for messages with an expired visibility timeout only if Redis says nothing at all for `timeout`,
        but Redis says each second that there is nothing: a killed worker's cell would never be seen again."""
        self.cycle.maybe_restore_messages()
        super().drain_events(connection, timeout=timeout)
