"""The studio's pages and what their buttons do; everything is a function that a command calls as well."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Annotated, Final

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from protege.core.files import Json, is_component
from protege.core.quality import assess, shares_text
from protege.core.session import Session, SessionError
from protege.errors import ProtegeError
from protege.learn.pages import STYLE, render
from protege.studio.gate import App, Gate, guarded
from protege.studio.jobs import add_jobs, game_names
from protege.studio.model_pages import add_models
from protege.studio.recordings import described, picture
from protege.studio.runs import learning_from, plans_of
from protege.studio.segments import FILTERS, Card, chosen, counts, identity
from protege.studio.shared import Studio
from protege.studio.where import look

STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {".css": "text/css", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
PAGE_OF_CARDS: Final = 120
"""Cards that a page begins with; it asks for more when they are nearly in sight."""
ALWAYS: Final = "private, max-age=31536000, immutable"
"""For what has its version in its address."""
Ids = Annotated[list[str], Body(embed=True, max_length=5000)]
MaybeText = Annotated[str | None, Body(max_length=1000)]
Number = Annotated[float, Body(embed=True)]


def make_app(root: Path, gate: Gate) -> App:
    """The studio of a project, behind its gate."""
    studio = Studio(root, gate)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for add in (_home, add_jobs, _labels, _decisions, _recordings, _cuts, add_models, _live, _static):
        add(app, studio)
    _refusals(app)
    Thread(target=studio.warm, daemon=True).start()  # while the browser opens
    return guarded(app, gate)


def _refusals(app: FastAPI) -> None:
    def refused(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"said": str(error)}, status_code=409)

    app.add_exception_handler(ProtegeError, refused)


def _home(app: FastAPI, studio: Studio) -> None:
    @app.get("/")
    def home() -> Response:
        where = look(studio.root, studio.segments)
        return studio.page(
            "home",
            "Where you are",
            "home",
            where=where,
            steps=where.steps(),
            work=studio.work.progress(),
            games=game_names(studio.root),
        )


def _labels(app: FastAPI, studio: Studio) -> None:
    @app.get("/labels")
    def labels(show: str = "", goal: str = "", by: str = "") -> Response:
        cards = studio.segments.all()
        numbers = counts(cards)
        if show not in FILTERS:
            show = next((name for name in ("review", "unseen") if numbers[name]), "all")
        found = chosen(cards, show, goal, by)
        studio.sitting.know(cards)
        return studio.page(
            "labels",
            "Labels",
            "labels",
            cards=found[:PAGE_OF_CARDS],
            more=len(found) > PAGE_OF_CARDS,
            total=len(found),
            numbers=numbers,
            filters=FILTERS,
            show=show,
            goal=goal,
            by=by,
            goals=sorted({card.goal for card in cards if card.goal}),
            makers=sorted({card.by for card in cards if card.by}),
            recent=studio.sitting.recent,
            none_at_all=not cards,
        )

    @app.get("/labels/more")
    def more(after: int, show: str = "all", goal: str = "", by: str = "") -> Response:
        found = chosen(studio.segments.all(), show, goal, by)
        page = found[max(0, after) : max(0, after) + PAGE_OF_CARDS]
        return HTMLResponse(_cards(page))

    @app.get("/strip/{id_}/{version}.jpg")
    def strip(id_: str, version: str) -> Response:
        card = studio.card(id_)
        keep = ALWAYS if card.version == version else "no-store"
        return Response(studio.segments.strip(card), media_type="image/jpeg", headers={"cache-control": keep})


def _cards(cards: Sequence[Card]) -> str:
    return render("studio/pages/cards.html.jinja", cards=cards)


def _decisions(app: FastAPI, studio: Studio) -> None:
    def answer(names: Sequence[str], said: str) -> Response:
        cards = [card for name in names if (card := studio.segments.named(identity(name))) is not None]
        return JSONResponse(
            {
                "cards": {card.id: _cards([card]) for card in cards},
                "recent": studio.sitting.recent,
                "decisions": studio.sitting.decisions,
                "said": said,
            }
        )

    def names_of(ids: Sequence[str]) -> list[str]:
        if not ids:
            raise HTTPException(422, "no segment is chosen")
        return [studio.card(id_).name for id_ in dict.fromkeys(ids)]

    @app.post("/labels/accept")
    def accept(
        ids: Ids, goal: Annotated[str | None, Body(max_length=1000)] = None, force: Annotated[bool, Body()] = False
    ) -> Response:
        names = names_of(ids)
        edit = studio.sitting.accept(names, goal, force)
        return answer(names, f"{_segments(names)}: {edit.after[0].goal}")

    @app.post("/labels/aside")
    def aside(ids: Ids) -> Response:
        names = names_of(ids)
        studio.sitting.set_aside(names)
        return answer(names, f"{_segments(names)} set aside")

    @app.post("/labels/edge")
    def edge(ids: Ids, steps: Annotated[int, Body(ge=-1, le=1)]) -> Response:
        edit = studio.sitting.move_edge(names_of(ids)[0], steps)
        return answer([segment.name for segment in edit.after], "the edge is moved")

    @app.post("/labels/undo")
    def undo() -> Response:
        edit = studio.sitting.undo()
        if edit is None:
            return answer([], "nothing to undo in this sitting")
        return answer([segment.name for segment in edit.before], "taken back")


def _segments(names: Sequence[str]) -> str:
    return "1 segment" if len(names) == 1 else f"{len(names)} segments"


def _recordings(app: FastAPI, studio: Studio) -> None:
    @app.get("/{kind}/{id_}/play")
    def play(kind: str, id_: str) -> Response:
        folder = studio.folder(kind, id_)
        session, problem = _try(lambda: studio.opened(folder))
        return studio.page(
            "recording",
            folder.name,
            kind,
            kind=kind,
            id=id_,
            session=session,
            problem=problem,
            quality=assess(session) if session is not None else None,
            shares_text=shares_text,
            learning=learning_from(studio, session) if kind == "runs" and session is not None else None,
            work=studio.work.progress(),
        )

    @app.get("/{kind}/{id_}/data")
    def data(kind: str, id_: str) -> Response:
        session = studio.opened(studio.folder(kind, id_))
        return JSONResponse({**described(session), "plans": plans_of(session)})

    @app.get("/{kind}/{id_}/frame/{i}.jpg")
    def frame(kind: str, id_: str, i: int) -> Response:
        session = studio.opened(studio.folder(kind, id_))
        if not 0 <= i < len(session):
            raise HTTPException(404, "no such frame")
        try:
            data = picture(session, i)
        except (OSError, ValueError):
            raise HTTPException(404, "this picture cannot be read") from None
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _try(work: Callable[[], Session]) -> tuple[Session | None, str]:
    try:
        return work(), ""
    except (SessionError, OSError, ValueError) as error:
        return None, str(error)


def _cuts(app: FastAPI, studio: Studio) -> None:
    def made(folders: Sequence[Path]) -> Response:
        names: list[Json] = [folder.name for folder in folders]
        pages: list[Json] = [f"/recordings/{identity(folder.name)}/play" for folder in folders]
        return JSONResponse({"made": names, "pages": pages, "said": f"made {', '.join(map(str, names))}"})

    @app.post("/recordings/{id_}/trim")
    def trim(id_: str, start: Number, stop: Number) -> Response:
        return made([studio.edits.trim(studio.folder("recordings", id_), start, stop)])

    @app.post("/recordings/{id_}/split")
    def split(id_: str, at: Number) -> Response:
        return made(studio.edits.split(studio.folder("recordings", id_), at))

    @app.post("/recordings/{id_}/delete")
    def delete(id_: str) -> Response:
        folder = studio.folder("recordings", id_)
        studio.edits.delete(folder)
        return JSONResponse({"said": f"{folder.name} is in the trash"})

    @app.post("/recordings/undo")
    def undo() -> Response:
        return JSONResponse({"said": studio.edits.undo() or "nothing to undo in this sitting"})


def _live(app: FastAPI, studio: Studio) -> None:
    @app.get("/live")
    def live() -> Response:
        return studio.page("live", "Live", "live", run=studio.live.now(), work=studio.work.progress())

    @app.get("/live/state")
    def state() -> Response:
        return JSONResponse(studio.live.now() or {})

    @app.get("/live/frame.jpg")
    def frame() -> Response:
        if (data := studio.live.picture()) is None:
            raise HTTPException(404, "no run goes on with --show")
        return Response(data, media_type="image/jpeg", headers={"cache-control": "no-store"})

    @app.post("/live/stop")
    def stop() -> Response:
        return JSONResponse({"said": "told to stop" if studio.live.stop() else "no run goes on"})


def _static(app: FastAPI, studio: Studio) -> None:
    @app.get("/static/{name}")
    def static(name: str) -> Response:
        kind = KINDS.get(Path(name).suffix)
        path = STYLE if name == STYLE.name else STATIC / name
        if kind is None or not is_component(name) or not path.is_file():
            raise HTTPException(404, "no such file")
        return Response(path.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})
