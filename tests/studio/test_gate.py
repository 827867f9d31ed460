"""Nobody but a browser with the token gets anything; and one that was let in gets no file by its path."""

import hashlib
import http.client

import pytest

from bench.studio_hostile import refused as is_refused
from bench.studio_hostile import requests
from protege.studio.gate import Gate
from tests.studio.conftest import make, started


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with started(make(tmp_path_factory.mktemp("gate") / "p").root) as found:
        yield found


def changes_of(token):
    return hashlib.sha256(f"changes {token}".encode()).hexdigest()


HOSTILE = list(requests(0))


def test_there_are_enough_hostile_requests():
    assert len(HOSTILE) >= 40
    assert len({one.what for one in HOSTILE}) == len(HOSTILE)


def test_every_hostile_request_is_refused(served):
    passed = [
        one.what
        for one in requests(served.port)
        if not is_refused(served.port, served.token, changes_of(served.token), one)
    ]
    assert passed == []


def get(served, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.headers), answer.read().decode(errors="replace")
    connection.close()
    return found


def test_the_right_token_becomes_a_cookie_and_leaves_the_address(served):
    status, headers, _ = get(served, f"/?token={served.token}")
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    status, headers, text = get(served, "/", Cookie=cookie)
    assert status == 200
    assert "Where you are" in text
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_a_refusal_says_what_to_do_and_tells_nothing(served):
    status, headers, text = get(served, "/")
    assert (status, text) == (403, "403: no token, or an old one; open the address that `protege studio` printed\n")
    assert headers["content-security-policy"]


def test_every_studio_has_tokens_of_its_own():
    assert Gate(1).token != Gate(1).token
    assert Gate(1, "a").changes != Gate(1, "b").changes
