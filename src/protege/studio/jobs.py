"""What the studio's buttons start: the commands that stand beside them, with what the page was told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from protege.core.files import is_component
from protege.errors import UserError
from protege.studio.shared import Studio

COUNTDOWN_S: Final = 5
"""For going from the browser to the game."""
Command = tuple[str, ...]


class Asked(BaseModel):
    """name: of the work; id: of the run or model that it is about; goal, game: "" for none; minutes: at most."""

    name: str = Field(max_length=40)
    id: str = Field("", max_length=40)
    goal: str = Field("", max_length=1000)
    game: str = Field("", max_length=120)
    minutes: float = Field(10.0, gt=0, le=600)


@dataclass(frozen=True)
class Jobs:
    """Turns what a page asks for into commands. Folders are found by identity; goals and names are single arguments."""

    studio: Studio

    def commands(self, asked: Asked) -> list[Command]:
        """UserError where there is no such work, or something that it needs is missing."""
        known: Mapping[str, Callable[[Asked], list[Command]]] = {
            "record": self._record,
            "label": lambda asked: [("label", *_given("--goal", asked.goal))],
            "corrections": lambda _: [("label", "--corrections")],
            "train": lambda _: [("train",)],
            "report": lambda _: [("report",)],
            "learn": self._learn,
            "score": self._score,
            "play": self._play,
        }
        if asked.name not in known:
            raise UserError("no such work; load the page again")
        return known[asked.name](asked)

    def _record(self, asked: Asked) -> list[Command]:
        return [("record", "--countdown", str(COUNTDOWN_S), *self._game(asked))]

    def _learn(self, asked: Asked) -> list[Command]:
        run = self.studio.shown(self.studio.folder("runs", asked.id))
        return [("label", "--corrections", "--session", run), ("train",)]

    def _score(self, asked: Asked) -> list[Command]:
        folder = self.studio.folder("models", asked.id)
        return [("score", self.studio.shown(folder), "--json", f"{self.studio.shown(folder)}/score.json")]

    def _play(self, asked: Asked) -> list[Command]:
        if not asked.goal.strip():
            raise UserError("a goal is missing: say what it is to do, in 3 to 5 words")
        model = self.studio.shown(self.studio.folder("models", asked.id))
        more = ("--countdown", str(COUNTDOWN_S), "--max-minutes", f"{asked.minutes:g}", *self._game(asked))
        return [("play", "--show", "--model", model, *_given("--goal", asked.goal), *more)]

    def _game(self, asked: Asked) -> Command:
        if asked.game and asked.game not in game_names(self.studio.root):
            raise UserError("no such game here; load the page again, or describe it with: protege game new")
        return _given("--game", asked.game)


def _given(option: str, value: str) -> Command:
    """An option in one word, so that no value can be taken for another option."""
    return (f"{option}={value.strip()}",) if value.strip() else ()


def game_names(root: Path) -> list[str]:
    """The games that a project can name: its own, and those that come with protege."""
    import protege.games

    folders = (root / "games", Path(protege.games.__file__).parent)
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml") if is_component(path.stem)})


def add_jobs(app: FastAPI, studio: Studio) -> None:
    jobs = Jobs(studio)

    @app.get("/jobs")
    def progress() -> Response:
        now = studio.work.progress()
        return JSONResponse({**vars(now), "words": now.words} if now is not None else {})

    @app.post("/jobs/start")
    def start(asked: Annotated[Asked, Body()]) -> Response:
        studio.work.start(jobs.commands(asked))
        return JSONResponse({})

    @app.post("/jobs/stop")
    def stop() -> Response:
        studio.work.stop()
        return JSONResponse({})
