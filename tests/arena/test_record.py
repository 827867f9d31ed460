"""Recording headless: ordinary sessions whose actions are what the expert held."""

from dataclasses import replace

import numpy as np
import pytest

from protege.arena.engine import ARENA_MOUSE, Engine
from protege.arena.expert import Expert
from protege.arena.record import PERIOD_NS, TAIL_DECISIONS, _record, record_episodes, session_name
from protege.arena.rooms import layout
from protege.arena.state import tics_of
from protege.arena.tasks import GOALS, Task
from protege.core.actions import KEYBOARD_12
from protege.core.events import Motion, frame_motion
from protege.core.looking import look
from protege.core.session import COMPLETE, RECORDING, RECOVERED, Session, SessionInfo, SessionWriter, check
from protege.errors import UserError

DEGREES_PER_COUNT = look().degrees_per_count
SIZE = (160, 120)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record_episodes(tmp_path_factory.mktemp("arena"), 3, 5_000, SIZE, noise=0.05)


def test_sessions_are_sound(recorded):
    assert [episode.folder.name for episode in recorded] == ["arena_05000", "arena_05001", "arena_05002"]
    for episode in recorded:
        assert check(episode.folder) == []
        assert episode.success
        assert len(Session.open(episode.folder)) == episode.frames


def test_a_session_knows_its_goal_seed_and_success(recorded):
    session = Session.open(recorded[0].folder)
    made = layout(5_000)
    assert session.info.extra["goal"] == made.goal.sentence
    assert session.info.extra["paraphrases"] == list(made.goal.paraphrases)
    assert session.info.extra["seed"] == 5_000
    assert session.info.extra["task"] == made.goal.task
    assert session.info.extra["success"] is True
    assert [(span.goal, span.end) for span in session.spans()] == [(made.goal.sentence, "success")]


def test_actions_are_what_the_expert_held_at_ten_hertz(recorded):
    for episode in recorded:
        session = Session.open(episode.folder)
        assert np.all(np.diff(session.t_ns) == PERIOD_NS)
        expert, held = Expert(0.05, episode.seed), []
        with Engine(SIZE) as engine:
            state = engine.load(layout(episode.seed))
            for n in range(len(session)):
                held.append(expert.act(state))
                state = engine.step(held[-1], tics_of(n))
        assert KEYBOARD_12.decode(session.actions()) == held


def test_a_session_ends_with_standing_still(recorded):
    for episode in recorded:
        rows = Session.open(episode.folder).actions()
        assert rows[-TAIL_DECISIONS:, -1].all()
        assert not rows[: -TAIL_DECISIONS - 2].all()


def test_a_second_run_skips_what_is_there_and_redoes_what_a_kill_left_half_written(tmp_path):
    seen = []
    record_episodes(tmp_path, 1, 5_000, SIZE, progress=lambda *counts: seen.append(counts))
    (tmp_path / f".{session_name(5_001)}.part").mkdir()
    again = record_episodes(tmp_path, 2, 5_000, SIZE, progress=lambda *counts: seen.append(counts))
    assert [episode.new for episode in again] == [False, True]
    assert seen == [(1, 1), (1, 2), (2, 2)]
    assert check(again[1].folder) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arena_05000", "arena_05001"]


def foreign_folder(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years of work")


def newer_format(folder):
    folder.mkdir()
    (folder / "session.json").write_text('{"format_version": 99}')


def cut_off(folder, status=RECORDING, source="arena"):
    info = SessionInfo(source=source, frame_size=SIZE, extra={"seed": 5_001, "noise": 0.05})
    half = SessionWriter(folder, info)
    half.frame(0, b"half a picture")
    half.finish()
    replace(half.info, status=status).save(folder)


def of_another_program(folder):
    cut_off(folder, status=COMPLETE, source="recorder")


@pytest.mark.parametrize("occupy", [foreign_folder, newer_format, of_another_program, cut_off])
def test_what_lies_in_an_episodes_place_and_is_no_such_episode_stays_and_is_named(tmp_path, occupy):
    occupy(tmp_path / "arena_05001")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"arena_05001: not .*or give another --out"):
        record_episodes(tmp_path, 2, 5_000, SIZE)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "arena_05000").exists()


