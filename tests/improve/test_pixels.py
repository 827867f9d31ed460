"""`protege improve` on a tiny policy from pixels in the real arena."""

import shutil

import pytest

pytest.importorskip("jax")
pytest.importorskip("vizdoom")


from protege.arena.record import record_episodes
from protege.arena.tasks import Task
from protege.cloning.episodes import export_sessions
from protege.cloning.store import Dataset
from protege.cloning.train import train
from protege.core.session import Session, find_sessions
from protege.errors import UserError
from protege.improve import ImproveOptions, run
from protege.improve.learner import learner
from protege.improve.state import Fitted
from tests.cloning import tiny

SIZE = (24, 16)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A policy of one epoch, and what it was trained on."""
    root = tmp_path_factory.mktemp("begun")
    record_episodes(root / "sessions", 4, 5_000, (160, 120), task=Task.GO_TO)
    export_sessions(root / "sessions", root / "data", SIZE)
    ratios = ("dataset.train_ratio=0.5", "dataset.val_ratio=0.25", "dataset.test_ratio=0.25")
    train(tiny.run(root / "data", root / "model", "model.goal=sentence", "training.num_epochs=1", *ratios))
    return root


def options(begun, folder, **changes):
    data = folder / "data"
    if not data.exists():
        shutil.copytree(begun / "data", data)
    asked = {"rounds": 1, "minutes": 0.05, "episodes": 1, **changes}
    return ImproveOptions(out=folder / "loop", model=begun / "model", data=data, **asked)


def frames(store):
    return sum(map(len, Dataset.open(store).episodes))


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_policy_learns_what_the_person_played_and_nothing_else(begun, tmp_path):
    before = contents(begun / "model")
    asked = options(begun, tmp_path)
    result = run(asked)
    (found,) = result.rounds
    sessions = [Session.open(path) for path in find_sessions(asked.out / "round_1" / "runs")]
    human = sum(span.stop - span.start for each in sessions for span in each.spans() if span.by == "human")
    assert 0 < human == result.frames_added < sum(map(len, sessions))
    assert found.label
    assert found.label.samples == human
    assert frames(asked.data) == frames(begun / "data") + human
    assert found.train not in (None, Fitted(0))
    assert (asked.out / "round_1" / "model" / "card.json").exists()
    assert contents(begun / "model") == before
    assert run(asked).rounds == result.rounds  # nothing is done twice


def test_stopped_before_any_step_it_goes_on_there(begun, tmp_path):
    steps, done = ["label", "train", "score: the old"], []

    def stop(text):
        if len(done) < len(steps) and text.strip().startswith(steps[len(done)]):
            done.append(text)
            raise KeyboardInterrupt

    asked = options(begun, tmp_path)
    for _ in steps:
        with pytest.raises(KeyboardInterrupt):
            run(asked, stop)
    (found,) = run(asked, stop).rounds
    assert len(done) == len(steps)
    assert found.label
    assert frames(asked.data) == frames(begun / "data") + found.label.samples


def test_with_ones_own_hands_a_vision_model_is_asked_for(begun, tmp_path):
    asked = options(begun, tmp_path, person="me", goals=("Go to the lantern",))
    with pytest.raises(UserError, match=r"a policy from pixels is corrected in the arena only"):
        learner(asked)


def test_a_folder_without_its_configuration_is_named(begun, tmp_path):
    shutil.copytree(begun / "model", tmp_path / "model", ignore=shutil.ignore_patterns("config.yaml", "checkpoints"))
    with pytest.raises(UserError, match=r"no config.yaml in it; protege improve goes on with what protege clone train"):
        learner(ImproveOptions(out=tmp_path / "loop", model=tmp_path / "model"))
