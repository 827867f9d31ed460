"""Breaks JSON, lines of JSON, YAML, and files of any kind."""

import json
import os
import random
from typing import Any

from tests.fuzz.values import change


def dump(value: Any) -> bytes:
    """As JSON that keeps what JSON does not allow: NaN, lone surrogates as escapes."""
    return json.dumps(value).encode()


def json_file(data: bytes, rng: random.Random) -> bytes:
    try:
        value = json.loads(data)
    except ValueError:
        return raw(data, rng)
    if rng.random() < 0.12:
        return text_file(data, rng)
    return dump(change(value, rng))


def text_file(data: bytes, rng: random.Random) -> bytes:
    """Wrong as a whole."""
    deep = 100_000
    whole = (
        *(b"", b"null", b"[]", b"{}", b'"text"', b"17", b"[" * deep, b'{"a":' * deep),
        *(b"[" * 900 + b"]" * 900, b"\0" * 100, data[: len(data) // 2], data + data, b"\xef\xbb\xbf" + data),
        *(data.decode("latin-1").encode("utf-16"), b"\xff\xfe"),
        *(b"9" * 5000, data.replace(b"{", b'{"name": 1, "name": 2, "session": 3, ', 1), data.replace(b":", b"", 1)),
    )
    return rng.choice(whole)


def lines_file(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines()
    if not lines or rng.random() < 0.08:
        return text_file(data, rng)
    at = rng.choice((0, len(lines) - 1, rng.randrange(len(lines))))
    act = rng.randrange(12)
    if act == 0:
        del lines[at]
    elif act == 1:
        lines.insert(at, lines[at])
    elif act == 2:
        lines[at], lines[0] = lines[0], lines[at]
    elif act == 3:
        lines[at] = lines[at][: len(lines[at]) // 2]
    elif act == 4:
        lines[at] = rng.choice((b"", b"null", b"[]", b"[" * 100_000, b"\xff\xfe\0", b'"x"', b"{}", b"NaN"))
    elif act == 5:
        return b"\n".join(lines)[:-7]
    else:
        lines[at] = json_file(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def yaml_file(data: bytes, rng: random.Random) -> bytes:
    import yaml

    if rng.random() < 0.25:
        bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
        )
        return rng.choice(
            (
                *(
                    bomb,
                    b"!!python/object/apply:os.system ['touch owned']\n",
                    b"a: ${a}\n",
                    b"a: ${oc.env:HOME}\n",
                    b"\t- x",
                ),
                *(
                    b"- 1\n- 2\n",
                    b"{" * 3000,
                    b"a: b: c\n",
                    b"? [1]\n: 2\n",
                    b"1: 2\n",
                    data + data,
                    b"%TAG ! x\n---\n",
                ),
                *(data.replace(b":", b": !!binary x", 1), text_file(data, rng)),
            )
        )
    if b"*a" in data:  # it grows a billionfold when it is written out
        return raw(data, rng)
    return yaml.safe_dump(_plain(change(yaml.safe_load(data), rng)), allow_unicode=True).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """Without what YAML's writer refuses."""
    return json.loads(json.dumps(value))


def raw(data: bytes, rng: random.Random) -> bytes:
    act = rng.randrange(7)
    if not data or act == 0:
        return rng.choice((b"", b"\0" * 64, os.urandom(0) + rng.randbytes(300)))
    at = rng.randrange(len(data))
    if act == 1:
        return data[:at]
    if act == 2:
        return data[:at] + b"\0" * min(64, len(data) - at) + data[at + 64 :]
    if act == 3:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 4, 30))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if act == 4:
        return data[: max(1, len(data) // 2)] + data[-2:]  # half of it, with the end of the whole
    if act == 5:
        head = min(len(data), 64)
        changed = bytearray(data)
        changed[rng.randrange(head)] = rng.randrange(256)
        return bytes(changed)
    return data + rng.randbytes(50)
