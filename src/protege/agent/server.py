"""A policy on another machine: any server that speaks OpenAI's chat protocol with guided choices (vLLM, SGLang)."""

import base64
import http.client
import json
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from protege.agent.recall import Recall
from protege.agent.vision import VisionOptions
from protege.core.card import CARD_NAME, ModelCard
from protege.core.chat import question, read_reply
from protege.core.files import Json
from protege.core.frame import Frame, encode_jpeg
from protege.core.history import History
from protege.core.plan import Plan
from protege.errors import ProtegeError, UserError
from protege.vlm.pixels import fit
from protege.vlm.shape import valid_actions

TIMEOUT_S = 10.0
MAX_TOKENS = 200


class ServerAgent:
    """Implements `core.plan.Policy`. The request names the valid actions, as a schema, and no other is answered.

    An answer is text without probabilities, so it is greedy (or sampled), and a card's done_threshold does not count.
    Where the server names a model's folder that is here, too, the card in it says whether earlier frames are shown.
    """

    def __init__(self, url: str, options: VisionOptions | None = None) -> None:
        """url: with its /v1, and the model's name after a #; the server's first model without one."""
        self.options = options or VisionOptions()
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # brackets that do not close, a port out of range
            host = port = parts = None
        if parts is None or not host or port == 0:
            raise UserError(f"--model {url}: expected a server such as http://127.0.0.1:8000/v1")
        self.url = url.partition("#")[0].rstrip("/")
        self.temperature = self.options.temperature
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = host, port, parts.path.rstrip("/")
        self._model = parts.fragment
        self._known = False
        self._size = self.options.frame_size
        self._headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        self._recall: Recall[dict[str, Json]] | None = None
        self._connection: http.client.HTTPConnection | None = None
        space = self.options.space
        names = [space.spelled_parts(action)[0] for action in valid_actions(space, chords=False)]
        slot: dict[str, Json] = {"type": "string", "enum": names}
        if space.look is not None:  # a pattern, since all combinations of keys and bins would be thousands of names
            keys, axes = "|".join(map(re.escape, names)), [axis.letters for axis in space.look.axes]
            slot = {"type": "string", "pattern": f"^({keys}) [{axes[0]}] [{axes[1].lower()}]$"}
        self._schema = {
            "type": "object",
            "properties": {
                "actions": {
                    "type": "array",
                    "items": slot,
                    "minItems": self.options.horizon,
                    "maxItems": self.options.horizon,
                }
            },
            "required": ["actions"],
            "additionalProperties": False,
        }

    def predict(self, frame: Frame, goal: str) -> Plan:
        model = self.model
        earlier = [] if self._recall is None else self._recall.earlier(frame, goal)
        pictures = [*earlier, _part(fit(frame.rgb, self._size))]
        asked = {
            "model": model,
            "messages": [{"role": "user", "content": question(goal, pictures, self.options.horizon)}],
            "temperature": self.temperature,
            "max_tokens": MAX_TOKENS,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "actions", "schema": self._schema, "strict": True},
            },
        }
        answer = self._request("POST", "/chat/completions", asked)
        try:
            text = answer["choices"][0]["message"]["content"]
            return read_reply(text, self.options.space, self.options.horizon)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ProtegeError(f"{self.url}: {error}; does the server support guided choices (json_schema)?") from None

    @property
    def model(self) -> str:
        """The model's name; asks the server when it was not given."""
        if not self._known:
            places = [self._model]
            if not self._model:
                try:
                    named = self._request("GET", "/models", None)["data"][0]
                    self._model = str(named["id"])
                    places = [self._model, str(named.get("root") or "")]
                except (KeyError, IndexError, TypeError, AttributeError):
                    raise UserError(f"{self.url}: does not name a model; give it as {self.url}#NAME") from None
            self._read_card([Path(place) for place in places if place and "\0" not in place])
            self._known = True
        return self._model

    def _read_card(self, folders: list[Path]) -> None:
        """Show what the first card says that lies in one of the folders, if any."""
        for folder in folders:
            if (folder / CARD_NAME).is_file():
                card = ModelCard.load(folder)
                card.require(kind="vision", space=self.options.space, horizon=self.options.horizon)
                card.require(prompt_version=card.needed_prompt)
                if card.history is not None:
                    self._size = self._size or card.frame_size
                    small = partial(_small, size=self._size, history=card.history)
                    self._recall = Recall(card.history, card.frame_hz, small)
                return

    def warm_up(self) -> None:
        width, height = self.options.frame_size or (640, 480)
        self.predict(Frame(np.zeros((height, width, 3), np.uint8), 0), "Go")
        if self._recall is not None:
            self._recall.forget()

    def _request(self, method: str, path: str, body: Json) -> Any:
        """The server's JSON. A kept connection may have been closed meanwhile: it is opened again, once."""
        data = None if body is None else json.dumps(body)
        for again in (True, False):
            try:
                connection = self._connect()
                connection.request(method, self._path + path, data, self._headers)
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    raise ProtegeError(f"{self.url}: refused ({response.status} {text[:120].decode(errors='replace')})")
                return json.loads(text)
            except (http.client.HTTPException, OSError) as error:
                kept, self._connection = self._connection, None
                if kept is not None:
                    with suppress(OSError):
                        kept.close()
                if not again or isinstance(error, TimeoutError | ConnectionRefusedError):
                    raise ProtegeError(f"{self.url}: cannot be reached ({error}); is the server running?") from None
            except ValueError as error:
                raise ProtegeError(f"{self.url}: the answer is no JSON ({error})") from None
        raise AssertionError("both tries end above")

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _part(rgb: NDArray[np.uint8]) -> dict[str, Json]:
    """A picture as a part of a message."""
    text = base64.b64encode(encode_jpeg(rgb)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}}


def _small(rgb: NDArray[np.uint8], size: tuple[int, int], history: History) -> dict[str, Json]:
    """The part of an earlier frame, beside newest ones of a (width, height)."""
    return _part(fit(fit(rgb, size), history.size(*size)))
