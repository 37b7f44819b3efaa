#!/usr/bin/env python
"""Run a command of the service: ``manage.py help`` lists them."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def open_standard_streams() -> None:
    """Put nowhere in the place of a stream that is closed.

    Otherwise the next file or connection would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode))


def main() -> None:
    """Run the command; a bad setting ends it with the message alone, without a traceback."""
    open_standard_streams()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicemail_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
