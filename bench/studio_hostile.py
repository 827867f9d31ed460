"""Requests that a studio has to refuse: other hosts, origins, tokens, methods, paths, and what is too large."""

import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

REFUSED: Final = range(400, 500)
TOKENS: Final = ("", "x", "null", "undefined", "0" * 32, "../token", "%00", "a" * 500)
HOSTS: Final = ("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example",
                "[::1]:{port}", "0.0.0.0:{port}", "127.0.0.1:1", "2130706433:{port}", "127.1:{port}", "")  # fmt: skip
ORIGINS: Final = ("http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.1:1",
                  "http://127.0.0.1:{port}.evil.example", "file://")  # fmt: skip
PATHS: Final = (
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/page.css%00", "/static//etc/passwd",
    "/strip/..%2f..%2fetc%2fpasswd/0.jpg", "/strip/0000000000000000/0.jpg", "/recordings/../../etc/passwd/play",
    "/recordings/..%2f..%2fmodels/play", "/models/%2e%2e", "/recordings/s/frame/-1.jpg", "/recordings/s/frame/x.jpg",
    "/etc/passwd", "/labels/more?after=x",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is sent. known: with the cookie of a browser that was let in; changes: with the page's token as well."""

    what: str
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    known: bool = True
    changes: bool = False


def requests(port: int) -> Iterator[Request]:
    """All of them, for a studio on this port."""
    yield Request("no token", known=False)
    for token in TOKENS:
        yield Request(f"token {token[:12]!r}", path=f"/?token={token}", known=False)
        yield Request(f"cookie {token[:12]!r}", headers={"Cookie": f"protege_{port}={token}"}, known=False)
    for host in HOSTS:
        yield Request(f"host {host!r}", headers={"Host": host.format(port=port)})
    for origin in ORIGINS:
        headers = {"Origin": origin.format(port=port)}
        yield Request(f"origin {origin!r}", headers=headers)
        yield Request(f"change from {origin!r}", "POST", "/labels/undo", headers, b"{}", changes=True)
    for site in ("cross-site", "same-site", "x"):
        yield Request(f"from {site}", headers={"Sec-Fetch-Site": site})
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        yield Request(f"method {method}", method, "/labels")
    for path in PATHS:
        yield Request(f"path {path}", path=path)
    yield from _changes()


def _changes() -> Iterator[Request]:
    undo = "/labels/undo"
    yield Request("a change without the page's token", "POST", undo, body=b"{}")
    yield Request("a change with another token", "POST", undo, {"X-Studio-Token": "0" * 64}, b"{}")
    yield Request("a change by GET", path="/labels/accept")
    yield Request("a deletion by GET", path="/recordings/s/delete")
    yield Request("a form", "POST", undo, {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1", changes=True)
    yield Request("plain text", "POST", undo, {"Content-Type": "text/plain"}, b"{}", changes=True)
    yield Request("too much", "POST", undo, body=b'{"ids": ["' + b"x" * 70_000 + b'"]}', changes=True)
    yield Request("no JSON", "POST", "/labels/accept", body=b"{", changes=True)
    yield Request("no list", "POST", "/labels/accept", body=b'{"ids": "s_seg000"}', changes=True)
    yield Request("a path for an id", "POST", "/labels/accept", body=b'{"ids": ["../../etc"]}', changes=True)
    yield Request("other work", "POST", "/jobs/start", body=b'{"name": "rm -rf /"}', changes=True)
    yield Request("a long address", path="/" + "x" * 5000)
    yield Request("a huge cookie", headers={"Cookie": "x=" + "y" * 5000}, known=False)


def refused(port: int, cookie: str, changes: str, request: Request) -> bool:
    """Send one. cookie, changes: what a browser that was let in has. Whether the studio refuses it."""
    headers = {"Content-Type": "application/json", **request.headers}
    if request.known:
        headers["Cookie"] = f"protege_{port}={cookie}"
    if request.changes:
        headers["X-Studio-Token"] = changes
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(request.method, request.path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        answer = connection.getresponse()
        return answer.status in REFUSED and b"root:" not in answer.read()
    except (http.client.HTTPException, OSError):
        return True  # it hung up
    finally:
        connection.close()
