"""A report on a folder of recordings or of labeled data: an HTML page, and its essence as lines of text."""

import base64
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.core.actions import NO_KEYS
from protege.core.files import write_text
from protege.errors import UserError
from protege.labeling.contact_sheet import jpeg, shrunk, side_by_side, stamp
from protege.labeling.measure import GoalFacts, Measured, measure
from protege.labeling.pieces import Contents, Piece, open_contents
from protege.labeling.warn import RECOMMENDED_HOURS, Warning, hours, percent, warnings
from protege.learn.pages import render

SHOWN_GOALS: Final = 12
SHOWN_WIDTH: Final = 200


@dataclass(frozen=True)
class Report:
    """page: the HTML page that was written; warnings: the gravest first."""

    page: Path
    contents: Contents
    measured: Measured
    warnings: tuple[Warning, ...]

    def lines(self) -> list[str]:
        """The essence, as a command prints it."""
        data = self.measured
        found = [f"{name:<16}  {text}" for name, text in essence(self.contents, data)]
        found += [f"warning: {warning}" for warning in self.warnings] or ["no warnings"]
        return found


def write_report(folder: Path, page: Path | None = None) -> Report:
    """Measure a folder and write its page (default: report.html in the folder). UserError if the folder is empty."""
    page = page or folder / "report.html"
    contents, pieces = open_contents(folder)
    data = measure(pieces)
    report = Report(page, contents, data, tuple(warnings(contents, data)))
    text = _render(report)
    try:
        if not page.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(page.parent))
        write_text(page, text)
    except OSError as error:
        raise UserError(f"--out {page}: cannot be written ({error.strerror}); choose another place") from None
    return report


def essence(contents: Contents, data: Measured) -> list[tuple[str, str]]:
    """(name, text) of the most important figures."""
    least, most = RECOMMENDED_HOURS
    count = len(contents.sessions)
    turning = ", ".join(f"{data.space.told(key)} {percent(share)}" for key, share in data.turning.items())
    key, straight = data.straight
    held = (
        ", ".join(f"{data.space.told(k)} {percent(n / max(1, data.frames))}" for k, n in data.held.most_common(6))
        or "no key"
    )
    equal, compared = data.duplicates
    rows = [
        (
            "play",
            f"{60 * hours(contents):.1f} min in {count} sessions, {percent(hours(contents) / least)} of {least:g} h"
            f" (recommended: {least:g} to {most:g} h)",
        ),
        (
            "segments",
            f"{data.segments} ({', '.join(f'{n} {status}' for status, n in data.by_status.items())})".replace("_", " ")
            if contents.labeled
            else f"{data.segments}, not labeled yet",
        ),
        ("windows", f"{data.windows:,}, {percent(data.done_share)} of them done"),
        ("held", f"{held}, none {percent(data.idle_share)}"),
        ("turning", turning or "no camera keys in this action space"),
        ("chords", f"{percent(data.chord_share)} of frames hold several keys"),
        ("straight on", f"{percent(straight)} of windows are only {key}"),
        ("variety", f"{data.first_entropy:.2f} bits in the first action, {data.chunk_entropy:.2f} bits in the window"),
        ("goals", f"{len(data.goals)} different"),
        ("equal frames", f"{percent(equal / max(1, compared))} of {compared} neighbouring pairs"),
    ]
    if data.repeated:
        rows.append(
            ("counted once", f"{data.repeated:,} frames that several recordings have; one of each was left out")
        )
    return rows + [("set aside", f"{n} pieces, {why}") for why, n in contents.aside.most_common()]


def _render(report: Report) -> str:
    data = report.measured
    goals = sorted(data.goals.items(), key=lambda item: -item[1].samples)
    samples = max(1, sum(goal.samples for _, goal in goals))
    return render(
        "labeling/report.html.jinja",
        folder=report.contents.folder.resolve().name,
        contents=report.contents,
        data=data,
        warnings=report.warnings,
        essence=essence(report.contents, data),
        keys=_key_rows(data),
        chords=_bars(data.chord_frames.most_common(8), data.frames),
        first=_bars(data.first.most_common(12), data.windows),
        chunks=[
            (" ".join(data.space.spell(s) for s in steps), n / max(1, data.windows))
            for steps, n in data.chunks.most_common(8)
        ],
        goals=[_goal_row(name, goal, samples, shown=i < SHOWN_GOALS) for i, (name, goal) in enumerate(goals)],
        percent=percent,
    )


def _bars(counts: list[tuple[str, int]], total: int) -> list[tuple[str, float]]:
    return [(name, count / max(1, total)) for name, count in counts]


def _key_rows(data: Measured) -> list[dict[str, object]]:
    """A row for each key: its share of frames, number of presses, and how long it was held."""
    found, brief = [], data.momentary
    for key in data.space.pressable:
        presses, median, most = data.hold_s(key)
        kind = "moves" if key in data.space.movement else "turns" if key in data.space.camera else ""
        kind = "momentary" if key in brief else kind
        found.append(
            {
                "key": data.space.told(key),
                "kind": kind,
                "share": data.share(key),
                "presses": presses,
                "median": median,
                "most": most,
            }
        )
    return found


def _goal_row(name: str, goal: GoalFacts, samples: int, *, shown: bool) -> dict[str, object]:
    sheets = [sheet for piece in goal.shown if (sheet := keyed_sheet(piece))] if shown else []
    return {
        "name": name,
        "segments": goal.segments,
        "samples": goal.samples,
        "share": goal.samples / samples,
        "phrases": sorted(goal.phrases),
        "sheets": ["data:image/jpeg;base64," + base64.b64encode(sheet).decode() for sheet in sheets],
    }


def keyed_sheet(piece: Piece) -> bytes:
    """JPEG of a piece's first, middle and last picture with time and keys drawn on; empty if none can be read."""
    labeled = piece.labeled
    last = len(labeled) - 1
    pictures = []
    for i in sorted({0, last // 2, last}):
        try:
            picture = shrunk(piece.pictures[i], SHOWN_WIDTH)
        except OSError:
            continue
        stamp(picture, f"{i / labeled.frame_hz:.1f} s")
        held = labeled.held[i] if labeled.held else NO_KEYS
        stamp(picture, labeled.space.in_words(held) if held else "no key", top=False)
        pictures.append(picture)
    return jpeg(side_by_side(pictures), quality=75) if pictures else b""
