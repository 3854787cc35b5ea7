"""The actions of the benchmark SQS server: parameters in, answers out, as SQS's JSON protocol has them."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tests.benchmarks.sqs_errors import SqsError, bad_batch, invalid, missing, no_such_queue
from tests.benchmarks.sqs_faults import Faults
from tests.benchmarks.sqs_queues import Message, Queue

_BATCH = 10
_MAX_BATCH_SIZE = 1_048_576
_ACCOUNT = "123456789012"

Parameters = dict[str, Any]
Answer = Callable[[Any], None]


class Waiter:
    """A long poll that has found nothing yet."""

    __slots__ = ("answer", "parameters", "timer")

    def __init__(self, parameters: Parameters, answer: Answer) -> None:
        self.parameters = parameters
        self.answer = answer
        self.timer: asyncio.TimerHandle | None = None


class Service:
    """The actions of SQS on queues in memory."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.loop = loop
        self.url = url
        self.queues: dict[str, Queue] = {}
        self.faults = Faults()
        self.latency = 0.0
        self.requests: dict[str, Counter[str]] = defaultdict(Counter)
        self.messages: dict[str, Counter[str]] = defaultdict(Counter)
        self.broken: Counter[str] = Counter()
        self._waiters: dict[str, deque[Waiter]] = defaultdict(deque)
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self.actions: dict[str, Callable[[Parameters], Any]] = {
            "SendMessage": self._send_message,
            "SendMessageBatch": self._send_message_batch,
            "DeleteMessage": self._delete_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "ChangeMessageVisibility": self._change_visibility,
            "ChangeMessageVisibilityBatch": self._change_visibility_batch,
            "PurgeQueue": self._purge_queue,
            "CreateQueue": self._create_queue,
            "DeleteQueue": self._delete_queue,
            "ListQueues": self._list_queues,
            "GetQueueUrl": self._get_queue_url,
            "GetQueueAttributes": self._get_queue_attributes,
            "SetQueueAttributes": self._set_queue_attributes,
        }

    # Queues --------------------------------------------------------------------------------------

    def queue_name(self, parameters: Parameters) -> str:
        """The name of the queue that a request is about; empty: none."""
        url: str = parameters.get("QueueUrl") or parameters.get("QueueName") or ""
        return url.rpartition("/")[2]

    def _queue(self, parameters: Parameters) -> Queue:
        queue = self.queues.get(self.queue_name(parameters))
        if queue is None:
            raise no_such_queue()
        return queue

    def _by_arn(self, arn: str) -> Queue | None:
        return self.queues.get(arn.rpartition(":")[2])

    def _url(self, name: str) -> str:
        return f"{self.url}/{_ACCOUNT}/{name}"

    def _create_queue(self, parameters: Parameters) -> Parameters:
        name, attributes = parameters.get("QueueName", ""), parameters.get("Attributes", {})
        if not re.fullmatch(r"(?=.{1,80}$)[A-Za-z0-9_-]+(\.fifo)?", name):
            raise invalid(f"The name {name!r} of a queue is not valid.")
        if (attributes.get("FifoQueue") == "true") != name.endswith(".fifo"):
            raise invalid(
                "The name of a FIFO queue can only include alphanumeric characters … end with .fifo"
            )
        known = self.queues.get(name)
        if known is None:
            self.queues[name] = Queue(name, attributes, self._by_arn)
        elif any(known.attributes.get(key) != value for key, value in attributes.items()):
            raise SqsError("QueueNameExists", f"A queue {name} with other attributes exists.")
        return {"QueueUrl": self._url(name)}

    def _delete_queue(self, parameters: Parameters) -> Parameters:
        self._forget(self._queue(parameters).name)
        return {}

    def _forget(self, name: str) -> None:
        del self.queues[name]
        alarm = self._alarms.pop(name, None)
        if alarm is not None:
            alarm.cancel()

    def _purge_queue(self, parameters: Parameters) -> Parameters:
        self._queue(parameters).purge()
        return {}

    def _list_queues(self, parameters: Parameters) -> Parameters:
        prefix = parameters.get("QueueNamePrefix", "")
        found = [self._url(name) for name in sorted(self.queues) if name.startswith(prefix)]
        return {"QueueUrls": found} if found else {}

    def _get_queue_url(self, parameters: Parameters) -> Parameters:
        return {"QueueUrl": self._url(self._queue(parameters).name)}

    def _get_queue_attributes(self, parameters: Parameters) -> Parameters:
        found = self._queue(parameters).all_attributes(self.loop.time())
        wanted = parameters.get("AttributeNames") or []
        if "All" not in wanted:
            found = {key: value for key, value in found.items() if key in wanted}
        return {"Attributes": found}

    def _set_queue_attributes(self, parameters: Parameters) -> Parameters:
        self._queue(parameters).set_attributes(parameters.get("Attributes", {}))
        return {}

    # Messages ------------------------------------------------------------------------------------

    def _send(self, queue: Queue, entry: Parameters) -> Parameters:
        message = queue.send(entry, now=self.loop.time(), sent=int(time.time() * 1000))
        answer = {"MessageId": message.id, "MD5OfMessageBody": message.md5}
        if queue.fifo:
            answer["SequenceNumber"] = f"{message.serial:020d}"
        return answer

    def _send_message(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        answer = self._send(queue, parameters)
        self.messages[queue.name]["sent"] += 1
        self.serve(queue)
        return answer

    def _send_message_batch(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        if (
            sum(len(entry.get("MessageBody", "")) for entry in parameters.get("Entries", ()))
            > _MAX_BATCH_SIZE
        ):
            raise bad_batch("BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes.")
        answer = self._each(parameters, lambda entry: self._send(queue, entry))
        self.messages[queue.name]["sent"] += len(answer["Successful"])
        self.serve(queue)
        return answer

    def _each(self, parameters: Parameters, do: Callable[[Parameters], Parameters]) -> Parameters:
        """Do something to every entry of a batch; one that fails does not keep the others."""
        entries: list[Parameters] = parameters.get("Entries", [])
        if not entries:
            raise bad_batch("EmptyBatchRequest", "There should be at least one entry in the request.")
        if len(entries) > _BATCH:
            raise bad_batch(
                "TooManyEntriesInBatchRequest",
                f"Maximum number of entries per request are {_BATCH}. You have sent {len(entries)}.",
            )
        if len({entry["Id"] for entry in entries}) < len(entries):
            raise bad_batch("BatchEntryIdsNotDistinct", "The ids of the entries are not distinct.")
        done, failed = [], []
        for entry in entries:
            try:
                done.append({"Id": entry["Id"], **do(entry)})
            except SqsError as exc:
                failed.append(
                    {"Id": entry["Id"], "SenderFault": True, "Code": exc.code, "Message": exc.message}
                )
        return {"Successful": done, "Failed": failed} if failed else {"Successful": done}

    def _delete(self, queue: Queue, entry: Parameters) -> Parameters:
        queue.delete(entry["ReceiptHandle"], self.loop.time())
        return {}

    def _delete_message(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        self._delete(queue, parameters)
        self.messages[queue.name]["deleted"] += 1
        self.serve(queue)
        return {}

    def _delete_message_batch(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        answer = self._each(parameters, lambda entry: self._delete(queue, entry))
        self.messages[queue.name]["deleted"] += len(answer["Successful"])
        self.serve(queue)
        return answer

    def _change(self, queue: Queue, entry: Parameters) -> Parameters:
        if "VisibilityTimeout" not in entry:
            raise missing("VisibilityTimeout")
        queue.change_visibility(entry["ReceiptHandle"], float(entry["VisibilityTimeout"]), self.loop.time())
        return {}

    def _change_visibility(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        self._change(queue, parameters)
        self.serve(queue)
        return {}

    def _change_visibility_batch(self, parameters: Parameters) -> Parameters:
        queue = self._queue(parameters)
        answer = self._each(parameters, lambda entry: self._change(queue, entry))
        self.serve(queue)
        return answer

    # Receiving -----------------------------------------------------------------------------------

    def receive(self, parameters: Parameters, answer: Answer) -> Callable[[], None] | None:
        """Answer with messages, at once or when there are some. Returns how to give up waiting."""
        queue = self._queue(parameters)
        if not 1 <= int(parameters.get("MaxNumberOfMessages", 1)) <= _BATCH:
            raise invalid("Value for parameter MaxNumberOfMessages is invalid. Must be between 1 and 10.")
        waiting = self._waiters[queue.name]
        found = [] if waiting else self._take(queue, parameters)
        wait = float(parameters.get("WaitTimeSeconds", queue.wait))
        if found or not wait:
            self._answer_with(queue, found, parameters, answer)
            return None
        waiter = Waiter(parameters, answer)
        waiting.append(waiter)
        waiter.timer = self.loop.call_later(wait, self._end_wait, queue, waiter)
        self._set_alarm(queue)

        def give_up() -> None:
            with suppress(ValueError):
                waiting.remove(waiter)
            if waiter.timer is not None:
                waiter.timer.cancel()

        return give_up

    def _take(self, queue: Queue, parameters: Parameters) -> list[Message]:
        if not queue.has_visible and (queue.next_due() or float("inf")) > self.loop.time():
            return []
        faults, name = self.faults, queue.name
        return queue.receive(
            int(parameters.get("MaxNumberOfMessages", 1)),
            now=self.loop.time(),
            received=int(time.time() * 1000),
            visibility=parameters.get("VisibilityTimeout"),
            shuffle=(lambda among: faults.shuffle(name, among)) if faults else None,
            duplicated=(lambda: faults.duplicated(name)) if faults else None,
        )

    def _answer_with(
        self, queue: Queue, found: list[Message], parameters: Parameters, answer: Answer
    ) -> None:
        counts = self.messages[queue.name]
        if not found:
            counts["empty receipts"] += 1
            answer({})
            return
        counts["received"] += len(found)
        system = parameters.get("MessageSystemAttributeNames") or parameters.get("AttributeNames") or ()
        own = parameters.get("MessageAttributeNames") or ()
        answer({"Messages": [_describe(message, queue, system, own) for message in found]})

    def _end_wait(self, queue: Queue, waiter: Waiter) -> None:
        self._waiters[queue.name].remove(waiter)
        self._answer_with(queue, [], waiter.parameters, waiter.answer)

    def serve(self, queue: Queue) -> None:
        """Give what is visible to those who wait for it."""
        waiting = self._waiters[queue.name]
        while waiting:
            found = self._take(queue, waiting[0].parameters)
            if not found:
                self._set_alarm(queue)
                return
            waiter = waiting.popleft()
            if waiter.timer is not None:
                waiter.timer.cancel()
            self._answer_with(queue, found, waiter.parameters, waiter.answer)

    def _set_alarm(self, queue: Queue) -> None:
        """Look again when the next message becomes visible by itself."""
        due = queue.next_due()
        if due is None:
            return
        alarm = self._alarms.get(queue.name)
        if alarm is not None and not alarm.cancelled() and self.loop.time() < alarm.when() <= due:
            return
        if alarm is not None:
            alarm.cancel()
        self._alarms[queue.name] = self.loop.call_at(due, self.serve, queue)

    # Control -------------------------------------------------------------------------------------

    def control(self, verb: str, parameters: Parameters) -> Any:
        """What a test tells the server to do. Raises KeyError, TypeError and ValueError."""
        match verb:
            case "counters":
                return {"requests": self.requests, "messages": self.messages, "broken": self.broken}
            case "reset":
                self.requests.clear()
                self.messages.clear()
                self.broken.clear()
            case "latency":
                self.latency = float(parameters["milliseconds"]) / 1000
            case "fault":
                self.faults.add(**parameters)
            case "heal":
                self.faults.clear()
            case "seed":
                self.faults = Faults(int(parameters["seed"]))
            case "hold":
                self.queues[parameters["queue"]].held = True
            case "release":
                queue = self.queues[parameters["queue"]]
                queue.held = False
                self.serve(queue)
            case "purge":
                return {"lost": self.queues[parameters["queue"]].purge()}
            case "lose":
                return self._lose(with_queues=bool(parameters.get("queues")))
            case "depths":
                return {name: queue.depth(self.loop.time()) for name, queue in self.queues.items()}
            case _:
                raise KeyError(verb)
        return {}

    def _lose(self, *, with_queues: bool) -> Parameters:
        lost = sum(queue.purge() for queue in self.queues.values())
        if with_queues:
            for name in list(self.queues):
                self._forget(name)
        return {"lost": lost}


def _describe(message: Message, queue: Queue, system: Iterable[str], own: Iterable[str]) -> Parameters:
    answer: Parameters = {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": message.md5,
        "Body": message.body,
    }
    if system:
        known = {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(message.sent),
            "ApproximateFirstReceiveTimestamp": str(message.first_received),
            "SenderId": _ACCOUNT,
        }
        if message.group:
            known["MessageGroupId"] = message.group
        if message.trace:
            known["AWSTraceHeader"] = message.trace
        if message.dead_letter_source:
            known["DeadLetterQueueSourceArn"] = message.dead_letter_source
        if queue.fifo:
            known["SequenceNumber"] = f"{message.serial:020d}"
            known["MessageDeduplicationId"] = message.deduplication
        if "All" not in system:
            known = {key: known[key] for key in system if key in known}
        answer["Attributes"] = known
    if own and message.attributes:
        wanted = {
            key: value
            for key, value in message.attributes.items()
            if any(
                name in ("All", ".*", key) or (name.endswith(".*") and key.startswith(name[:-2]))
                for name in own
            )
        }
        if wanted:
            answer["MessageAttributes"] = wanted
    return answer
