"""Who may ask: this machine's browser, with the token that the terminal printed, from the studio's own pages."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY: Final = 64 << 10
MOST_TARGET: Final = 2048
"""Bytes of a path with its query."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
ADDRESS: Final = "open the address that `protege studio` printed"


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status and a line for whoever asked."""

    status: int
    why: str


@dataclass(frozen=True)
class Gate:
    """port: where the studio listens on 127.0.0.1; token: what a browser must show; changes: what a page must send
    with everything that changes something.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def changes(self) -> str:
        return hashlib.sha256(f"changes {self.token}".encode()).hexdigest()

    @property
    def cookie(self) -> str:
        """Cookies are shared by all ports of a host, hence its number."""
        return f"protege_{self.port}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def refusal(self, scope: Scope) -> Refusal | None:
        """None if a request may pass; looked at before anything else is."""
        headers = scope["headers"]
        hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        if [_text(v) for k, v in headers if k == b"host"] not in [[host] for host in hosts]:
            return Refusal(403, f"another host's name; {ADDRESS}")
        origins = {f"http://{host}" for host in hosts}
        if any(_text(v) not in origins for k, v in headers if k == b"origin"):
            return Refusal(403, f"asked for by another page; {ADDRESS}")
        if any(_text(v) not in ("same-origin", "none") for k, v in headers if k == b"sec-fetch-site"):
            return Refusal(403, f"asked for by another page; {ADDRESS}")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return Refusal(405, "only GET and POST")
        if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > MOST_TARGET:
            return Refusal(414, "the address is too long")
        if not self._known(scope):
            return Refusal(403, f"no token, or an old one; {ADDRESS}")
        return self._refused_change(headers) if scope["method"] == "POST" else None

    def _known(self, scope: Scope) -> bool:
        shown = self.cookie_of(scope) or self.token_of(scope)
        return secrets.compare_digest(shown.encode(), self.token.encode())

    def cookie_of(self, scope: Scope) -> str:
        jar = SimpleCookie()
        try:
            jar.load("; ".join(_text(v) for k, v in scope["headers"] if k == b"cookie"))
        except CookieError:
            return ""
        return jar[self.cookie].value if self.cookie in jar else ""

    def token_of(self, scope: Scope) -> str:
        """The token in the address, or ""."""
        given = parse_qs(_text(scope["query_string"])).get("token", [""])
        return given[0] if len(given) == 1 else ""

    def _refused_change(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        sent = [_text(v) for k, v in headers if k == b"x-studio-token"]
        if len(sent) != 1 or not secrets.compare_digest(sent[0].encode(), self.changes.encode()):
            return Refusal(403, "a change without the page's token; load the page again")
        if not any(k == b"content-type" and _text(v).split(";")[0] == "application/json" for k, v in headers):
            return Refusal(415, "a change is sent as JSON")
        length = [_text(v) for k, v in headers if k == b"content-length"]
        if len(length) != 1 or not length[0].isascii() or not length[0].isdigit():
            return Refusal(411, "a change says how long it is")
        if len(length[0]) > 9 or int(length[0]) > MOST_BODY:
            return Refusal(413, f"a change has at most {MOST_BODY:,} bytes")
        return None


def guarded(app: App, gate: Gate) -> App:
    """The app behind its gate, with the headers that keep its pages to themselves."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":  # a web socket: the studio has none
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message["headers"] if k.lower() not in HEADERS]
                message["headers"] = [*kept, *HEADERS.items()]
            await send(message)

        if (refused := gate.refusal(scope)) is not None:
            await _say(answer, refused.status, f"{refused.status}: {refused.why}\n", [])
        elif gate.token_of(scope) and scope["method"] == "GET":
            # The token goes into a cookie, and out of the address, so that no picture of the screen shows it.
            kept = f"{gate.cookie}={gate.token}; HttpOnly; SameSite=Strict; Path=/"
            path = scope["path"] if scope["path"].startswith("/") and not scope["path"].startswith("//") else "/"
            place = [(b"location", path.encode("ascii", "replace")), (b"set-cookie", kept.encode())]
            await _say(answer, 303, "", place)
        else:
            await app(scope, receive, answer)

    return asked


async def _say(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": text.encode()})


def _text(value: bytes) -> str:
    return value.decode("latin-1")
