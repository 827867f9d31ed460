"""Makes docs/images/arena.png: rooms of the built-in game, each under its goal. python scripts/arena_picture.py"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from protege.arena.env import ArenaEnv
from protege.arena.expert import Expert

ROOMS = {
    10_003: "Go to the lantern",
    10_006: "Go to the green torch",
    10_007: "Go to the red pillar",
    10_010: "Open the door",
    10_014: "Climb the stairs",
    10_009: "Check the posters",
}
WIDTH, HEIGHT, TEXT = 320, 240, 26


def main() -> None:
    env = ArenaEnv(size=(WIDTH, HEIGHT))
    sheet = Image.new("RGB", (3 * WIDTH, 2 * (HEIGHT + TEXT)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(16)
    for place, (seed, goal) in enumerate(ROOMS.items()):
        expert = Expert()
        picture, info = env.reset(seed=seed, options={"goal": goal})
        for _ in range(60):
            action = expert.act(info["state"])
            if "w" in action:  # the goal has been found: it is on the screen
                break
            picture, _, _, _, info = env.step(action)
        x, y = (place % 3) * WIDTH, (place // 3) * (HEIGHT + TEXT)
        draw.text((x + 8, y + 4), info["goal"], "black", font)
        sheet.paste(Image.fromarray(picture), (x, y + TEXT))
    env.close()
    out = Path(__file__).parents[1] / "docs" / "images" / "arena.png"
    out.parent.mkdir(exist_ok=True)
    sheet.quantize(128).save(out, optimize=True)
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
