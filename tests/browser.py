"""Pages of the product in the Chromium that this machine has, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from django.db import connections
from playwright.sync_api import Page, expect, sync_playwright

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


@contextmanager
def visiting(base_url: str, **context: Any) -> Iterator[Visit]:
    """A page in a browser of its own, in which addresses are relative to *base_url*."""
    # Chromium keeps to its sandbox except where it cannot: for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            page = browser.new_context(base_url=base_url, **context).new_page()
            # Ample, for a machine that is busy with other tests.
            page.set_default_timeout(30_000)
            expect.set_options(timeout=30_000)
            yield Visit(page)
        finally:
            browser.close()
