"""Pictures from elsewhere: only the formats that were asked for, no larger than they may be, whole, and upright."""

import io
import os
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from protege.core.frame import decode_jpeg, decode_picture, encode_jpeg, open_picture

RANDOM = np.random.default_rng(0)
SMOOTH = np.asarray(Image.fromarray(RANDOM.integers(0, 255, (6, 8, 3), np.uint8)).resize((64, 50), 3))
NOISE = RANDOM.integers(0, 255, (50, 64, 3), np.uint8)
GREY = np.full((50, 64, 3), 128, np.uint8)
HALF_GREY = np.concatenate([SMOOTH[:25], GREY[25:]])


def saved(picture, kind="JPEG", **options):
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FORMS = {
    "as the recorder writes it": {"quality": 90},
    "full colour": {"quality": 95, "subsampling": 0},
    "own tables": {"optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("picture", [SMOOTH, NOISE, GREY, HALF_GREY], ids=["smooth", "noise", "grey", "half grey"])
def test_a_whole_jpeg_is_decoded_as_pillow_does(picture, form):
    data = saved(picture, **FORMS[form])
    assert np.array_equal(decode_jpeg(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "progressive"])
@pytest.mark.parametrize("picture", [SMOOTH, NOISE, HALF_GREY], ids=["smooth", "noise", "half grey"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("ending", [b"", b"\xff\xd9", b"\xff\xd9\0\0"], ids=["cut", "end marker", "end and more"])
def test_a_truncated_jpeg_is_called_truncated_also_with_an_end_marker(picture, form, share, ending):
    data = saved(picture, **FORMS[form])
    scan = data.index(b"\xff\xda") + 14
    with pytest.raises(OSError, match="truncated"):
        decode_jpeg(data[: scan + int(share * (len(data) - scan))] + ending)


def test_grey_pictures_are_looked_at_for_their_end_too():
    data = saved(GREY)
    with pytest.raises(OSError, match="truncated"):
        decode_jpeg(data[:-10] + b"\xff\xd9")


def test_postscript_is_no_picture_and_starts_nothing(tmp_path):
    path = tmp_path / "000002.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 50\n%%EndComments\nshowpage\n")
    with pytest.raises(OSError, match="no JPEG picture"):
        decode_jpeg(path)
    with pytest.raises(OSError, match="no JPEG or PNG or BMP or WEBP picture"):
        decode_picture(path)
    with pytest.raises(OSError, match="no JPEG picture"):
        decode_jpeg(saved(SMOOTH, "PNG"))


def claiming(width, height):
    """A small JPEG whose header says it is large."""
    data = bytearray(encode_jpeg(SMOOTH))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(12000, 12000), (65000, 65000), (9000, 7000)])
def test_what_a_header_claims_is_looked_at_before_anything_is_decoded(size):
    with pytest.raises(OSError, match=r"expected 64x50|exceeds limit"):
        decode_jpeg(claiming(*size), (64, 50))
    with pytest.raises(OSError, match=r"expected at most 7680x7680|exceeds limit"), open_picture(claiming(*size)):
        pytest.fail("opened")


def test_a_pipe_and_a_device_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    for name, kind in (("a.jpg", "a pipe"), ("b.jpg", "a device")):
        with pytest.raises(OSError, match=f"not a regular file but {kind}"):
            decode_jpeg(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        decode_jpeg(tmp_path / "c.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_upright_however_the_camera_was_held(orientation, kind):
    shown = np.zeros((48, 64, 3), np.uint8)
    shown[:16, :32] = 250  # a bright corner at the top left
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(shown)
    image = image.transpose(undo[orientation]) if orientation in undo else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode_picture(saved(image, kind, exif=exif), size=(64, 48))
    assert np.abs(rgb.astype(int) - shown).max() < 12


def test_16_bit_grey_keeps_its_shades():
    grey = (np.arange(64 * 50, dtype=np.uint16) * 20).reshape(50, 64)
    rgb = decode_picture(saved(Image.fromarray(grey), "PNG"))
    assert np.array_equal(rgb[..., 0], grey >> 8)
    assert rgb.shape == (50, 64, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_damage_anywhere_is_an_oserror_or_a_picture(kind):
    data = saved(SMOOTH, kind)
    for seed in range(120):
        random = np.random.default_rng(seed)
        damaged = bytearray(data[: random.integers(1, len(data) + 1)])
        for at in random.integers(0, len(damaged), random.integers(0, 6)):
            damaged[at] = random.integers(256)
        with suppress(OSError):
            assert decode_picture(bytes(damaged)).dtype == np.uint8
