"""Episodes of a ViZDoom scenario, played by a policy or a scripted player, and their rewards."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protege.core.actions import Action
from protege.core.frame import Frame
from protege.core.plan import Plan, Policy
from protege.evaluation.vizdoom_game import ScenarioGame
from protege.evaluation.vizdoom_players import Player, Scene

SAY_EVERY_S: Final = 5.0
Act = Callable[[ScenarioGame, int, int], Action]
"""The keys to hold, given the game, the number of the episode and the number of the decision in it."""


@dataclass
class PolicyAct:
    """What a policy does that is asked anew every `execute` decisions; time is game time, an hour to each episode."""

    policy: Policy
    goal: str
    execute: int = 1
    _plan: tuple[int, Plan] = field(init=False)

    def __call__(self, game: ScenarioGame, episode: int, decision: int) -> Action:
        if decision % self.execute == 0:
            t_ns = episode * 3_600_000_000_000 + decision * 1_000_000_000 * game.tics // 35
            self._plan = decision, self.policy.predict(Frame(game.picture(), t_ns), self.goal)
        made, plan = self._plan
        return plan.steps[min(decision - made, len(plan.steps) - 1)]


def player_act(player: Player) -> Act:
    """What a scripted player does; the game must tell the truth."""
    return lambda game, episode, decision: player(Scene(game.engine))


def rewards(
    game: ScenarioGame,
    act: Act,
    episodes: int,
    seed: int,
    say: Callable[[str], None] = lambda text: None,
    before: Sequence[float] = (),
    keep: Callable[[list[float]], None] = lambda found: None,
) -> list[float]:
    """The scenario's total reward of every episode; episode n has the seed `seed + n`.

    before: the rewards of the first ones, which are not played again; keep: gets all of them after each episode.
    """
    found = list(before)
    said = time.monotonic()
    while len(found) < episodes:
        number, decision = len(found), 0
        game.new(seed + number)
        while not game.over:
            game.press(act(game, number, decision))
            decision += 1
            if time.monotonic() - said >= SAY_EVERY_S:
                said = time.monotonic()
                say(f"{game.scenario}: episode {number + 1} of {episodes}, decision {decision}")
        found.append(game.reward)
        keep(found)
    return found
