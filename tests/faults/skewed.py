"""The settings of a process whose clock is an hour ahead, or behind: ``CLOCK_OFF`` seconds."""

from __future__ import annotations

import os
import time

import time_machine

from project.settings.test import *  # noqa: F403

time_machine.travel(time.time() + float(os.environ["CLOCK_OFF"]), tick=True).start()
