"""The entry of the web server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicemail_site.settings")

# A page that takes longer has lost its reader; commands such as an import have no limit.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT", "5000")

application = get_wsgi_application()
