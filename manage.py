#!/usr/bin/env python3
"""The one entry point: ``demo``, ``test`` and every Django command.

Needs nothing but Python: where the packages are missing it first makes ``.venv`` and goes on in there. This
file keeps to what every Python can read, so that an old one is told what is wrong.
"""

import os
import sys

OLDEST = (3, 11)


def main():
    if sys.version_info < OLDEST:
        sys.exit(
            "Chandlery needs Python 3.11 or later; this is Python "
            + sys.version.split()[0]
            + " ("
            + sys.executable
            + "). Run a newer one by its name, as in: python3.12 manage.py demo"
        )
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (any Python)
    if here not in sys.path:
        sys.path.insert(0, here)
    from project import bootstrap

    bootstrap.ensure(sys.argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings.dev")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
