// Follows a run of the agent that goes on, and stops it.
import { ask, say } from "/static/ask.mjs";

const $ = (id) => document.getElementById(id);
const caps = (box, names) => box.replaceChildren(...names.map((name, i) => {
  const cap = document.createElement("kbd");
  cap.textContent = name;
  if (box.id === "keys" && name !== "none") cap.className = "lit";
  return cap;
}));

async function look() {
  try {
    const now = await (await fetch("/live/state")).json();
    $("idle").classList.toggle("hidden", Boolean(now.name));
    $("run").classList.toggle("hidden", !now.name);
    if (now.name) {
      $("picture").src = `/live/frame.jpg?${Date.now()}`;
      $("goal").textContent = now.goal ?? "";
      caps($("keys"), (now.keys ?? "none").split("+"));
      caps($("plan"), now.plan ?? []);
      $("who").textContent = now.by === "human" ? "you play" : "the agent plays";
      $("waiting").textContent = now.waiting ? `waits: ${now.waiting}` : "";
      $("numbers").textContent = now.numbers ?? "";
    }
  } catch { /* the studio has ended */ }
  setTimeout(look, 250);
}

$("stop").addEventListener("click", async () => { const found = await ask("/live/stop"); if (found) say(found.said); });
look();
