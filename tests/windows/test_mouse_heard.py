"""The mouse on Windows, by Raw Input."""

from protege.devices.keyboard import KeyListener
from tests.windows.conftest import until

NAMES = frozenset(("mouse_left", "mouse_right", "wheel_up", "wheel_down"))


def test_every_count_is_heard(target, hands):
    moved = [0, 0]

    def told(listener):
        for motion in listener.motion():
            moved[0] += motion.dx
            moved[1] += motion.dy
        return moved

    hands.move(50, 50)
    with KeyListener(NAMES, lambda name, down, t_ns: None, motion=True) as listener:
        for _ in range(40):
            hands.move(3, -1)
        until(lambda: told(listener) == [120, -40], about=lambda: str(moved))
        assert listener.alive


def test_buttons_and_the_wheel_are_keys(target, hands):
    changes = []
    with KeyListener(NAMES, lambda name, down, t_ns: changes.append((name, down))) as listener:
        hands.click(1, 3, 4, 5, 5)
        until(lambda: len(changes) == 10, about=lambda: str(changes))
        assert not listener.held
    pressed = ("mouse_left", "mouse_right", "wheel_up", "wheel_down", "wheel_down")
    assert changes == [(name, down) for name in pressed for down in (True, False)]
