"""Bridges: messages to a real WebSocket server that drops, delays and sends rubbish; real keys and a real mouse."""

import gc
import io
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from websockets.sync.server import serve

from protege.controls.bridge import MINECRAFT, KeyboardBridge, PrintBridge, Turning, message, read_state
from protege.controls.postprocess import ControlOutput
from protege.controls.websocket import WebSocketBridge
from protege.core import Rect
from protege.devices import x11, x11_keys
from protege.devices.keyboard import RealKeys
from protege.devices.pointer import XPointer
from protege.errors import UserError
from tests.fakes import FakeWindow

WALK = ControlOutput(held=frozenset(("move_forward", "sprint")))
CLICK = ControlOutput(True, frozenset(("inv_shift",)), frozenset(("inv_left_click",)), cursor=(0.25, 0.5))


def wait_until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


class Game:
    """A mod: keeps what it hears. each: called with every connection and message; may send, wait, or raise."""

    def __init__(self, each):
        self.heard, self.each, self.connections = [], each, 0

    def __call__(self, connection):
        self.connections += 1
        for text in connection:
            self.heard.append(json.loads(text))
            self.each(self, connection)

    def last(self):
        return self.heard[-1] if self.heard else {}


@contextmanager
def playing(each=lambda game, connection: None, **options):
    """A real server on a free port, and a bridge to it."""
    game = Game(each)
    with serve(game, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.socket.getsockname()[1]
        bridge = WebSocketBridge(f"ws://127.0.0.1:{port}", retry_s=0.05, **options)
        try:
            yield game, bridge
        finally:
            bridge.close()
            server.shutdown()
            thread.join(5)


def test_a_mod_hears_what_is_documented():
    with playing() as (game, bridge):
        wait_until(lambda: bridge.traffic.connections)
        bridge.send(WALK, 0.0)
        wait_until(lambda: len(game.heard) == 2)
        bridge.send(ControlOutput(pressed=frozenset(("jump",)), look=(1, -0.5), slot=3), 0.05)
        wait_until(lambda: len(game.heard) == 3)
        bridge.send(CLICK, 0.1)
        wait_until(lambda: len(game.heard) == 4)
    assert game.heard == [
        {"type": "release_all", "seq": 0},
        {"type": "controls", "seq": 1, "mode": "gameplay", "held": ["move_forward", "sprint"], "press": [],
         "look": {"yaw": 0, "pitch": 0}},
        {"type": "controls", "seq": 2, "mode": "gameplay", "held": [], "press": ["jump"],
         "look": {"yaw": 15, "pitch": -7.5}, "slot": 3},
        {"type": "controls", "seq": 3, "mode": "screen", "held": ["inv_shift"], "press": ["inv_left_click"],
         "look": {"yaw": 0, "pitch": 0}, "cursor": [0.25, 0.5]},
        {"type": "release_all", "seq": 4},
    ]  # fmt: skip


def test_a_look_turns_at_the_recorded_speed_whatever_the_frame_rate():
    """A look of 1 is 15 degrees a tick, 300 degrees a second; the origin turned 5 and 3 degrees a frame."""
    for hz in (15, 30, 60):
        turning = Turning()
        turned = [turning.degrees((1.0, 0.5), t / hz) for t in range(hz + 1)]
        assert sum(yaw for yaw, _ in turned) == pytest.approx(300)
        assert sum(pitch for _, pitch in turned) == pytest.approx(150)
    turning = Turning()
    turning.degrees((1, 0), 0)
    assert turning.degrees((1, 0), 60.0)[0] == pytest.approx(30)  # after a gap, a tenth of a second's worth


RUBBISH = (
    *("", "hello", "{", "[]", "3", "null", '"state"', '{"type": 3}', '{"type": "state"}'),
    *('{"type": "state", "state": [1, 2]}', "[" * 3000, b"\x00\xff", b'{"type": "state", "state": {}}'),
)


def test_rubbish_from_the_game_is_counted_and_changes_nothing():
    def rubbish(game, connection):
        for text in RUBBISH:
            connection.send(text)
        connection.send(json.dumps({"type": "state", "state": {"slot": 4, "health": "many"}}))

    with playing(rubbish) as (game, bridge):
        wait_until(lambda: bridge.state() is not None)
        assert bridge.state() == {"slot": 4, "health": "many"}
        assert bridge.traffic.rubbish == len(RUBBISH)
        bridge.send(WALK, 0.0)
        wait_until(lambda: game.last().get("held") == ["move_forward", "sprint"])
        assert game.connections == 1


def test_a_message_without_end_only_costs_the_connection():
    def endless(game, connection):
        if game.connections == 1:
            connection.send("x" * 1_000_000)

    with playing(endless) as (game, bridge):
        wait_until(lambda: bridge.traffic.connections >= 2)
        bridge.send(WALK, 0.0)
        wait_until(lambda: game.last().get("held") == ["move_forward", "sprint"])
        assert game.connections == 2


def test_after_a_broken_connection_everything_is_let_go_of_and_held_again():
    def drop(game, connection):
        if game.last()["type"] == "controls" and game.connections < 3:
            with suppress(OSError):  # it is gone already, and this message was on its way
                connection.socket.shutdown(socket.SHUT_RDWR)

    with playing(drop) as (game, bridge):
        for t in range(3000):
            bridge.send(WALK, t / 30)
            if bridge.traffic.connections >= 3 and game.last().get("held"):
                break
            time.sleep(0.01)
    kinds = [told["type"] for told in game.heard]
    assert game.connections == 3
    begins = [n for n, kind in enumerate(kinds) if kind == "release_all"]
    assert begins[0] == 0
    assert len(begins) >= 3
    assert all(kinds[n + 1] == "controls" for n in begins[:3])
    assert [told["seq"] for told in game.heard] == sorted(told["seq"] for told in game.heard)


def test_a_game_that_is_slow_to_read_never_holds_up_a_decision():
    go_on = threading.Event()

    def delay(game, connection):
        go_on.wait(20)

    with playing(delay) as (game, bridge):
        wait_until(lambda: len(game.heard) == 1)
        for t in range(20_000):  # far more than fits between us and a game that does not read
            bridge.send(ControlOutput(held=WALK.held, pressed=frozenset(("attack",) if t == 19_999 else ())), t / 30)
        go_on.set()
        wait_until(lambda: "attack" in {name for told in game.heard for name in told.get("press", [])})
        assert bridge.traffic.merged > 0
        assert sum("attack" in told.get("press", []) for told in game.heard) == 1


def test_presses_and_turns_that_wait_are_added_up():
    now = [0.0]
    with playing(clock=lambda: now[0]) as (game, bridge):
        wait_until(lambda: bridge.traffic.connections)
        with bridge._wake:  # as if the thread that sends had not come to it yet
            bridge.send(ControlOutput(pressed=frozenset(("jump",)), look=(1, 0), slot=2), 0.0)
            bridge.send(ControlOutput(pressed=frozenset(("attack",)), look=(1, 0)), 0.05)
            bridge.send(ControlOutput(held=frozenset(("sneak",)), look=(1, 0)), 0.1)
        wait_until(lambda: len(game.heard) == 2)
        told = game.last()
        assert (told["held"], told["press"], told["slot"]) == (["sneak"], ["attack", "jump"], 2)
        assert told["look"]["yaw"] == pytest.approx(30)


def test_what_waited_too_long_is_not_pressed_any_more():
    now = [0.0]
    with playing(clock=lambda: now[0]) as (game, bridge):
        wait_until(lambda: bridge.traffic.connections)
        with bridge._wake:
            bridge.send(ControlOutput(held=frozenset(("sneak",)), pressed=frozenset(("drop_item",)), slot=1), 0.0)
            now[0] = 0.4
        wait_until(lambda: len(game.heard) == 2)
        assert (game.last()["held"], game.last()["press"], "slot" in game.last()) == (["sneak"], [], False)


def test_a_game_that_is_not_there_costs_nothing_and_is_found_when_it_comes():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    bridge = WebSocketBridge(f"ws://127.0.0.1:{port}", retry_s=0.05)
    bridge.send(WALK, 0.0)
    assert not bridge.traffic.connections
    game = Game(lambda *_: None)
    with serve(game, "127.0.0.1", port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        wait_until(lambda: game.last().get("held") == ["move_forward", "sprint"])
        bridge.release_all()
        wait_until(lambda: game.last().get("held") == [])
        bridge.close()
        server.shutdown()
        thread.join(5)


def test_a_server_that_never_shakes_hands_does_not_keep_us_from_ending():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bridge = WebSocketBridge(f"ws://127.0.0.1:{silent.getsockname()[1]}", patience_s=0.3)
        bridge.send(WALK, 0.0)
        bridge.close()
        assert not bridge._thread.is_alive()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "ws://", "127.0.0.1:8765", "nonsense", "ws://[::1", "ws://x:99999"]
)
def test_what_is_no_websocket_address_is_refused(url):
    with pytest.raises(UserError, match=r"--bridge .*ws://127"):
        WebSocketBridge(url)


