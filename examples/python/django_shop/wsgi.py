import os
import sys

from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_shop.settings")
application = get_wsgi_application()
try:
    connection.ensure_connection()  # with gunicorn --preload: before the port is open
    connection.close()  # workers make their own
except DatabaseError as error:
    sys.exit(f"not started: {error}")
