"""Responses that servers send and RFC 9112 does not allow, or hardly.

docs/upstream-responses.md says what nginx, HAProxy, Go and the gateway make of each.
`python -m tests.proxy.unusual` probes the three and prints the rows of that page.
"""

import http.client
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    parse_headers,
)
from pathlib import Path
from subprocess import Popen, run
from threading import Thread
from time import monotonic
from typing import Final

from tests.servers import free_port

PAGE: Final = Path(__file__).parents[2] / "docs" / "upstream-responses.md"
TAKEN, REFUSED, CUT, WAITS, MISREAD = "taken", "refused", "cut off", "waits", "misread"


@dataclass(frozen=True, slots=True)
class Unusual:
    """A response, and what the upstream does afterwards."""

    wire: bytes
    then: str = "open"  # or "close", "reset"
    method: str = "GET"
    status: int = 200
    content: bytes = b"abc"


def head(
    *lines: bytes, status: bytes = b"HTTP/1.1 200 OK", end: bytes = b"\r\n"
) -> bytes:
    return end.join((status, *lines, b"", b""))


LENGTH: Final = b"Content-Length: 3"
CODING: Final = b"Transfer-Encoding: chunked"
CHUNKS: Final = b"3\r\nabc\r\n0\r\n\r\n"
_PLAIN: Final = head(LENGTH) + b"abc"


def field(*lines: bytes) -> Unusual:
    return Unusual(head(*lines, LENGTH) + b"abc")


def first(line: bytes, status: int = 200) -> Unusual:
    return Unusual(head(LENGTH, status=line) + b"abc", status=status)


def framed(*lines: bytes, body: bytes = b"abc", then: str = "open") -> Unusual:
    return Unusual(head(*lines) + body, then)


def chunks(body: bytes, then: str = "open") -> Unusual:
    return Unusual(head(CODING) + body, then)


def empty(number: int, *lines: bytes, body: bytes = b"", then: str = "open") -> Unusual:
    line = b"HTTP/1.1 %d Any" % number
    return Unusual(head(*lines, status=line) + body, then, status=number, content=b"")


def interim(before: bytes, wire: bytes = _PLAIN) -> Unusual:
    return Unusual(before + wire)


_100: Final = b"HTTP/1.1 100 Continue\r\n"

