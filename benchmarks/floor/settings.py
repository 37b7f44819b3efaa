"""The site's settings for "floor": no middleware, and one view."""

from voicemail_site.settings import *  # noqa: F403  # It differs in what follows.

MIDDLEWARE = []
ROOT_URLCONF = "benchmarks.floor.urls"
WSGI_APPLICATION = "benchmarks.wsgi.application"
