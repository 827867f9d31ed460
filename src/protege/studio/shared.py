"""What the studio's pages share: the project, who may ask, and how a page is made."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from fastapi import Body, HTTPException
from fastapi.responses import HTMLResponse

from protege.core.session import find_sessions
from protege.errors import ProtegeError
from protege.learn.pages import render
from protege.studio.gate import Gate
from protege.studio.live import Live
from protege.studio.recordings import Edits, Opened
from protege.studio.segments import FILTERS, Card, Segments, identity
from protege.studio.sitting import Sitting
from protege.studio.where import look, model_folders
from protege.studio.work import Work

Text = Annotated[str, Body(embed=True, max_length=1000)]

NO_LABELS: Final[dict[str, object]] = {
    **dict.fromkeys(("cards", "goals", "makers", "recent"), ()),
    **dict.fromkeys(("show", "goal", "by"), ""),
    **{"more": False, "total": 0, "numbers": dict.fromkeys(FILTERS, 0), "filters": FILTERS, "none_at_all": True},
}


@dataclass
class Studio:
    """What the pages share. root: the project's folder; gate: who may ask."""

    root: Path
    gate: Gate
    segments: Segments = field(init=False)
    sitting: Sitting = field(init=False)
    opened: Opened = field(default_factory=Opened)
    edits: Edits = field(default_factory=Edits)
    work: Work = field(init=False)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        labeled = self.root / "dataset" / "labeled_segments"
        self.segments, self.sitting, self.work = Segments(labeled), Sitting(labeled), Work(self.root)
        self.live = Live(self.root / "dataset" / "agent_runs")

    def warm(self) -> None:
        """Read what the first page needs, and compile its template."""
        with suppress(OSError, ProtegeError):
            where = look(self.root, self.segments)
            self.page("home", "", "home", where=where, steps=where.steps(), work=None, games=())
            self.page("labels", "", "labels", **NO_LABELS)

    def page(self, name: str, title: str, here: str, **values: object) -> HTMLResponse:
        """A page of `pages/`. here: the entry of the menu that it belongs to."""
        shared = {"title": title, "here": here, "token": self.gate.changes, "identity": identity}
        text = render(f"studio/pages/{name}.html.jinja", **shared, **values)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    def folder(self, kind: str, id_: str) -> Path:
        """A recording's, a run's or a model's folder by its identity; 404 if there is none."""
        roots = {"recordings": "raw_playthrough", "runs": "agent_runs"}
        if kind == "models":
            found = model_folders(self.root / "models")
            folder = next((folder for name, folder in found.items() if identity(name) == id_), None)
        elif kind in roots and (root := self.root / "dataset" / roots[kind]).is_dir():
            folder = next((folder for folder in find_sessions(root) if identity(folder.name) == id_), None)
        else:
            folder = None
        if folder is None:
            raise HTTPException(404, "no such thing; it may have been moved or deleted")
        return folder

    def shown(self, folder: Path) -> str:
        """A folder as a command that is started in the project's folder takes it."""
        return folder.relative_to(self.root).as_posix()

    def card(self, id_: str) -> Card:
        """404 if there is no such segment."""
        card = self.segments.named(id_)
        if card is None:
            raise HTTPException(404, "no such segment; it may have been moved or deleted")
        return card
