"""``manage.py demo``: everything under one supervisor, then the tour, then up until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.stack import credentials, folders, privileges, sockets
from apps.stack.console import Console
from apps.stack.errors import StackError
from apps.stack.ledger import Ledger
from apps.stack.plan import STOP_ORDER, Plan
from apps.stack.supervisor import Supervisor, together
from apps.stack.toursettings import TourSettings

_INTERRUPTED = 130
_FAILED = 1
_DEFAULT_PORT = 8000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller asked for.

    *port* None is 8000 or, when that is in use, a free one. *given* is the caller's environment, *queues*
    are full names, *settings* is the settings module of the product's processes.
    """

    leave: bool
    candles: Path | None
    port: int | None
    days: int
    show_logs: bool
    given: Mapping[str, str]
    queues: Sequence[str]
    settings: str


class _Interrupts:
    """Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly stop, the second kills."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._supervisor: Supervisor | None = None
        self.asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt)

    def guard(self, supervisor: Supervisor) -> None:
        """Whose children the second one kills."""
        self._supervisor = supervisor

    def _interrupt(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            self._console.say("stopping; press Ctrl-C again to kill everything at once")
        elif self._supervisor is not None:
            self._console.say("killing everything")
            self._supervisor.kill()


def _check(options: Options) -> None:
    """Raise StackError for options that cannot work."""
    if options.candles is not None:
        if not options.candles.is_file():
            raise StackError(f"--candles: there is no file {options.candles}")
        if options.given.get("EXCHANGE_BINANCE_URL"):
            raise StackError(
                "--candles is for the simulated exchange, and EXCHANGE_BINANCE_URL names another"
            )
    if options.days < 1:
        raise StackError("--days must be at least 1")


def _tour(settings: TourSettings) -> asyncio.Future[int]:
    """Run the tour in a thread; its exit status, 1 when it raised.

    A daemon thread: a tour that waits for an answer must not keep an interrupted demo from ending.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[int] = loop.create_future()

    def settle(status: int) -> None:
        if not outcome.done():
            outcome.set_result(status)

    def work() -> None:
        try:
            from apps.stack import tour

            status = tour.run(settings)
        except Exception:
            settings.say("the tour failed:\n" + traceback.format_exc())
            status = _FAILED
        with contextlib.suppress(RuntimeError):  # the demo has ended meanwhile
            loop.call_soon_threadsafe(settle, status)

    threading.Thread(target=work, name="tour", daemon=True).start()
    return outcome


async def _start(plan: Plan, supervisor: Supervisor, console: Console) -> None:
    """Bring everything up, phase by phase."""
    services = plan.infrastructure()
    plan.write_addresses()
    database = [service for service in services if service.name == "postgres"]
    others = [service for service in services if service.name != "postgres"]

    async def migrated() -> None:
        await supervisor.start(database)
        with console.step("applying migrations and creating the admin account"):
            await supervisor.run(plan.migrate())

    if services:
        console.say("starting " + ", ".join(service.name for service in services))
    await together(supervisor.start(others), migrated())
    services = plan.product()
    with console.step("starting " + ", ".join(service.name for service in services)):
        await supervisor.start(services)


def _where(plan: Plan, supervisor: Supervisor) -> list[str]:
    """Where to look while the demo is up."""
    base, keys = plan.base_url, plan.credentials
    return [
        "",
        f"  start          {base}/",
        f"  API            {base}/api/v1/",
        f"  API reference  {base}/api/docs",
        f"  chart          {base}/charts/binance/BTC/USDT?timeframe=1h",
        f"  reports        {base}/backtests/",
        f"  admin          {base}/admin/   user {keys.admin_username}, password {keys.admin_password}",
        f"  mails          {plan.mail_folder}" if plan.mail_folder else "  mails          EMAIL_URL",
        f"  logs           {plan.folders.root / 'log'} ({', '.join(supervisor.children)})",
        "  commands       `python3 manage.py shell` and the like meet the same servers while this is up",
        "",
    ]


async def _first(*waits: asyncio.Future[int] | asyncio.Future[StackError] | asyncio.Task[object]) -> None:
    """Return when one of *waits* is done; none of them is cancelled."""
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


async def _run(options: Options, console: Console, ledger: Ledger, plan: Plan) -> int:
    """The demo's life between taking the lock and giving it back; the exit status."""
    began = time.monotonic()
    interrupts = _Interrupts(console)
    supervisor = Supervisor(ledger=ledger, console=console, log_of=plan.folders.log)
    interrupts.guard(supervisor)
    asked: asyncio.Task[object] = asyncio.create_task(interrupts.asked.wait())
    status = _INTERRUPTED
    try:
        starting: asyncio.Task[object] = asyncio.create_task(_start(plan, supervisor, console))
        await _first(starting, asked, supervisor.failure)
        if not starting.done():
            starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        if supervisor.failure.done():
            raise supervisor.failure.result()
        if asked.done():
            return status
        ledger.write(supervisor.children.values(), url=plan.base_url)
        console.say(f"everything is up after {time.monotonic() - began:.1f} s: {plan.base_url}")
        touring = _tour(
            TourSettings(
                base_url=plan.base_url,
                admin_username=plan.credentials.admin_username,
                admin_password=plan.credentials.admin_password,
                exchange_url=plan.environ()["EXCHANGE_BINANCE_URL"],
                mail_folder=plan.mail_folder,
                candles_file=options.candles,
                days=options.days,
                exchange_account=plan.exchange_account,
                say=console.say,
            )
        )
        await _first(touring, asked, supervisor.failure)
        if touring.done():
            status = touring.result()
            for line in _where(plan, supervisor):
                console.line(line)
            if not options.leave:
                console.say("up until Ctrl-C")
                console.show_logs = True
                await _first(asked, supervisor.failure)
        if supervisor.failure.done():
            raise supervisor.failure.result()
    except (StackError, OSError) as error:
        console.say(f"failed: {error}")
        status = _FAILED
    finally:
        asked.cancel()
        console.show_logs = options.show_logs
        stopping = time.monotonic()
        if supervisor.children:
            groups = [[name for name in group if name in supervisor.children] for group in STOP_ORDER]
            console.say("stopping " + ", then ".join(" and ".join(group) for group in groups if group))
        plan.web.close()
        await supervisor.stop(STOP_ORDER)
        console.say(f"stopped in {time.monotonic() - stopping:.1f} s")
    return status


def run(options: Options, console: Console) -> int:
    """Run the demo; its exit status: the tour's, 1 when something failed, 130 when it was interrupted.

    Raises StackError or OSError when it cannot begin: bad options, no place to work in, running already.
    """
    _check(options)
    account = privileges.for_checkout(folders.CHECKOUT)
    home = folders.data_home()
    root = folders.own_folder(home / "demo", mode=0o711 if account else 0o700)
    with Ledger(root) as ledger:
        reaped = ledger.reap()
        if reaped:
            console.say(f"ended what a killed demo had left: {', '.join(reaped)}")
        places = folders.prepare(root, account=account)
        listener = sockets.listen(options.port or _DEFAULT_PORT, fallback=options.port is None)
        plan = Plan(
            folders=places,
            credentials=credentials.load(root / "credentials.json"),
            given=options.given,
            queues=options.queues,
            settings=options.settings,
            web=listener,
            candles=options.candles,
        )
        try:
            return asyncio.run(_run(options, console, ledger, plan))
        finally:
            plan.close()
            (root / "env").unlink(missing_ok=True)
