#!/bin/sh
# Starts the application before its own database and before no other. What is expected stands here, in the image.
set -eu
holdfast check "$DATABASE_URL" --expect acme/production # ends with 4 where it is another one, with 7 where none answers
exec "$@"
