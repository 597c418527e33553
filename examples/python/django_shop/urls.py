from django.db import connection
from django.http import HttpResponse
from django.urls import path


def count_users(_):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users")
        return HttpResponse(f"{cursor.fetchone()[0]} users\n")


urlpatterns = [path("", count_users)]