def test_a_repaired_episode_is_kept(tmp_path):
    (first,) = record_episodes(tmp_path, 1, 5_000, SIZE)
    replace(SessionInfo.load(first.folder), status=RECOVERED).save(first.folder)
    assert not record_episodes(tmp_path, 1, 5_000, SIZE)[0].new


def test_episodes_recorded_with_other_options_are_named_with_the_option(tmp_path):
    (first,) = record_episodes(tmp_path, 1, 5_000, SIZE)
    with pytest.raises(UserError, match=r"arena_05000: recorded with --size 160x120, not 320x240; .*--out"):
        record_episodes(tmp_path, 1, 5_000, (320, 240))
    with pytest.raises(UserError, match=r"arena_05000: recorded with --noise 0.05, not 0.5; .*--out"):
        record_episodes(tmp_path, 1, 5_000, SIZE, noise=0.5)
    info = SessionInfo.load(first.folder)
    replace(info, extra={**info.extra, "goal": "Fly away"}).save(first.folder)
    with pytest.raises(UserError, match="arena_05000: recorded with --goal 'Fly away', not "):
        record_episodes(tmp_path, 1, 5_000, SIZE)


def test_one_goal_can_be_asked_for(tmp_path):
    (episode,) = record_episodes(tmp_path, 1, 5_000, SIZE, goal="red torch")
    assert episode.folder.name == "arena_05000_red_torch"
    assert Session.open(episode.folder).info.extra["goal"] == GOALS["red torch"].sentence


def test_no_episodes_are_a_mistake(tmp_path):
    with pytest.raises(UserError, match="at least one episode"):
        record_episodes(tmp_path, 0, 5_000, SIZE)


def test_an_interrupted_episode_leaves_nothing_behind(tmp_path):
    class Interrupting(Expert):
        def act(self, state):
            raise KeyboardInterrupt

    with Engine(SIZE) as engine, pytest.raises(KeyboardInterrupt):
        _record(engine, tmp_path / "arena_05000", layout(5_000), Interrupting())
    assert not list(tmp_path.iterdir())


def test_only_layouts_of_a_task_are_recorded_when_one_is_named(tmp_path):
    done = record_episodes(tmp_path, 2, 5_000, SIZE, task=Task.OPEN_DOOR)
    assert [layout(episode.seed).goal.task for episode in done] == [Task.OPEN_DOOR, Task.OPEN_DOOR]
    assert done[0].seed < done[1].seed
    assert all(layout(seed).goal.task is not Task.OPEN_DOOR for seed in range(5_000, done[0].seed))


def test_with_a_mouse_a_session_has_its_motion_and_every_frame_the_bins_of_the_expert(tmp_path):
    (episode,) = record_episodes(tmp_path, 1, 5_001, SIZE, noise=0.05, space=ARENA_MOUSE)
    assert check(episode.folder) == []
    session = Session.open(episode.folder)
    assert session.info.space == ARENA_MOUSE
    expert, held, moved, angle = Expert(0.05, episode.seed, ARENA_MOUSE), [], [], 0.0
    with Engine(SIZE, space=ARENA_MOUSE) as engine:
        state = engine.load(layout(episode.seed))
        for n in range(len(session)):
            held.append(expert.act(state))
            before = state.pose.angle_deg
            state = engine.step(held[-1], tics_of(n))
            moved.append(np.sum(engine.moved, axis=0))
            angle += (before - state.pose.angle_deg + 180) % 360 - 180
    motion = frame_motion(session.t_ns, session.events, PERIOD_NS)
    assert motion.tolist() == np.array(moved).tolist()
    keys = ARENA_MOUSE.decode(session.actions())
    assert [k | turn for k, turn in zip(keys, ARENA_MOUSE.turned(motion), strict=True)] == held
    total = sum(event.dx for event in session.events if isinstance(event, Motion))
    assert total == motion[:, 0].sum()
    assert total * DEGREES_PER_COUNT == pytest.approx(angle, abs=0.02 * len(session))
    with pytest.raises(UserError, match="--game arena-mouse, not KEYBOARD_12"):
        record_episodes(tmp_path, 1, 5_001, SIZE)
