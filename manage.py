#!/usr/bin/env python
"""Run a command of the service: ``manage.py help`` lists them."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command; a bad setting ends it with the message alone, without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicemail_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
