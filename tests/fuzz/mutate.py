"""What may be wrong with a file: values of another type or size, names that lead elsewhere, foreign content."""

import copy
import io
import json
import os
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

CASE: Final = "{case}"
"""Stands for the folder of the case in strings, so that a case is the same in every place."""
BELL: Final = "\x07\x1b]0;owned\x07\u202e"
"""What must never reach a terminal."""
NAMES: Final = (
    *(
        "../../precious",
        "../precious",
        f"{CASE}/precious/keep.txt",
        f"{CASE}/precious",
        "/proc/self/mem",
        "C:\\precious",
    ),
    *(
        "..",
        ".",
        "",
        "a/../../../precious/keep.txt",
        "a\0b",
        "con",
        "x" * 300,
        "\ud800",
        f"seg{BELL}",
        "{{7*7}}",
        "-rf",
    ),
    *("\\\\server\\share", "précis", " ", "a\nb", "<script>alert(1)</script>", "../../precious/keep.txt"),
)
NUMBERS: Final = (
    *(0, -1, 1, 2, 10**9, -(10**9), 10**18, -(10**18), 4 * 10**18, 2**63, 2**64, 10**40, 0.5, -0.5, 1e-300, 1e308),
    *(float("nan"), float("inf"), -float("inf")),
)
OTHERS: Final = (None, True, False, [], {}, [[]], {"": 0}, [None] * 3, ["w", 10**9], [0] * 5000, {"a": {"b": [1]}})


def any_value(rng: random.Random) -> Any:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(NAMES)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return _deep(rng.choice((50, 900)))
    return copy.deepcopy(rng.choice(OTHERS))


def _deep(levels: int) -> Any:
    made: Any = []
    for _ in range(levels):
        made = [made]
    return made


def change(value: Any, rng: random.Random) -> Any:
    """A JSON value with one thing in it changed, most often a leaf."""
    places = list(_places(value))
    if not places or rng.random() < 0.03:
        return any_value(rng)
    holder, key = rng.choice(places)
    act = rng.randrange(10)
    if act < 5:
        holder[key] = any_value(rng)
    elif act == 5:
        holder[key] = _other_type(holder[key])
    elif act == 6:
        del holder[key]
    elif act == 7 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * rng.choice((-1, 2, 10**6, 10**12)) + rng.choice((0, 1, -1))
    elif act == 8 and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 1, 50))
    elif isinstance(holder, dict):
        holder[rng.choice((f"{key}_", "extra", "", "__proto__", key.upper(), f"{key}{BELL}"))] = holder.pop(key)
    return value


def _places(value: Any) -> Any:
    """(container, key or index) of everything inside; of long lists only the first few."""
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for index in range(min(len(value), 8)):
            yield value, index
            yield from _places(value[index])


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return {str(i): item for i, item in enumerate(value[:50])}
    if isinstance(value, dict):
        return list(value.values())
    return str(value)


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
        *(
            b"",
            b"null",
            b"[]",
            b"{}",
            b'"text"',
            b"17",
            b"[" * deep,
            b'{"a":' * deep,
            b"[" * 900 + b"]" * 900,
            b"\0" * 100,
        ),
        *(
            data[: len(data) // 2],
            data + data,
            b"\xef\xbb\xbf" + data,
            data.decode("latin-1").encode("utf-16"),
            b"\xff\xfe",
        ),
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


POSTSCRIPT: Final = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(x) print showpage\n"


def picture(data: bytes, rng: random.Random) -> bytes:
    from PIL import Image

    act = rng.randrange(9)
    if act == 0:
        return POSTSCRIPT
    if act == 1 and (at := data.find(b"\xff\xc0")) > 0:  # the frame header claims another size
        height, width = rng.choice(((12_000, 12_000), (65_535, 65_535), (1, 1), (0, 0), (48, 6400)))
        return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]
    if act in (2, 3):
        mode, kind = rng.choice((("L", "JPEG"), ("I;16", "PNG"), ("RGB", "GIF"), ("CMYK", "JPEG"), ("RGB", "BMP")))
        size = rng.choice(((64, 48), (1, 1), (4000, 3000)))
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, kind)
        return buffer.getvalue()
    if act == 4:
        return b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>"
    return raw(data, rng)


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


def archive(data: bytes, rng: random.Random) -> bytes:
    """An .npz with one array changed, or broken as a file."""
    if rng.random() < 0.25:
        return raw(data, rng)
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    name = rng.choice(list(arrays))
    arrays[name] = _array(arrays[name], rng)
    if arrays[name] is None:
        del arrays[name]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue() if rng.random() < 0.85 else _claiming(buffer.getvalue(), rng)


