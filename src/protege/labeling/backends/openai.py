"""Asks any server that speaks OpenAI's chat protocol: vLLM, SGLang, `transformers serve`; many questions at a time."""

import asyncio
import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from protege.errors import MissingExtra
from protege.labeling.backends.base import Answer, BackendError, Question

FAILURES_IN_A_ROW: Final = 20
"""Questions that may fail one after another, each retried, before the server counts as broken."""

MAX_TOKENS: Final = 200


@dataclass(frozen=True)
class OpenAIServer:
    """url: with its /v1; model: the server's first if not named; concurrency: questions under way at once; timeout_s:
    for one answer; retries: after a refused connection, a time-out, 429 or 5xx, each waiting longer than the last.
    """

    url: str = "http://127.0.0.1:8000/v1"
    model: str | None = None
    concurrency: int = 8
    timeout_s: float = 120.0
    retries: int = 4
    api_key: str = field(default="none", repr=False)
    sees: bool = True

    @property
    def name(self) -> str:
        """The model's name; asks the server once when it is not given."""
        return self.model or self._served

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
                        failures = failures + 1 if answer.problem else 0
                        if failures >= FAILURES_IN_A_ROW:
                            raise BackendError(f"{self.url}: {failures} questions in a row failed: {answer.problem}")
                        yield answer
            finally:
                runner.run(_stop(client, tasks))

    def _client(self) -> Any:
        try:
            from openai import AsyncOpenAI
        except ImportError:
            raise MissingExtra("openai", "serve") from None
        return AsyncOpenAI(base_url=self.url, api_key=self.api_key, timeout=self.timeout_s, max_retries=self.retries)

    async def _first_model(self) -> str:
        import openai

        async with self._client() as client:
            try:
                models = await client.models.list()
                return models.data[0].id
            except (openai.APIError, AttributeError, IndexError, TypeError, ValueError) as error:
                raise BackendError(
                    f"{self.url}: does not name its model ({_brief(error)}); start it, or name it with --model"
                ) from None

    async def _ask(self, client: Any, model: str, question: Question) -> Answer:
        import openai

        content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
        if question.picture is not None:
            data = base64.b64encode(question.picture).decode()
            content.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
        try:
            reply = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": content}],
                temperature=0,
                max_tokens=MAX_TOKENS,
            )
            return Answer(question.number, reply.choices[0].message.content or "")
        except openai.APITimeoutError:
            return Answer(question.number, problem=f"no answer within {self.timeout_s:g} s")
        except openai.APIConnectionError as error:
            raise BackendError(
                f"{self.url}: cannot be reached ({_brief(error.__cause__ or error)}); start the server or correct --url"
            ) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise BackendError(f"{self.url}: refused ({_brief(error)}); check --model, --url and the key") from None
        except openai.APIError as error:
            return Answer(question.number, problem=f"the server failed ({_brief(error)})")
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            return Answer(question.number, problem=f"the server's answer is no chat completion ({_brief(error)})")


async def _first_answers(tasks: set[asyncio.Task[Answer]]) -> list[Answer]:
    """Wait until some are done and take them out of `tasks`."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    answers = [task.result() for task in done]
    tasks -= done
    return answers


async def _stop(client: Any, tasks: set[asyncio.Task[Answer]]) -> None:
    """Give up what is under way."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()


def _brief(error: BaseException) -> str:
    """The first line of an error, short enough for one line of output."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
