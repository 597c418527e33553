import os
from urllib.parse import urlsplit

database = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": database.hostname,
        "PORT": database.port or 5432,
        "NAME": database.path.removeprefix("/"),
        "USER": database.username,
        "PASSWORD": database.password or "",
        "OPTIONS": {"application_name": "shop"},
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
INSTALLED_APPS = ["django_shop"]
ROOT_URLCONF = "django_shop.urls"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
TIME_ZONE = "UTC"
SECRET_KEY = "an example keeps no secrets"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Without it, errors of requests go to the administrators' mail alone.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"], "propagate": False}},
}
