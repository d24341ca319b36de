"""Answers with the zone and the path that a WSGI app acts on."""

from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    zone = "admin" if path == "/admin" or path.startswith("/admin/") else "open"
    body = f"{zone} ".encode() + path.encode("latin-1")
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
