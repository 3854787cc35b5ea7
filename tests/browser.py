"""Pages of the product in the Chromium that this machine has, driven by Playwright."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, expect, sync_playwright

T = TypeVar("T")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome in PATH")


class Visit:
    """A page, with what went wrong on it and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)


def beside(call: Callable[[], T]) -> T:
    """Call this in a thread of its own, and with database connections of its own.

    While a page is open, Playwright runs an event loop in the test's thread, where Django refuses queries.
    """

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


@cache
def _shared() -> tuple[Browser, AbstractEventLoop]:
    """The browser of all tests of this process, and the loop that Playwright runs in."""
    # Chromium keeps to its sandbox except where it cannot: for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    playwright = sync_playwright().start()
    loop = asyncio.get_running_loop()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    # Ample, for a machine that is busy with other tests.
    expect.set_options(timeout=30_000)

    def stop() -> None:
        asyncio._set_running_loop(loop)
        browser.close()
        playwright.stop()

    atexit.register(stop)
    return browser, loop


@contextmanager
def visiting(base_url: str, **options: Any) -> Iterator[Visit]:
    """A page with cookies and caches of its own, in which addresses are relative to *base_url*."""
    browser, loop = _shared()
    # The loop counts as running as long as there is a page, and not beyond: tests that know of none follow.
    asyncio._set_running_loop(loop)
    try:
        context = browser.new_context(base_url=base_url, **options)
        context.set_default_timeout(30_000)
        try:
            yield Visit(context.new_page())
        finally:
            context.close()
    finally:
        asyncio._set_running_loop(None)
