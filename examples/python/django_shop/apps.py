from django.apps import AppConfig
from django.db.backends.signals import connection_created

from expected_database import ASSERT_IDENTITY


class ShopConfig(AppConfig):
    name = "django_shop"

    def ready(self):
        connection_created.connect(assert_identity)


def assert_identity(connection, **_):
    if connection.alias != "default":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(ASSERT_IDENTITY)
    except Exception:
        connection.close()  # Django has it already, and would use it for what comes next
        raise
