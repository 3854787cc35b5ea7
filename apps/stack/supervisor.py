"""The supervisor: starts services until they are ready, keeps them running, stops them in order.

One asyncio loop in one thread. That thread must stay for as long as the children shall live: where the kernel
can do it, they die with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from apps.stack.child import Child, Service, describe
from apps.stack.console import Console, LogFile
from apps.stack.errors import StackError, StartFailed
from apps.stack.ledger import Ledger
from apps.stack.restarts import Restarts

_LOOK = 0.1


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do *works* at the same time; the first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


class Supervisor:
    """Runs services and one-off steps; every process logs into ``log_of(name)``.

    `failure` is resolved with a StackError as soon as a service is given up.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        console: Console,
        log_of: Callable[[str], Path],
        restarts: Callable[[], Restarts] = Restarts,
    ) -> None:
        self._ledger = ledger
        self._console = console
        self._log_of = log_of
        self._restarts = restarts
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._logs: dict[str, LogFile] = {}
        self._killed = False
        self._follower = asyncio.create_task(self._follow())
        self.failure: asyncio.Future[StackError] = asyncio.get_running_loop().create_future()

    @property
    def children(self) -> dict[str, Child]:
        """All services that were started, by name."""
        return dict(self._children)

    async def start(self, services: Sequence[Service]) -> None:
        """Start *services* together and return when all are ready.

        Raises StackError for the first that does not become ready.
        """
        await together(*(self._start(service) for service in services))

    async def _start(self, service: Service) -> None:
        began = time.monotonic()
        child = self._child(service)
        self._children[service.name] = child
        await self._bring_up(child)
        self._keepers[service.name] = asyncio.create_task(self._keep(child))
        self._console.say(f"  {service.name} is ready: {time.monotonic() - began:.1f} s")

    async def run(self, service: Service) -> None:
        """Run a one-off step to its end.

        Raises StartFailed when its status is not 0.
        """
        child = self._child(service)
        self._children[service.name] = child
        child.spawn()
        self._note()
        await child.wait_ended(service.ready_timeout)
        status = child.returncode
        if status != 0:
            reason = (
                f"took longer than {service.ready_timeout:.0f} s"
                if status is None
                else f"ended with {describe(status)}"
            )
            raise StartFailed(f"{service.name} {reason}", name=service.name, tail=child.tail())
        del self._children[service.name]
        self._note()

    def _child(self, service: Service) -> Child:
        log = LogFile(self._log_of(service.name))
        log.rotate()
        self._logs[service.name] = log
        return Child(service, log.path)

    async def _bring_up(self, child: Child) -> None:
        # Preparation may take a while (initdb); the process itself must come from this thread.
        await asyncio.to_thread(child.service.prepare)
        if self._killed:
            raise StackError("it was interrupted")
        child.spawn()
        self._note()
        await child.wait_ready()
        await asyncio.to_thread(child.service.settle)

    def _note(self) -> None:
        self._ledger.write(self._children.values())

    async def _keep(self, child: Child) -> None:
        """Start the process of *child* again whenever it ends, until that is given up."""
        name, restarts = child.service.name, self._restarts()
        while True:
            await child.wait_ended(float("inf"))
            status, tail = child.returncode or 0, child.tail()
            child.kill()  # what it left in its session would be in its successor's way
            delay = restarts.delay(time.monotonic()) if child.service.restart else None
            if delay is None:
                reason = f"{name} ended with {describe(status)}"
                if child.service.restart:
                    reason += (
                        f": the last of {restarts.limit} crashes within {restarts.window:.0f} s, given up"
                    )
                self._fail(StartFailed(reason, name=name, tail=tail))
                return
            self._console.say(f"{name} ended with {describe(status)}; it starts again in {delay:.2g} s")
            await asyncio.sleep(delay)
            try:
                await self._bring_up(child)
            except StartFailed as error:
                if child.started:
                    self._console.say(str(error))
                    child.kill()
                continue
            except StackError as error:
                self._fail(error)
                return
            self._console.say(f"{name} is ready again")

    def _fail(self, error: StackError) -> None:
        if not self.failure.done():
            self.failure.set_result(error)

    async def _follow(self) -> None:
        """Show what the processes log."""
        while True:
            self._show()
            await asyncio.sleep(_LOOK)

    def _show(self) -> None:
        for name, log in self._logs.items():
            for line in log.lines():
                self._console.log(name, line)

    async def stop(self, order: Sequence[Sequence[str]]) -> None:
        """Stop everything: the groups of *order* one after the other, each group together, then the rest."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        named = {name for group in order for name in group}
        groups = [*order, [name for name in reversed(self._children) if name not in named]]
        for group in groups:
            present = [self._children[name] for name in group if name in self._children]
            answers = await asyncio.gather(*(child.stop() for child in present))
            for child, orderly in zip(present, answers, strict=True):
                if not orderly and not self._killed:
                    self._console.say(
                        f"{child.service.name} did not stop within {child.service.stop_timeout:.0f} s: killed"
                    )
        self._follower.cancel()
        self._show()

    def kill(self) -> None:
        """SIGKILL to everything at once."""
        self._killed = True
        for child in self._children.values():
            child.kill()
