"""A model's folder with a damaged file is one line, whatever the libraries stumble over."""

import json
import shutil
import struct

import pytest

from protege.errors import UserError
from protege.vlm.load import base_of, load_model, load_processor
from protege.vlm.pixels import read_picture

DEEP = "[" * 100_000


def header(text):
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", header('{"a": {"shape": [1], "data_offsets": [0, 4]}}')),
        ("model.safetensors", struct.pack("<Q", 10**18)),
        ("model.safetensors", b""),
        ("config.json", DEEP.encode()),
        ("config.json", b"17"),
    ],
)
def test_weights_and_configurations(tiny, tmp_path, name, content):
    folder = shutil.copytree(tiny, tmp_path / "base")
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="base"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize("content", [DEEP, "[]", '{"pad_token": null}'])
def test_tokenizers(tiny, tmp_path, content):
    folder = shutil.copytree(tiny, tmp_path / "base")
    (folder / "tokenizer_config.json").write_text(content)
    with pytest.raises(UserError, match="base"):
        load_processor(folder)


def test_a_token_with_a_number_that_no_vocabulary_has(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "base")
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    fields["model"]["vocab"][next(reversed(fields["model"]["vocab"]))] = 1_268_000_000
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="numbers them up to 1,268,000,000"):
        load_processor(folder)


@pytest.mark.parametrize("base", [3, None, "", "a\0b", ["x"]])
def test_the_base_of_an_adapter_is_a_name(tmp_path, base):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    with pytest.raises(UserError, match="not an adapter"):
        base_of(tmp_path)


def test_a_labeled_picture_that_is_postscript_is_no_picture_and_starts_nothing(tmp_path):
    path = tmp_path / "000002.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 50\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match=r"000002\.jpg: not a picture that can be read \(no JPEG"):
        read_picture(path)
