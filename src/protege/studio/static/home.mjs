// Starts long work, and shows how far it is, also after the page was loaded again.
import { ask, say } from "/static/ask.mjs";

const box = document.getElementById("work");
let wasRunning = !box.classList.contains("hidden") && document.getElementById("work-words").textContent.startsWith("running");

async function look() {
  const now = await (await fetch("/jobs")).json();
  box.classList.toggle("hidden", !now.command);
  if (!now.command) return;
  document.getElementById("work-command").textContent = now.command;
  document.getElementById("work-words").textContent = now.words;
  document.getElementById("work-line").textContent = now.line;
  document.getElementById("work-stop").hidden = now.code !== null;
  if (now.code === null) setTimeout(look, 1000);
  else if (wasRunning) location.reload();
  wasRunning = now.code === null;
}

for (const button of document.querySelectorAll("[data-work]")) {
  button.addEventListener("click", async () => { if (await ask("/jobs/start", { name: button.dataset.work })) look(); });
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.dataset.copy); say("Copied; paste it into a terminal"); }
    catch { say(`In a terminal: ${button.dataset.copy}`); }
  });
}
document.getElementById("work-stop").addEventListener("click", () => ask("/jobs/stop").then(look));
look();
