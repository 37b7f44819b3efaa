"""The entry of the web server for the two references; their settings are named outside."""

import os

from django.core.wsgi import get_wsgi_application

# As the site's own.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT", "5000")

application = get_wsgi_application()
