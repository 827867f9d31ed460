"""Asks any server that speaks OpenAI's chat protocol: vLLM, SGLang, `transformers serve`; many questions at a time."""

import asyncio
import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from protege.core.text import masked, one_line
from protege.errors import MissingExtra, UserError
from protege.labeling.backends.base import Answer, BackendError, Question

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionContentPartParam

FAILURES_IN_A_ROW: Final = 20
"""So many questions in a row, each retried: the server is broken."""

MAX_TOKENS: Final = 200
MAX_TIMEOUT_S: Final = 86_400
_NOT_OPENAI: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)
"""Raised while reading a reply that has another form than OpenAI's: the library checks little of it."""
NO_KEY: Final = "none"
"""Servers on this machine ask for none, but the library insists on one."""


@dataclass(frozen=True)
class OpenAIServer:
    """A model behind a server.

    UserError if a field is impossible.

    url: with its /v1
    model: default is the server's first
    concurrency: requests in flight
    timeout_s: of one answer
    retries: after a refused connection, a time-out, 429 or 5xx, each waiting longer than the last
    max_tokens: longest answer, thoughts included
    """

    url: str = field(default="http://127.0.0.1:8000/v1", repr=False)
    model: str | None = None
    concurrency: int = 8
    timeout_s: float = 120.0
    retries: int = 4
    api_key: str = field(default=NO_KEY, repr=False)
    max_tokens: int = MAX_TOKENS

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.api_key.isascii() or not self.api_key.isprintable() or not self.api_key.strip():
            raise UserError("--api-key: has characters that no key has; copy it again")
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S:
            raise UserError(f"--timeout is {self.timeout_s}, expected seconds up to {MAX_TIMEOUT_S:,}")

    @property
    def name(self) -> str:
        """The model's name; asks the server once when it is not given."""
        return self.model or self._served

    @property
    def where(self) -> str:
        """The URL as it may be shown."""
        return masked(self.url)

    @cached_property
    def _served(self) -> str:
        return asyncio.run(self._first_model())

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        waiting, model = iter(questions), self.name
        tasks: set[asyncio.Task[Answer]] = set()
        failures = 0
        with asyncio.Runner() as runner:
            client = self._client()
            try:
                while True:
                    while len(tasks) < self.concurrency and (question := next(waiting, None)) is not None:
                        tasks.add(runner.get_loop().create_task(self._ask(client, model, question)))
                    if not tasks:
                        return
                    for answer in runner.run(_first_answers(tasks)):
                        failures = failures + 1 if answer.failed else 0
                        if failures >= FAILURES_IN_A_ROW:
                            raise BackendError(f"{self.where}: {failures} questions in a row failed: {answer.problem}")
                        yield answer
            finally:
                runner.run(_stop(client, tasks))

    def _client(self) -> "AsyncOpenAI":
        try:
            import openai
        except ImportError:
            raise MissingExtra("openai", "serve") from None
        return openai.AsyncOpenAI(
            base_url=self.url, api_key=self.api_key, timeout=self.timeout_s, max_retries=self.retries
        )

    async def _first_model(self) -> str:
        async with self._client() as client:
            import openai

            try:
                models = await client.models.list()
                return one_line(masked(str(models.data[0].id), self._secret), 200)
            except (openai.APIError, *_NOT_OPENAI) as error:
                raise BackendError(
                    f"{self.where}: does not name its model ({self._brief(error)}); start it, or name it with --model"
                ) from None

    async def _ask(self, client: "AsyncOpenAI", model: str, question: Question) -> Answer:
        import openai

        try:
            reply = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": _content(question)}],
                temperature=0,
                max_tokens=self.max_tokens,
            )
            return self._answer(question.number, reply)
        except openai.APITimeoutError:
            return Answer(question.number, problem=f"no answer within {self.timeout_s:g} s", failed=True)
        except openai.APIConnectionError as error:
            raise BackendError(
                f"{self.where}: cannot be reached ({self._brief(error.__cause__ or error)}); "
                "start the server or correct --url"
            ) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise BackendError(
                f"{self.where}: refused ({self._brief(error)}); check --model, --url and the key"
            ) from None
        except openai.APIError as error:
            return Answer(question.number, problem=f"the server failed ({self._brief(error)})", failed=True)
        except _NOT_OPENAI as error:
            problem = f"the server's answer is no chat completion ({self._brief(error)})"
            return Answer(question.number, problem=problem, failed=True)

    def _answer(self, number: int, reply: "ChatCompletion") -> Answer:
        """What a chat completion says; why it cannot be used where it is cut off, withheld or empty."""
        if not reply.choices:
            return Answer(number, problem="the server sent no answer (a reply without choices)")
        choice = reply.choices[0]
        text = masked(_text_of(choice.message.content), self._secret)
        if choice.finish_reason == "length":
            limit = f"the length limit of {self.max_tokens} tokens; raise it with --max-tokens"
            if text.strip():
                return Answer(number, text, f"the answer was cut off at {limit}")
            return Answer(number, problem=f"the model was still thinking at {limit}, or ask one that does not think")
        if choice.finish_reason == "content_filter":
            return Answer(number, text, "the server withheld the answer (its content filter)")
        return Answer(number, text, None if text.strip() else "the model's answer is empty")

    @property
    def _secret(self) -> str:
        return "" if self.api_key == NO_KEY else self.api_key

    def _brief(self, error: BaseException) -> str:
        """The first line of an error, short enough for one line of output, without key and logins."""
        lines = masked(str(error), self._secret).strip().splitlines()
        return one_line(lines[0], 160) if lines else type(error).__name__


def check_url(url: str) -> None:
    """UserError unless it is the address of a web server."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # a port that is none, brackets that do not match
        good = False
    if not good or not url.isprintable() or " " in url:
        raise UserError(f"--url {masked(url)}: not a server's address; expected one like http://127.0.0.1:8000/v1")


def _content(question: Question) -> "list[ChatCompletionContentPartParam]":
    text: ChatCompletionContentPartParam = {"type": "text", "text": question.text}
    if question.picture is None:
        return [text]
    data = base64.b64encode(question.picture).decode()
    kind = "png" if question.picture.startswith(b"\x89PNG") else "jpeg"
    return [{"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}, text]


def _text_of(content: object) -> str:
    """A message's content: a text or, from some servers, a list of parts of which some are text."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError(f"content is a {type(content).__name__}")
    parts = [part if isinstance(part, dict) else vars(part) for part in content]
    texts = [part["text"] for part in parts if part.get("type") in ("text", "output_text")]
    return "".join(text for text in texts if isinstance(text, str))


async def _first_answers(tasks: set[asyncio.Task[Answer]]) -> list[Answer]:
    """Wait for the next answers; their tasks are removed from `tasks`."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    answers = [task.result() for task in done]
    tasks -= done
    return answers


async def _stop(client: "AsyncOpenAI", tasks: set[asyncio.Task[Answer]]) -> None:
    """Cancel the requests in flight."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
