"""What the loop lets go of, and forgets, the moment it may not play on: not at the next slot, and not one slot late."""

import pytest

from protege.agent.loop import Ending, LoopOptions, play
from protege.agent.stats import LoopStats
from tests.agent.fakes import DONE, Setting, W

STEADY = (W,) * 7


class Asked:
    """Goals by time: (ms, goal) pairs."""

    def __init__(self, clock, *goals):
        self.clock, self.waiting = clock, list(goals)

    def asked(self):
        if self.waiting and self.clock.now_ns() >= self.waiting[0][0] * 1_000_000:
            return self.waiting.pop(0)[1]
        return None

    def reached(self, goal):
        return False


def run(setting, *goals, ear=None, **options):
    options = LoopOptions(**{"max_s": 1.0, **options})
    return play(setting.world, setting.worker, Asked(setting.clock, *goals), options, [ear] if ear else [], LoopStats())


def test_one_done_for_the_old_goal_and_one_for_the_new_do_not_make_two():
    setting = Setting(DONE, DONE, STEADY)  # the first about the old goal, the second about the new one
    ending = run(setting, (0, "Go to the lantern"), (150, "Open the door"))
    assert [goal for _, goal in setting.policy.asked[:2]] == ["Go to the lantern", "Open the door"]
    assert ending is Ending.TIME
    assert ("w", True) in [(key, down) for _, key, down in setting.keys.log]


def let_go_at(setting):
    """When w, held since the first slots, was let go of, in ms."""
    assert setting.keys.log[0][1:] == ("w", True)
    return next(ms for ms, key, down in setting.keys.log if (key, down) == ("w", False))


@pytest.mark.parametrize("at_ms", [340, 390])
def test_a_persons_key_lets_go_of_everything_at_the_next_look_and_not_at_the_next_slot(at_ms):
    # 340: heard when the picture for the next slot is taken; 390: heard just before the slot itself
    setting = Setting(STEADY, human=[(at_ms, "a", True)])
    run(setting, (0, "Open the door"), execute=7)
    assert at_ms <= let_go_at(setting) < 400


def test_nothing_is_held_while_another_window_has_the_focus_from_the_next_look_on():
    setting = Setting(STEADY)
    state = setting.window.state
    setting.window.state = lambda: setattr(setting.window, "focused", setting.clock.now_ns() < 340e6) or state()
    run(setting, (0, "Open the door"), execute=7)
    assert 340 <= let_go_at(setting) < 400
