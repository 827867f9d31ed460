"""The server policy against a real HTTP server on the loopback that decodes with the tiny model."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from protege.agent.server import ServerAgent
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace, Plan
from protege.core.card import ModelCard
from protege.core.chat import prompt, reply
from protege.core.frame import decode_jpeg
from protege.core.history import History
from protege.core.looking import look
from protege.errors import ProtegeError, UserError

GOAL = "Go to the lantern"


class Server:
    """Speaks OpenAI's chat protocol; `answer` makes an answer of a request, `status` refuses."""

    def __init__(self, answer):
        self.answer, self.status, self.requests, self.drop = answer, 200, [], False
        self.listed = {"id": "tiny"}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send({"data": [server.listed]})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, asked))
                self.send({"choices": [{"message": {"content": server.answer(asked)}}]})
                if server.drop:
                    self.close_connection = True

            def send(self, body):
                data = json.dumps(body).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve():
    servers, agents = [], []

    def start(answer, options=None):
        servers.append(Server(answer))
        agents.append(ServerAgent(servers[-1].url, options))
        return servers[-1], agents[-1]

    yield start
    for agent in agents:
        agent.close()
    for server in servers:
        server.close()


def test_a_server_answers_with_the_plan_of_the_model_behind_it(tiny, noise, serve):
    local = VisionAgent(tiny, GOAL, VisionOptions(frame_size=(160, 120)))

    def decode(asked):
        image, text = asked["messages"][0]["content"]
        rgb = decode_jpeg(base64.b64decode(image["image_url"]["url"].partition(",")[2]))
        goal = text["text"].removeprefix("Goal: ").partition("\n")[0]
        return reply(local.predict(type(noise())(rgb, 0), goal), KEYBOARD_12)

    server, agent = serve(decode, VisionOptions(frame_size=(160, 120)))
    agent.warm_up()
    plan = agent.predict(noise(), GOAL)
    assert len(plan.steps) == 7
    path, asked = server.requests[-1]
    assert path == "/v1/chat/completions"
    assert (asked["model"], asked["temperature"]) == ("tiny", 0.0)
    items = asked["response_format"]["json_schema"]["schema"]["properties"]["actions"]
    assert items["items"]["enum"] == list(KEYBOARD_12.keys)
    assert (items["minItems"], items["maxItems"]) == (7, 7)


def test_a_server_is_asked_for_slots_with_a_mouse_by_a_pattern(noise, serve):
    space = ActionSpace("GAME", ("w", "mouse_left", "none"), look=look())
    said = [frozenset(("w", "yaw3")), frozenset(("mouse_left", "pitch-5")), NO_KEYS]
    options = VisionOptions(frame_size=(160, 120), space=space)
    server, agent = serve(lambda asked: reply(Plan((*said, *said, NO_KEYS)), space), options)
    assert agent.predict(noise(), GOAL).steps == (*said, *said, NO_KEYS)
    schema = server.requests[-1][1]["response_format"]["json_schema"]["schema"]
    pattern = schema["properties"]["actions"]["items"]["pattern"]
    assert pattern == "^(w|mouse_left|none) [ABCDEFGHIJKLMNOPRSTUV] [fghijklmnop]$"
    assert all(re.search(pattern, space.spell(action)) for action in said)


def test_a_server_of_a_model_with_a_history_is_sent_the_earlier_frames_its_card_says(tmp_path, noise, serve):
    card = ModelCard("vision", "tiny", frame_size=(160, 120), prompt_version=2, history=History(2, 1, 0.5))
    card.save(tmp_path)
    server, agent = serve(lambda asked: '{"actions": ["w", "w", "w", "w", "w", "w", "w"]}')
    server.listed = {"id": "game", "root": str(tmp_path)}
    agent.warm_up()
    for slot in range(3):
        agent.predict(noise(slot / 10, slot), GOAL)
    sent = [asked["messages"][0]["content"] for _, asked in server.requests[1:]]
    assert [[part["type"] for part in content] for content in sent] == [
        ["image_url", "text"],
        ["text", "image_url", "text", "image_url", "text"],
        ["text", "image_url", "image_url", "text", "image_url", "text"],
    ]
    pictures = [
        decode_jpeg(base64.b64decode(part["image_url"]["url"].partition(",")[2])).shape
        for part in sent[-1]
        if part["type"] == "image_url"
    ]
    assert pictures == [(60, 80, 3), (60, 80, 3), (120, 160, 3)]
    assert [part["text"] for part in sent[-1] if part["type"] == "text"] == ["Earlier:", "Now:", prompt(GOAL)]


def test_a_server_whose_model_has_another_horizon_is_refused(tmp_path, noise, serve):
    ModelCard("vision", "tiny", horizon=5).save(tmp_path)
    server, agent = serve(lambda asked: "")
    server.listed = {"id": str(tmp_path)}
    with pytest.raises(UserError, match="made for horizon 5"):
        agent.predict(noise(), GOAL)


def test_a_connection_that_was_closed_meanwhile_is_opened_again(noise, serve):
    server, agent = serve(lambda asked: '{"actions": ["w", "w", "w", "w", "w", "w", "none"]}')
    server.drop = True
    assert [agent.predict(noise(), GOAL).done for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("text", ["I would walk on.", '{"actions": ["w"]}', '{"actions": ["f5", 2, 3, 4, 5, 6, 7]}'])
def test_an_answer_that_is_no_plan_is_an_error_and_never_none(text, noise, serve):
    _, agent = serve(lambda asked: text)
    with pytest.raises(ProtegeError, match="guided choices"):
        agent.predict(noise(), GOAL)


def test_a_refusal_and_a_server_that_is_not_there_are_errors_in_words(noise, serve):
    server, agent = serve(lambda asked: "")
    server.status = 503
    with pytest.raises(ProtegeError, match=r"refused .503"):
        agent.predict(noise(), GOAL)
    with pytest.raises(ProtegeError, match="is the server running"):
        ServerAgent("http://127.0.0.1:9/v1#m").predict(noise(), GOAL)
    with pytest.raises(UserError, match="expected a server"):
        ServerAgent("http:///v1")
    for url in ("http://[::1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:0/v1"):
        with pytest.raises(UserError, match="expected a server"):
            ServerAgent(url)
