// Starts long work, and shows how far it is, also after the page was loaded again.
import { ask, say } from "/static/ask.mjs";

const box = document.getElementById("work");
let wasRunning = !box.classList.contains("hidden") && document.getElementById("work-words").textContent.startsWith("running");

async function look() {
  let now;
  try { now = await (await fetch("/jobs")).json(); } catch { return; } // the studio has ended, or the page is left
  box.classList.toggle("hidden", !now.command);
  if (!now.command) return;
  document.getElementById("work-command").textContent = now.command;
  document.getElementById("work-words").textContent = now.words;
  document.getElementById("work-line").textContent = now.line;
  document.getElementById("work-stop").hidden = now.code !== null;
  if (now.code === null) setTimeout(look, 1000);
  else if (wasRunning && !document.body.querySelector("[data-live]")) location.reload();
  wasRunning = now.code === null;
}

async function start(asked, then) {
  if (!await ask("/jobs/start", asked)) return;
  if (then) location.href = then;
  else { wasRunning = true; await look(); box.scrollIntoView({ block: "nearest" }); }
}

for (const button of document.querySelectorAll("button[data-work]")) {
  button.addEventListener("click", () => start({ name: button.dataset.work, id: button.dataset.id ?? "" }));
}
for (const form of document.querySelectorAll("form[data-work]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start({ name: form.dataset.work, ...Object.fromEntries(new FormData(form)) }, form.dataset.then);
  });
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.dataset.copy); say("Copied; paste it into a terminal"); }
    catch { say(`In a terminal: ${button.dataset.copy}`); }
  });
}
document.getElementById("work-stop").addEventListener("click", () => ask("/jobs/stop").then(look));
look();
