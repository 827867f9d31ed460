"""What a goal looks like: cleans a model's answer and says what is wrong with it."""

import re
from typing import Final

MIN_WORDS, MAX_WORDS = 2, 7

_LABEL: Final = re.compile(r"^(the\s+)?(goal|instruction|answer|task|output)\s*[:\-–]\s*", re.IGNORECASE)
_LIST_MARK: Final = re.compile(r"^\s*(?:[-*•>#]+|\(?\d{1,2}[.)])\s+")
_QUOTES: Final = "\"'`*_“”‘’«» \t"
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ABOUT_THE_PICTURE: Final = re.compile(
    r"\b(players?|gamers?|frames?|images?|screenshots?|screens?|videos?|gameplay|contact sheet)\b", re.IGNORECASE
)
_NO_VERBS: Final = """
a an the this that these those there here it he she they we you i his her their your my its in on at to of from into
with without by for and or but no not yes is are was were be being been has have had will would can could should may
might must some someone something nothing none unknown unclear sorry
"""
_VERBS: Final = """
bring cling fling ring sing sling spring sting string swing wing
focus bypass
feed need speed proceed exceed succeed shed shred embed weed seed
"""
"""Verbs that end as if they were another form."""
_NOT_A_VERB: Final = frozenset(_NO_VERBS.split())
_STILL_A_VERB: Final = frozenset(_VERBS.split())


def clean(answer: str) -> str:
    """The goal in a model's answer: without quotes, full stop, list mark or "Goal:"; further lines are kept."""
    text = _THOUGHT.sub("", answer).strip()
    before = None
    while before != text:
        before = text
        text = _LIST_MARK.sub("", text).strip(_QUOTES)
        text = _LABEL.sub("", text).rstrip(".!;,… ")
    text = re.sub(r"[ \t]+", " ", text)
    return text[:1].upper() + text[1:]


def words(goal: str) -> list[str]:
    """The words of a goal, in lower case."""
    return [word.lower() for word in _WORD.findall(goal)]


def complaint(goal: str) -> str | None:
    """What is wrong with a goal, in words a model understands when it is asked again; None if it is good."""
    if not goal:
        return "it is empty"
    if "\n" in goal or "\r" in goal:
        return "it has more than one line"
    found = words(goal)
    if not MIN_WORDS <= len(found) <= MAX_WORDS:
        return f"it has {len(found)} words instead of {MIN_WORDS} to {MAX_WORDS}"
    if about := _ABOUT_THE_PICTURE.search(goal):
        return f'it mentions "{about.group().lower()}" instead of only what to do in the game'
    if not _imperative(found[0]):
        return f'it is not an instruction: it begins with "{found[0]}" instead of a verb such as "go" or "open"'
    return None


def _imperative(first: str) -> bool:
    """Whether a word can begin an instruction. Without a dictionary: anything that is no other form of a verb."""
    if first in _STILL_A_VERB:
        return True
    if first in _NOT_A_VERB or first.isdigit():
        return False
    if first.endswith("s"):
        return first.endswith("ss")
    return len(first) < 5 or not first.endswith(("ing", "ed"))