def test_messages_are_printed_one_a_line():
    out = io.StringIO()
    bridge = PrintBridge(out)
    bridge.send(WALK, 0.0)
    bridge.send(CLICK, 0.1)
    bridge.close()
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told == [message(WALK, (0, 0), 0), message(CLICK, (0, 0), 1)]
    assert read_state('{"type": "state", "state": {"slot": 1}}') == {"slot": 1}


def pointer_at():
    display = x11.open_display()
    at = display.screen().root.query_pointer()
    display.close()
    return at.root_x, at.root_y, at.mask >> 8 & 7


@pytest.fixture
def display(xvfb):
    yield xvfb
    gc.collect()  # keyboards close before their server does


@contextmanager
def desk():
    """Real keys and a real mouse on an X server, and a window that is said to be at 100, 50."""
    window = FakeWindow(Rect(100, 50, 401, 301))
    pointer = XPointer()
    pointer.place(300, 300)
    bridge = KeyboardBridge(RealKeys(MINECRAFT), pointer, window, pixels_per_deg=2)
    try:
        yield bridge, window
    finally:
        bridge.close()
    assert not x11_keys.keys_down(MINECRAFT.pressable)


def test_keys_are_held_tapped_and_let_go(display):
    with desk() as (bridge, _):
        keys = MINECRAFT.pressable
        bridge.send(WALK, 0.0)
        assert x11_keys.keys_down(keys) == {"w", "ctrl"}
        bridge.send(ControlOutput(held=frozenset(("sneak",)), pressed=frozenset(("drop_item",)), slot=4), 0.1)
        assert x11_keys.keys_down(keys) == {"shift", "q", "5"}
        bridge.send(ControlOutput(held=frozenset(("sneak",))), 0.13)  # the tap goes on for a tick of the game
        assert x11_keys.keys_down(keys) == {"shift", "q", "5"}
        bridge.send(ControlOutput(), 0.2)
        assert x11_keys.keys_down(keys) == set()


