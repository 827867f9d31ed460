"""A real chat server on loopback for the `openai` back end, which can be slow, broken or talk rubbish."""

import threading
import time
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse


class Chat:
    """answer: text to (number of the request, its words) → the reply: a text, a status, ("rubbish",), or (message, how
    it finished), as real servers send them; a message of None is a reply without choices."""

    def __init__(self, answer):
        self.answer = answer
        self.requests, self.keys = [], []
        self.busy = self.most_busy = 0
        self._lock = threading.Lock()
        self.app = FastAPI()
        self.app.get("/v1/models")(self.models)
        self.app.post("/v1/chat/completions")(self.chat)

    async def models(self):
        return {"object": "list", "data": [{"id": "tiny-qwen", "object": "model", "created": 0, "owned_by": "us"}]}

    async def chat(self, request: Request):
        import asyncio

        body = await request.json()
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.keys.append(request.headers.get("authorization"))
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            reply = self.answer(number, words_of(body))
            if isinstance(reply, float):
                await asyncio.sleep(reply)
                reply = "Go to the lantern"
            if isinstance(reply, int):
                told = f"status {reply} {request.headers.get('authorization')}\x1b[31m"  # some servers echo the key
                return JSONResponse({"error": {"message": told}}, status_code=reply)
            if isinstance(reply, tuple) and len(reply) == 1:
                return PlainTextResponse(reply[0])
            said, end = reply if isinstance(reply, tuple) else ({"content": reply}, "stop")
            choice = {"index": 0, "finish_reason": end, "message": {"role": "assistant", **(said or {})}}
            choices = [] if said is None else [choice]
            return {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny-qwen", "choices": choices}
        finally:
            with self._lock:
                self.busy -= 1


def words_of(body):
    """The text of a request's question."""
    return next(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")


def picture_of(body):
    """The data URL of its picture."""
    return next(p["image_url"]["url"] for p in body["messages"][0]["content"] if p["type"] == "image_url")


@contextmanager
def serving(answer):
    """(chat, url) of a server that runs until the block ends."""
    chat = Chat(answer)
    # log_config: setting logging up anew closes every handler, and absl's then closes the stream that pytest captures.
    config = uvicorn.Config(chat.app, host="127.0.0.1", port=0, log_level="error", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield chat, f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
