"""Breaks pictures, arrays, recordings of other programs and weights."""

import io
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tests.fuzz.text_files import json_file, raw
from tests.fuzz.values import BELL, NUMBERS

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