def test_looks_move_the_mouse_and_buttons_are_pressed(display):
    with desk() as (bridge, _):
        bridge.send(ControlOutput(), 0.0)
        bridge.send(ControlOutput(look=(0.1, -0.1), held=frozenset(("use_item",))), 0.1)
        assert pointer_at() == (306, 294, 0b100)
        for t in range(10):  # parts of a pixel add up: 10 * 300 * 0.01 * 0.01 * 2 = 6
            bridge.send(ControlOutput(look=(0.1, 0), pressed=frozenset(("attack",) if t == 0 else ())), 0.11 + t / 100)
            assert pointer_at()[2] == (0b001 if t < 6 else 0)
        assert pointer_at()[0] == 312


def test_the_cursor_is_placed_within_the_window(display):
    with desk() as (bridge, _):
        bridge.send(CLICK, 0.0)
        assert pointer_at() == (200, 200, 0b001)
        assert x11_keys.keys_down(MINECRAFT.pressable) == {"shift"}


def test_nothing_is_pressed_while_another_window_has_the_focus(display):
    with desk() as (bridge, window):
        busy = ControlOutput(held=frozenset(("move_forward", "use_item")))
        bridge.send(busy, 0.0)
        window.focused = False
        bridge.send(busy, 0.1)
        assert x11_keys.keys_down(MINECRAFT.pressable) == set()
        assert pointer_at()[2] == 0
        window.focused = True
        bridge.send(busy, 0.2)
        assert x11_keys.keys_down(MINECRAFT.pressable) == {"w"}
        bridge.release_all()
        assert (x11_keys.keys_down(MINECRAFT.pressable), pointer_at()[2]) == (set(), 0)