SECTIONS: Final[dict[str, dict[str, Unusual]]] = {
    "Status line": {
        "no reason phrase": first(b"HTTP/1.1 200 "),
        "no reason phrase, and no space before it": first(b"HTTP/1.1 200"),
        "UTF-8 in the reason phrase": first("HTTP/1.1 200 Schön".encode()),
        "a control character in the reason phrase": first(b"HTTP/1.1 200 O\x01K"),
        "a CR in the reason phrase": first(b"HTTP/1.1 200 O\rK"),
        "two spaces before the status": first(b"HTTP/1.1  200 OK"),
        "a tab before the reason phrase": first(b"HTTP/1.1 200\tOK"),
        "a tab before the status": first(b"HTTP/1.1\t200 OK"),
        "`HTTP/1.2`": first(b"HTTP/1.2 200 OK"),
        "`HTTP/2.0`": first(b"HTTP/2.0 200 OK"),
        "`HTTP/2` without a minor version": first(b"HTTP/2 200 OK"),
        "`http/1.1`": first(b"http/1.1 200 OK"),
        "`ICY 200 OK`": first(b"ICY 200 OK"),
        "`Status: 200 OK` as the first line": first(b"Status: 200 OK"),
        "status 600": first(b"HTTP/1.1 600 Custom", 600),
        "status 999": first(b"HTTP/1.1 999 Denied", 999),
        "status 099": first(b"HTTP/1.1 099 OK", 99),
        "status 2000": first(b"HTTP/1.1 2000 OK", 2000),
        "status +200": first(b"HTTP/1.1 +200 OK"),
        "no head at all (HTTP/0.9)": Unusual(b"<html>abc</html>"),
        "an empty line before the status line": Unusual(b"\r\n" + _PLAIN),
        "a space before the status line": Unusual(b" " + _PLAIN),
        "a byte order mark before the status line": Unusual(b"\xef\xbb\xbf" + _PLAIN),
    },
    "Line ends": {
        "LF ends every line of the head": Unusual(
            head(b"X: y", LENGTH, end=b"\n") + b"abc"
        ),
        "LF ends one line of the head": Unusual(
            b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 3\r\n\r\nabc"
        ),
        "LF ends the status line": Unusual(
            b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc"
        ),
        "LF is the empty line": Unusual(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\nabc"
        ),
        "CRLF is the empty line after lines with LF": Unusual(
            b"HTTP/1.1 200 OK\nContent-Length: 3\n\r\nabc"
        ),
        "CR CR LF ends every line": Unusual(head(LENGTH, end=b"\r\r\n") + b"abc"),
        "CR ends every line": Unusual(head(LENGTH, end=b"\r") + b"abc"),
        "the head has no end": Unusual(head(LENGTH)[:-2], "close"),
        "HTML follows the status line": Unusual(b"HTTP/1.1 200 OK\r\n<html>\r\n"),
    },
    "Fields": {
        "space before the colon": field(b"X : y"),
        "tab before the colon": field(b"X\t: y"),
        "space before the colon of `Set-Cookie`": field(b"Set-Cookie : a=b"),
        "space before the colon of `Content-Length`": framed(b"Content-Length : 3"),
        "space before the colon of `Transfer-Encoding`": framed(
            b"Transfer-Encoding : chunked", body=CHUNKS
        ),
        "a folded value": field(b"X: a", b" b"),
        "a value folded with a tab": field(b"X: a", b"\tb"),
        "a value folded twice": field(b"X: a", b" b", b"  c"),
        "a folded `Set-Cookie`": field(b"Set-Cookie: a=b;", b" Path=/"),
        "a folded `Content-Length`": framed(b"Content-Length:", b" 3"),
        "a folded `Transfer-Encoding`": framed(
            b"Transfer-Encoding:", b" chunked", body=CHUNKS
        ),
        "a folded first line": field(b" X: a"),
        "a line without a colon": field(b"nonsense"),
        "no name": field(b": y"),
        "a space in a name": field(b"X Y: y"),
        "brackets in a name": field(b"X(Y): y"),
        "a slash in a name": field(b"X/Y: y"),
        "UTF-8 in a name": field("Ü: y".encode()),
        "an underscore in a name": field(b"X_Y: y"),
        "no value": field(b"X:"),
        "UTF-8 in a value": field("X: é".encode()),
        "Latin-1 in a value": field("X: é".encode("latin-1")),
        "NUL in a value": field(b"X: a\0b"),
        "CR in a value": field(b"X: a\rb"),
        "another control character in a value": field(b"X: a\x01b"),
        "ESC in a value": field(b"X: \x1b[31m"),
        "DEL in a value": field(b"X: a\x7fb"),
        "a vertical tab in a value": field(b"X: a\x0bb"),
        "a control character in `Set-Cookie`": field(b"Set-Cookie: a=\x01b"),
        "NUL in a name": field(b"X\0Y: a"),
        "`Location` twice": Unusual(
            head(LENGTH, *[b"Location: /a"] * 2, status=b"HTTP/1.1 302 Found") + b"abc",
            status=302,
        ),
        "`Content-Type` twice": field(b"Content-Type: text/html", b"Content-Type: a/b"),
        "300 fields": field(*[b"X%d: y" % number for number in range(300)]),
        "a head of 40 KiB": field(*[b"X: " + b"y" * 1000] * 40),
        "a head of 200 KiB": field(*[b"X: " + b"y" * 1000] * 200),
    },
    "Length": {
        "`Content-Length` twice, equal": framed(LENGTH, LENGTH),
        "`Content-Length` twice, different": framed(LENGTH, b"Content-Length: 4"),
        "`Content-Length: 3, 3`": framed(b"Content-Length: 3, 3"),
        "`Content-Length: 3, 4`": framed(b"Content-Length: 3, 4"),
        "`Content-Length: 3,`": framed(b"Content-Length: 3,"),
        "`Content-Length: 003`": framed(b"Content-Length: 003"),
        "`Content-Length: +3`": framed(b"Content-Length: +3"),
        "`Content-Length: -3`": framed(b"Content-Length: -3"),
        "`Content-Length: 0x3`": framed(b"Content-Length: 0x3"),
        "`Content-Length: 3.0`": framed(b"Content-Length: 3.0"),
        "an empty `Content-Length`": framed(b"Content-Length:"),
        "`Content-Length` above 2^64": framed(b"Content-Length: %d" % (2**64 + 3)),
        "`Content-Length`, then chunked": framed(
            b"Content-Length: 13", CODING, body=CHUNKS
        ),
        "chunked, then `Content-Length`": framed(
            CODING, b"Content-Length: 13", body=CHUNKS
        ),
        "chunked, with `Content-Length: 0`": framed(
            CODING, b"Content-Length: 0", body=CHUNKS
        ),
        "chunked, with two different `Content-Length`": framed(
            CODING, b"Content-Length: 0", b"Content-Length: 1", body=CHUNKS
        ),
        "bytes after the body": framed(LENGTH, body=b"abcdef"),
        "CRLF after the body": framed(LENGTH, body=b"abc\r\n"),
        "a second response after the body": framed(
            LENGTH, body=b"abc" + head(b"Content-Length: 4") + b"evil"
        ),
        "more than `Content-Length`, with `Connection: close`": framed(
            LENGTH, b"Connection: close", body=b"abcdef", then="close"
        ),
        "less than `Content-Length`": Unusual(
            head(b"Content-Length: 10") + b"abc", "close", content=b"abc and more"
        ),
    },
    "No length": {
        "`Connection: keep-alive`, then closed": framed(
            b"Connection: keep-alive", then="close"
        ),
        "`Connection: keep-alive`, and kept open": framed(b"Connection: keep-alive"),
        "HTTP/1.0, then closed": Unusual(
            head(status=b"HTTP/1.0 200 OK") + b"abc", "close"
        ),
        "HTTP/1.0 with `Connection: keep-alive`, then closed": Unusual(
            head(b"Connection: keep-alive", status=b"HTTP/1.0 200 OK") + b"abc", "close"
        ),
        "HTTP/1.0 with a length and `keep-alive`": Unusual(
            head(b"Connection: keep-alive", LENGTH, status=b"HTTP/1.0 200 OK") + b"abc"
        ),
        "HTTP/1.0 with a length, and kept open": Unusual(
            head(LENGTH, status=b"HTTP/1.0 200 OK") + b"abc"
        ),
        "HTTP/1.0, chunked": Unusual(
            head(CODING, status=b"HTTP/1.0 200 OK") + CHUNKS, "close"
        ),
        "then a reset": framed(then="reset"),
    },
    "Transfer-Encoding": {
        "`Chunked`": framed(b"Transfer-Encoding: Chunked", body=CHUNKS),
        "`chunked` twice": framed(CODING, CODING, body=CHUNKS),
        "`chunked, chunked`": framed(CODING + b", chunked", body=CHUNKS),
        "`chunked,`": framed(CODING + b",", body=CHUNKS),
        "`chunked;a=b`": framed(CODING + b";a=b", body=CHUNKS, then="close"),
        "`gzip, chunked`": framed(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
        "`chunked, gzip`": framed(CODING + b", gzip", body=CHUNKS, then="close"),
        "`gzip`": framed(b"Transfer-Encoding: gzip", then="close"),
        "`identity`, with a length": framed(b"Transfer-Encoding: identity", LENGTH),
        "`identity`": framed(b"Transfer-Encoding: identity", then="close"),
        "`xchunked`": framed(b"Transfer-Encoding: xchunked", body=CHUNKS, then="close"),
        "a vertical tab before `chunked`": framed(
            b"Transfer-Encoding: \x0bchunked", body=CHUNKS
        ),
        "empty, with a length": framed(b"Transfer-Encoding:", LENGTH),
    },
    "Chunks": {
        "an upper-case size": Unusual(
            head(CODING) + b"A\r\n0123456789\r\n0\r\n\r\n", content=b"0123456789"
        ),
        "a lower-case size": Unusual(
            head(CODING) + b"a\r\n0123456789\r\n0\r\n\r\n", content=b"0123456789"
        ),
        "a size with leading zeros": chunks(b"0003\r\nabc\r\n000\r\n\r\n"),
        "spaces after the size": chunks(b"3   \r\nabc\r\n0   \r\n\r\n"),
        "a tab after the size": chunks(b"3\t\r\nabc\r\n0\r\n\r\n"),
        "a space before the size": chunks(b" 3\r\nabc\r\n0\r\n\r\n"),
        "`0x3` as the size": chunks(b"0x3\r\nabc\r\n0\r\n\r\n"),
        "`-3` as the size": chunks(b"-3\r\nabc\r\n0\r\n\r\n"),
        "no size": chunks(b"\r\nabc\r\n0\r\n\r\n"),
        "a size above 2^64": chunks(b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
        "an extension": chunks(b"3;a=b\r\nabc\r\n0\r\n\r\n"),
        "an extension after a space": chunks(b"3 ;a=b\r\nabc\r\n0\r\n\r\n"),
        "an extension without a name": chunks(b"3;\r\nabc\r\n0\r\n\r\n"),
        "an extension with a space in it": chunks(b"3; a=b\r\nabc\r\n0\r\n\r\n"),
        "LF in an extension": chunks(b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
        "LF after the size": chunks(b"3\nabc\r\n0\r\n\r\n"),
        "LF after the content": chunks(b"3\r\nabc\n0\r\n\r\n"),
        "LF after every line": chunks(b"3\nabc\n0\n\n"),
        "LF as the last line": chunks(b"3\r\nabc\r\n0\r\n\n"),
        "more content than the size": chunks(b"3\r\nabcd\r\n0\r\n\r\n"),
        "no last CRLF, then closed": chunks(b"3\r\nabc\r\n0\r\n", "close"),
        "no last CRLF, and kept open": chunks(b"3\r\nabc\r\n0\r\n"),
        "no last chunk, then closed": chunks(b"3\r\nabc\r\n", "close"),
        "trailers": chunks(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
        "an invalid trailer": chunks(b"3\r\nabc\r\n0\r\nX Y\r\n\r\n"),
        "`Content-Length` as a trailer": chunks(
            b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"
        ),
        "bytes after the last chunk": chunks(CHUNKS + b"def"),
        "a second response after the last chunk": chunks(
            CHUNKS + head(b"Content-Length: 4") + b"evil"
        ),
    },
    "No body": {
        "204 with a length and a body": empty(204, LENGTH, body=b"abc"),
        "204 with `Content-Length: 0`": empty(204, b"Content-Length: 0"),
        "204 with chunks": empty(204, CODING, body=CHUNKS),
        "204 with a body, then closed": empty(204, body=b"abc", then="close"),
        "304 with a length": empty(304, LENGTH),
        "304 with a length and a body": empty(304, LENGTH, body=b"abc"),
        "304 with chunks": empty(304, CODING, body=CHUNKS),
        "205 with a body": Unusual(
            head(LENGTH, status=b"HTTP/1.1 205 Reset") + b"abc", status=205
        ),
        "HEAD, and a body": Unusual(_PLAIN, method="HEAD", content=b""),
        "HEAD, and chunks": Unusual(head(CODING) + CHUNKS, method="HEAD", content=b""),
        "HEAD, with a length and chunked": Unusual(
            head(LENGTH, CODING), method="HEAD", content=b""
        ),
    },
    "Interim responses": {
        "100 that was not asked for": interim(_100 + b"\r\n"),
        "100 twice": interim((_100 + b"\r\n") * 2),
        "102": interim(b"HTTP/1.1 102 Processing\r\n\r\n"),
        "103 with `Link`": interim(b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n"),
        "199": interim(b"HTTP/1.1 199 Any\r\n\r\n"),
        "100 with lines that end with LF": interim(b"HTTP/1.1 100 Continue\n\n"),
        "100 with `Content-Length: 3`": interim(_100 + LENGTH + b"\r\n\r\n"),
        "100 with a body": interim(_100 + LENGTH + b"\r\n\r\nabc"),
        "100 in HTTP/1.0": interim(b"HTTP/1.0 100 Continue\r\n\r\n"),
        "100, then closed": Unusual(_100 + b"\r\n", "close"),
        "100 after the final response": Unusual(_PLAIN + _100 + b"\r\n"),
        "30 times 100": interim((_100 + b"\r\n") * 30),
        "101 that was not asked for": empty(
            101, b"Upgrade: websocket", b"Connection: upgrade"
        ),
        "101, then 200": interim(b"HTTP/1.1 101 Switching\r\n\r\n"),
    },
    "Other": {
        "`Connection: close, keep-alive`": field(b"Connection: close, keep-alive"),
        "`Connection: Content-Length`": field(b"Connection: Content-Length"),
        "`Upgrade` in a 200": field(b"Upgrade: h2c", b"Connection: Upgrade"),
        "`Trailer` without chunks": field(b"Trailer: X"),
        "nothing, then closed": Unusual(b"", "close"),
        "closed in the status line": Unusual(b"HTTP/1.1 20", "close"),
    },
}
RESPONSES: Final = {
    f"{section}: {name}": each
    for section, rows in SECTIONS.items()
    for name, each in rows.items()
}


# The probe


def probe() -> dict[str, dict[str, str]]:
    """Return what each program makes of each response: name, program, verdict."""
    with tempfile.TemporaryDirectory() as folder, _upstream() as upstream:
        started = dict(_programs(Path(folder), upstream))
        try:
            _wait_for([port for port, _ in started.values()])
            jobs = [
                (name, program, number, port)
                for number, name in enumerate(RESPONSES)
                for program, (port, _) in started.items()
            ]
            with ThreadPoolExecutor(24) as pool:
                verdicts = pool.map(lambda job: _verdict(job[3], job[2]), jobs)
                found: dict[str, dict[str, str]] = {}
                for (name, program, *_), verdict in zip(jobs, verdicts, strict=True):
                    found.setdefault(name, {})[program] = verdict
            return found
        finally:
            for _, process in started.values():
                process.terminate()
                process.wait()


@contextmanager
def _upstream() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept() -> None:
        while True:
            try:
                opened, _ = server.accept()
            except OSError:
                return
            Thread(target=_serve, args=(opened,), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


def _serve(opened: socket.socket) -> None:
    held = b""
    with opened:
        while True:
            try:
                while b"\r\n\r\n" not in held:
                    data = opened.recv(65536)
                    if not data:
                        return
                    held += data
                request, _, held = held.partition(b"\r\n\r\n")
                number = int(request.split(b" ")[1].lstrip(b"/"))
                each = list(RESPONSES.values())[number]
                opened.sendall(each.wire)
            except OSError:
                return
            if each.then == "reset":
                linger = struct.pack("ii", 1, 0)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if each.then != "open":
                return


http.client._MAXHEADERS = 10_000  # type: ignore[attr-defined]
_WAIT: Final = 2.0
_NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream app {{ server 127.0.0.1:{upstream} max_fails=0; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_read_timeout 2s; proxy_next_upstream off;
      proxy_buffer_size 64k; proxy_buffers 8 64k;
    }}
  }}
}}
"""
_HAPROXY: Final = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 2s
  retries 0
frontend clients
  bind 127.0.0.1:{port}
  default_backend app
backend app
  http-reuse always
  server app 127.0.0.1:{upstream}
"""
_GO: Final = """package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	target, _ := url.Parse("http://127.0.0.1:" + os.Args[2])
	log.SetOutput(io.Discard)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{ResponseHeaderTimeout: 2 * time.Second}
	http.ListenAndServe("127.0.0.1:"+os.Args[1], proxy)
}
"""


def _programs(
    folder: Path, upstream: int
) -> Iterator[tuple[str, tuple[int, "Popen[bytes]"]]]:
    def written(name: str, text: str, port: int) -> str:
        path = folder / name
        path.write_text(text.format(folder=folder, port=port, upstream=upstream))
        return str(path)

    port = free_port()
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert nginx, "nginx is not installed"
    config = written("nginx", _NGINX, port)
    yield "nginx", (port, Popen([nginx, "-p", folder, "-c", config]))

    port = free_port()
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert haproxy, "haproxy is not installed"
    yield "HAProxy", (port, Popen([haproxy, "-f", written("haproxy", _HAPROXY, port)]))

    port = free_port()
    (folder / "main.go").write_text(_GO)
    run(["go", "build", "-o", folder / "go", folder / "main.go"], check=True)
    yield "Go", (port, Popen([folder / "go", str(port), str(upstream)]))


def _wait_for(ports: list[int]) -> None:
    for port in ports:
        deadline = monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                assert monotonic() < deadline, "a program did not start"
            else:
                break


class _Final(HTTPResponse):
    """A response whose interim responses are skipped: http.client skips 100 only."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 <= found[1] < 200 or found[1] == 101:
                return found
            parse_headers(self.fp)


def _verdict(port: int, number: int) -> str:
    each = list(RESPONSES.values())[number]
    connection = HTTPConnection("127.0.0.1", port, timeout=_WAIT * 1.5)
    connection.response_class = _Final
    begun = monotonic()
    content, status, whole = b"", 0, True
    try:
        connection.request(each.method, f"/{number}")
        response = connection.getresponse()
        status = response.status
        bodiless = each.method == "HEAD" or status in {204, 304}
        while not bodiless and (piece := response.read1()):
            content += piece
    except (OSError, HTTPException, OverflowError):
        whole = False
    finally:
        connection.close()
    if monotonic() - begun > _WAIT * 0.8:
        return WAITS
    if status in {0, 500, 502, 503, 504}:
        return REFUSED
    if not whole or (content != each.content and each.content.startswith(content)):
        return CUT
    return TAKEN if (status, content) == (each.status, each.content) else MISREAD


def documented() -> dict[str, dict[str, str]]:
    """Return the table of the page: name, program, verdict."""
    found: dict[str, dict[str, str]] = {}
    section, columns = "", list[str]()
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| Response"):
            columns = cells[1:]
        elif section in SECTIONS and line.startswith("| ") and cells[0] != "---":
            found[f"{section}: {cells[0]}"] = dict(zip(columns, cells[1:], strict=True))
    return found


def main() -> None:
    """Print the tables of the page, with the gateway's column as documented."""
    found, ours = probe(), documented()
    section = ""
    for name, verdicts in found.items():
        begins, _, rest = name.partition(": ")
        if begins != section:
            section = begins
            print(f"\n## {section}\n\n| Response | nginx | HAProxy | Go | Gateway |")
            print("| --- | --- | --- | --- | --- |")
        cells = [*verdicts.values(), ours.get(name, {}).get("Gateway", "?")]
        print(f"| {rest} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
