"""The rest of the application: it opens its port when the database has answered once, and not before."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def serve(count_users):
    try:
        count_users()
    except Exception as error:
        sys.exit(f"not started: {said(error)}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                status, answer = 200, f"{count_users()} users\n"
            except Exception as error:
                print(f"not answered: {said(error)}", file=sys.stderr, flush=True)
                status, answer = 503, "no database\n"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


def said(error):
    """What the server said and advises; SQLAlchemy wraps it."""
    original = getattr(error, "orig", error)
    diagnosis = getattr(original, "diag", None)
    if diagnosis is None or diagnosis.message_primary is None:
        return str(original)
    return "\n".join(filter(None, [diagnosis.message_primary, diagnosis.message_hint]))
