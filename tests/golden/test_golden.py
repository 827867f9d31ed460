"""What lies on users' disks is read as it was and written as it was, to the byte."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from protege.core.card import ModelCard
from protege.core.session import Session, check
from protege.training.data import LabeledData
from tests.golden import make

FILES = Path(__file__).parent / "files"
CLOCK = re.compile(r"(?<=_ns\": )\d{18,}|(?<=monotonic_ns\": )\d+")
"""The moment at which a recording began, in session.json."""
ORIGIN = re.compile(r',\n "origin": \[.*?\n \]\n}', re.DOTALL)
"""The last field of segment.json, which was added."""
CHANGED = ["controls.training.resume: was True, is 'auto'"]
"""true is still read."""


def text_files(folder):
    """Their content by name; the folder a session was labeled from is wherever it lies."""
    found = {}
    for path in sorted(folder.rglob("*.json*")):
        text = ORIGIN.sub("\n}", path.read_text(encoding="utf-8"))
        lines = text.splitlines(keepends=True)
        found[path.relative_to(folder).as_posix()] = "".join(x for x in lines if not x.startswith(' "folder": '))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    make.labels(make.session(folder), folder)
    return folder


@pytest.mark.parametrize("name", make.SESSION_FILES)
def test_a_session_is_written_as_it_was(made, name):
    now, before = ((folder / "played" / name).read_text(encoding="utf-8") for folder in (made, FILES))
    assert CLOCK.sub("0", now) == CLOCK.sub("0", before)


def test_a_session_is_read_as_it_was():
    session = Session.open(FILES / "played")
    assert check(FILES / "played") == []
    assert (len(session), len(session.spans())) == (100, 3)
    assert session.actions()[:60, 0].sum() == 50


@pytest.mark.parametrize("kind", ["labeled", "labeled_chords"])
def test_labels_are_written_as_they_were(made, kind):
    now = text_files(made / kind)
    before = text_files(FILES / kind)
    assert list(now) == list(before)
    for name, text in before.items():
        assert now[name] == text, name


def test_labels_are_read_as_they_were(tmp_path):
    shutil.copytree(FILES / "labeled", tmp_path / "labeled")
    for segment in sorted((tmp_path / "labeled").glob("*_seg*")):
        start, stop = (json.loads((segment / "segment.json").read_text())[name] for name in ("start", "stop"))
        for number in range(stop - start):
            shutil.copy(FILES / "played" / "frames" / f"{start + number:06d}.jpg", segment / f"frame_{number:04d}.jpg")
    data = LabeledData.open(tmp_path / "labeled")
    assert (len(data), data.goals, set(data.session)) == (94, ("Go to the lantern", "Open the door"), {"played"})


def test_a_card_is_written_and_read_as_it_was(tmp_path):
    make.card(tmp_path)
    assert (tmp_path / "card.json").read_bytes() == (FILES / "card.json").read_bytes()
    assert ModelCard.load(FILES).frame_size == (320, 240)


def test_every_configuration_is_read_as_it_was():
    """A setting may be added; none may go, be renamed without being read on, or change its value."""
    for name, fields in make.configs():
        now = json.loads(json.dumps(fields))
        assert _kept(json.loads((FILES / f"{name}.config.json").read_text()), now, name) in ([], CHANGED)


def _kept(before, now, name):
    if not isinstance(before, dict):
        return [] if before == now else [f"{name}: was {before!r}, is {now!r}"]
    return [line for key, value in before.items() for line in _kept(value, now.get(key), f"{name}.{key}")]


@pytest.mark.parametrize("style", ["seed000", "seed001"])
def test_a_control_transformer_is_read_and_written_as_it_was(tmp_path, style):
    torch = pytest.importorskip("torch")
    from protege.controls.files import load_model

    model, config = load_model(FILES / "controls" / style)
    make.controls_model(tmp_path)
    again, same = load_model(tmp_path / style)
    assert config.thresholds == same.thresholds
    np.testing.assert_array_equal(config.mean, same.mean)
    for name, weight in again.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name
    for path in (FILES / "controls" / style).glob("*.json"):
        assert path.read_bytes() == (tmp_path / style / path.name).read_bytes()


def test_a_policy_from_pixels_is_read_as_it_was():
    from protege.cloning.checkpoint import load_model

    loaded = load_model(FILES / "cloning")
    frames = np.full((1, 3, 16, 24), 100, np.uint8)
    probabilities = loaded.decide(frames, np.zeros((0, 4), np.float32), "go to a")
    np.testing.assert_allclose(probabilities, [PROBABILITIES], atol=2e-4)
    assert loaded.goals == ("go to a", "go to b")


PROBABILITIES = [0.4987, 0.5270, 0.4947, 0.4701]


def test_a_model_keeps_the_layout_of_its_folder(tmp_path):
    make.cloning_model(tmp_path / "cloning", tmp_path)
    for name in ("card.json", "config.yaml", "log.jsonl", "checkpoints/2/about/metadata"):
        assert (tmp_path / "cloning" / name).is_file(), name
    before = json.loads((FILES / "cloning" / "card.json").read_text())
    now = json.loads((tmp_path / "cloning" / "card.json").read_text())
    assert before.keys() <= now.keys()
