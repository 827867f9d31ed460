"""A model's page, two models side by side, and scoring one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response

from protege.core.card import ModelCard
from protege.core.files import read_bytes
from protege.studio.recordings import MOST_PICTURE
from protege.studio.scores import Wrong, bars, keys_of, side_by_side, worst_of
from protege.studio.shared import Studio
from protege.studio.verdict import Verdict, metrics_of, verdict
from protege.studio.where import look

SCORED_BY: Final = {"cloning": "protege clone evaluate", "controls": "protege controls evaluate"}


def add_models(app: FastAPI, studio: Studio) -> None:
    @app.get("/models/{id_}")
    def model(id_: str, beside: str = "") -> Response:
        folder = studio.folder("models", id_)
        card, metrics = ModelCard.load(folder), metrics_of(folder)
        said = verdict(metrics, card.space)
        wrong = worst_of(metrics)
        return studio.page(
            "model",
            folder.name,
            "models",
            card=card,
            folder=folder,
            id=id_,
            metrics=metrics,
            said=said,
            bars=bars(metrics),
            keys=keys_of(metrics, card.space),
            worst=[(n, one) for n, one in enumerate(wrong) if _picture(studio, card, one) is not None],
            lost=bool(wrong),
            score_command=f"{SCORED_BY.get(card.kind, 'protege score')} {studio.shown(folder)}",
            others=[other for other in look(studio.root, studio.segments).models if other.folder != folder],
            work=studio.work.progress(),
            pair=_pair(studio, id_, metrics, said, beside),
        )

    @app.get("/models/{id_}/worst/{number}.jpg")
    def worst(id_: str, number: int) -> Response:
        folder = studio.folder("models", id_)
        wrong = worst_of(metrics_of(folder))
        path = _picture(studio, ModelCard.load(folder), wrong[number]) if 0 <= number < len(wrong) else None
        if path is None:
            raise HTTPException(404, "no such picture; its segment may have been moved or deleted")
        data = read_bytes(path, MOST_PICTURE)
        if not data.startswith(b"\xff\xd8\xff"):
            raise HTTPException(404, "this picture cannot be read")
        return Response(data, media_type="image/jpeg", headers={"cache-control": "no-cache"})


def _pair(
    studio: Studio, id_: str, metrics: Mapping[str, Any] | None, said: Verdict, beside: str
) -> dict[str, Any] | None:
    """What stands beside a model: another's name, verdict and scores; None where no other is asked for."""
    if not beside or beside == id_:
        return None
    folder = studio.folder("models", beside)
    others = metrics_of(folder)
    both = f"{studio.shown(studio.folder('models', id_))} {studio.shown(folder)}"
    return {
        "name": folder.name,
        "id": beside,
        "said": (said, verdict(others, ModelCard.load(folder).space)),
        "scores": side_by_side(metrics, others),
        "samples": [(each or {}).get("samples") for each in (metrics, others)],
        "command": f"protege compare {both} --on dataset/labeled_segments",
    }


def _picture(studio: Studio, card: ModelCard, one: Wrong) -> Path | None:
    """The picture of a sample, where it lies in the project's labeled data or in that which the model's card names."""
    data = (card.config or {}).get("data")
    named = data.get("folder") if isinstance(data, Mapping) else None
    roots = [studio.root / "dataset" / "labeled_segments"]
    if isinstance(named, str) and (other := (studio.root / named).resolve()).is_relative_to(studio.root.resolve()):
        roots.append(other)
    files = [root / one.file[0] / one.file[1] for root in roots]
    return next((path for path in files if path.match("frame_*.jpg") and path.is_file()), None)
