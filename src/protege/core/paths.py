"""Where recordings, labeled data and models lie, whichever folder of the project a command is started in."""

from pathlib import Path

from protege.core.text import printable


def project_root() -> Path:
    """The nearest folder upwards that has a `dataset` folder and a `src` or `models` folder; else the current one."""
    start = Path.cwd().resolve()
    for folder in (start, *start.parents):
        if (folder / "dataset").is_dir() and ((folder / "src").is_dir() or (folder / "models").is_dir()):
            return folder
    return start


def raw_playthrough() -> Path:
    """Recordings."""
    return project_root() / "dataset" / "raw_playthrough"


def labeled_segments() -> Path:
    """Training data made from them."""
    return project_root() / "dataset" / "labeled_segments"


def agent_runs() -> Path:
    """Recordings of the agent playing."""
    return project_root() / "dataset" / "agent_runs"


def models() -> Path:
    return project_root() / "models"


def shown(path: Path) -> str:
    """A path as people want to read it: relative when it lies below the current folder."""
    path, here = path.resolve(), Path.cwd().resolve()
    return printable(str(path.relative_to(here)) if path.is_relative_to(here) else str(path))