def _array(values: Any, rng: random.Random) -> Any:
    numeric = values.dtype.kind in "fiub"
    acts: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: values.astype(str),
        lambda: np.array(rng.choice(("inf", "nan", f"x{BELL}", "", "2"))),
        lambda: np.array(rng.choice(NUMBERS[:14]), dtype=object).astype(float),
        lambda: np.array(rng.choice((np.inf, np.nan, -1.0, 1e30))),
        lambda: values[: len(values) // 2] if values.ndim else np.array([values, values]),
        lambda: values[..., :-1] if values.ndim else values[None],
        lambda: np.concatenate([values, values]) if values.ndim else np.zeros((0,)),
        lambda: values[:0] if values.ndim else np.zeros((0, 28)),
        lambda: values.astype(complex) if numeric else values,
        lambda: np.full_like(values, np.nan) if values.dtype.kind == "f" else values[None],
        lambda: values * 1000 if numeric and values.dtype.kind != "b" else values,
        lambda: values[::-1] if values.ndim else values,
        lambda: np.zeros(values.shape, "datetime64[s]"),
        lambda: np.zeros(values.shape, [("a", "f4")]),
    )
    return rng.choice(acts)()


def _claiming(data: bytes, rng: random.Random) -> bytes:
    """An .npz whose first array's header claims another shape."""
    source = zipfile.ZipFile(io.BytesIO(data))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for number, name in enumerate(source.namelist()):
            content = source.read(name)
            if number == 0:
                shape = rng.choice((b"(1000000000, 260)", b"(10000000000000000000,)", b"(-1,)", b"(3,)", b"x"))
                header = b"{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape
                header = header.ljust(117) + b"\n"
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content[128:]
            target.writestr(name, content)
    return buffer.getvalue()


def mcap(data: bytes, rng: random.Random) -> bytes:
    """An .mcap with one message's JSON changed, or broken as a file."""
    from mcap.reader import make_reader
    from mcap.writer import Writer

    if rng.random() < 0.3:
        return raw(data, rng)
    found = list(make_reader(io.BytesIO(data)).iter_messages())
    picked = {rng.randrange(len(found)) for _ in range(rng.choice((1, 3)))}
    topics = sorted({channel.topic for _, channel, _ in found})
    topic = rng.choice(topics)  # the rare topics, too
    picked.add(next(i for i, (_, channel, _) in enumerate(found) if channel.topic == topic))
    buffer = io.BytesIO()
    writer = Writer(buffer)
    writer.start("owa", "case")
    channels: dict[str, int] = {}
    for number, (schema, channel, message) in enumerate(found):
        if channel.topic not in channels:
            about = (schema.name, schema.encoding, schema.data) if schema else ("x", "jsonschema", b"{}")
            channels[channel.topic] = writer.register_channel(channel.topic, "json", writer.register_schema(*about))
        content, time = message.data, message.log_time
        if number in picked:
            content = json_file(content, rng)
            time = rng.choice((time, time, time, 0, 2**63, 2**64 - 1, time + 10**12, max(0, time - 10**10)))
        writer.add_message(channels[channel.topic], time, content, time)
    writer.finish()
    return buffer.getvalue()


def weights(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file, or torch's."""
    if data[:2] == b"PK" or len(data) < 8 or rng.random() < 0.3:
        return raw(data, rng)
    length = struct.unpack("<Q", data[:8])[0]
    if rng.random() < 0.2:
        return struct.pack("<Q", rng.choice((10**18, 2**63, 0, length - 1))) + data[8:]
    header = json_file(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


KINDS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    **dict.fromkeys((".json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"), json_file),
    **dict.fromkeys((".jsonl",), lines_file),
    **dict.fromkeys((".jpg", ".png"), picture),
    **dict.fromkeys((".yaml",), yaml_file),
    **{".npz": archive, ".mcap": mcap, ".safetensors": weights, ".pt": weights, ".txt": text_file},
}


def mutate(path: Path, rng: random.Random) -> str:
    """Break one file of a case (never in place: it may be a link to the original); returns what was done to it."""
    if rng.random() < 0.12:
        return instead(path, rng)
    data = path.read_bytes()
    kind = KINDS.get(path.suffix or path.name, raw)
    try:
        changed = kind(data, rng)
    except Exception:  # broken once already, so that its own format's reader gives up
        kind, changed = raw, raw(data, rng)
    changed = changed.replace(b"{case}", str(path_of_case(path)).encode())
    replace(path, changed)
    return f"{kind.__name__} {path.name}"


def path_of_case(path: Path) -> Path:
    """The case's folder: the one that holds `work`."""
    return next(folder for folder in path.parents if (folder / "precious").is_dir())


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def instead(path: Path, rng: random.Random) -> str:
    """Something else in a file's place."""
    path.unlink()
    case = path_of_case(path)
    kind = rng.choice(("missing", "fifo", "zero", "outside", "folder", "loop", "empty", "dangling", "socket-like"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in ("zero", "outside", "loop", "dangling", "socket-like"):
        target = {
            "zero": "/dev/zero",
            "outside": case / "precious" / "keep.txt",
            "loop": path,
            "dangling": case / "none",
        }
        path.symlink_to(target.get(kind, "/dev/stdin"))
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    return f"{kind} in place of {path.name}"


def instead_of_folder(path: Path, rng: random.Random) -> str:
    """A folder of the input that is a link elsewhere, a file, or not there."""
    shutil.rmtree(path)
    kind = rng.choice(("missing", "file", "outside", "loop"))
    if kind == "file":
        path.write_text("a file\n")
    elif kind in ("outside", "loop"):
        path.symlink_to(path_of_case(path) / "precious" if kind == "outside" else path)
    return f"{kind} in place of the folder {path.name}"
