// Labels by keys: one press accepts a segment or gives it a recent goal, and goes on to the next.
import { ask, say } from "/static/ask.mjs";

const list = document.getElementById("cards");
const query = new URLSearchParams({ show: list.dataset.show, goal: list.dataset.goal, by: list.dataset.by });
let recent = [...document.querySelectorAll("#recent span")].map((one) => one.textContent);
let at = 0, anchor = 0, editing = null, undoing = null, queue = Promise.resolve(), loading = null, left = 0;

const cards = () => list.children;
const range = () => [...cards()].slice(Math.min(at, anchor), Math.max(at, anchor) + 1);

function show(scroll = true) {
  for (const old of list.querySelectorAll(".current, .chosen")) { old.classList.remove("current", "chosen"); old.removeAttribute("aria-current"); old.tabIndex = -1; }
  const card = cards()[at];
  if (!card) return;
  if (at !== anchor) for (const one of range()) one.classList.add("chosen");
  card.classList.add("current");
  card.setAttribute("aria-current", "true");
  card.tabIndex = 0;
  if (!editing) card.focus({ preventScroll: true });
  if (scroll) card.scrollIntoView({ block: "nearest" });
  if (at > cards().length - 30) more();
}

function go(to, extend = false) {
  at = Math.max(0, Math.min(cards().length - 1, to));
  if (!extend) anchor = at;
  show();
}

// The number of cards in a row, by where they stand.
function row() {
  const tops = [...cards()].slice(0, 40).map((card) => card.offsetTop);
  return Math.max(1, tops.findIndex((top) => top !== tops[0]) === -1 ? tops.length : tops.findIndex((top) => top !== tops[0]));
}

function more() {
  if (loading || cards().length >= Number(list.dataset.total)) return;
  query.set("after", cards().length + left);
  loading = fetch(`/labels/more?${query}`).then((answer) => answer.text()).then((text) => {
    const known = new Set([...cards()].map((card) => card.id));
    const made = new DOMParser().parseFromString(`<ol>${text}</ol>`, "text/html");
    for (const card of made.querySelectorAll("li")) if (!known.has(card.id)) list.append(card);
    if (!made.querySelector("li")) list.dataset.total = cards().length;
  }).finally(() => {
    loading = null;
    document.getElementById("more")?.classList.toggle("hidden", cards().length >= Number(list.dataset.total));
  });
}

function count(state, by) {
  const number = document.querySelector(`[data-count="${state === "keyless" ? "aside" : state}"]`);
  if (number) number.textContent = Number(number.textContent) + by;
}

function put(found) {
  for (const [id, html] of Object.entries(found.cards)) {
    const old = document.getElementById(`s-${id}`);
    const made = new DOMParser().parseFromString(`<ol>${html}</ol>`, "text/html").querySelector("li");
    // Cards that are decided are not listed any more when the next ones are asked for.
    if (old && made) {
      const differs = (card) => card.dataset.other !== undefined;
      const listed = ({ dataset }) => list.dataset.show === "all" || dataset.state === list.dataset.show || (list.dataset.show === "differ" && dataset.other !== undefined);
      left += Number(listed(made)) - Number(listed(old));
      count(old.dataset.state, -1);
      count(made.dataset.state, 1);
      count("differ", Number(differs(made)) - Number(differs(old)));
      old.replaceWith(document.adoptNode(made));
    }
  }
  recent = found.recent;
  const goals = recent.map((goal, i) => {
    const [item, button, key, text] = ["li", "button", "kbd", "span"].map((name) => document.createElement(name));
    button.type = "button";
    button.className = "quiet";
    button.tabIndex = -1;
    key.textContent = String(i + 1);
    text.textContent = goal;
    button.append(key, text);
    item.append(button);
    return item;
  });
  document.getElementById("recent").replaceChildren(...goals);
  document.getElementById("undos").textContent = found.decisions || "";
}

// One change after the other, in the order of the keys; the place moves on at once.
function change(path, body, chosen, on = true) {
  const ids = chosen.map((card) => card.dataset.id);
  if (!ids.length) return;
  if (on) go(Math.max(at, anchor) + 1);
  queue = queue.then(async () => {
    const found = await ask(path, { ids, ...body });
    if (!found) { const first = [...cards()].findIndex((card) => card.dataset.id === ids[0]); if (first >= 0) go(first); return; }
    put(found);
    say(found.said);
    show(false);
  });
}

// Where the place is afterwards is known only then, so keys that come meanwhile wait.
function undo() {
  const mine = undoing = queue = queue.then(async () => {
    const found = await ask("/labels/undo");
    if (!found) return;
    put(found);
    say(found.said);
    const first = [...cards()].findIndex((card) => card.dataset.id in found.cards);
    if (first >= 0) go(first); else show(false);
  }).finally(() => { if (undoing === mine) undoing = null; });
}

function edit() {
  const card = cards()[at], chosen = range();
  if (!card || editing) return;
  const goal = card.querySelector(".goal"), input = document.createElement("input");
  input.type = "text";
  input.value = goal.textContent === "no goal yet" ? "" : goal.textContent;
  input.maxLength = 200;
  input.setAttribute("aria-label", "Goal");
  editing = input;
  goal.replaceWith(input);
  input.focus();
  input.select();
  const end = (keep) => {
    if (editing !== input) return;
    editing = null;
    input.replaceWith(goal);
    const said = input.value.trim();
    if (keep && said) change("/labels/accept", { goal: said }, chosen);
    else show(false);
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  input.addEventListener("blur", () => end(false));
}

// What the other model said of each chosen segment.
function other() {
  const chosen = range().filter((card) => card.dataset.other);
  chosen.forEach((card, i) => change("/labels/accept", { goal: card.dataset.other, force: true }, [card], i === chosen.length - 1));
}

function give(number) {
  if (recent[number] !== undefined) change("/labels/accept", { goal: recent[number], force: true }, range());
}

const keys = {
  ArrowRight: (e) => go(at + 1, e.shiftKey), ArrowLeft: (e) => go(at - 1, e.shiftKey),
  ArrowDown: (e) => go(at + row(), e.shiftKey), ArrowUp: (e) => go(at - row(), e.shiftKey),
  Home: (e) => go(0, e.shiftKey), End: (e) => go(cards().length - 1, e.shiftKey),
  Enter: () => change("/labels/accept", {}, range()), x: () => change("/labels/aside", {}, range()),
  e: edit, o: other, u: undo, z: (e) => { if (e.ctrlKey || e.metaKey) undo(); },
  "[": () => change("/labels/edge", { steps: -1 }, [cards()[at]].filter(Boolean), false),
  "]": () => change("/labels/edge", { steps: 1 }, [cards()[at]].filter(Boolean), false),
};

document.addEventListener("keydown", (event) => {
  if (editing || event.altKey || event.target.closest("select, input, a")) return;
  if ((event.ctrlKey || event.metaKey) && event.key !== "z") return;
  const number = "123456789".indexOf(event.key);
  const act = number >= 0 ? () => give(number) : keys[event.key];
  if (!act) return;
  event.preventDefault();
  if (undoing) undoing.then(() => act(event));
  else act(event);
});
list.addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (!card || event.target === editing) return;
  go([...cards()].indexOf(card), event.shiftKey);
});
list.addEventListener("dblclick", edit);
document.getElementById("recent").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) give([...item.parentElement.children].indexOf(item));
});
for (const button of document.querySelectorAll("[data-press]")) button.addEventListener("click", (event) => keys[button.dataset.press](event));
for (const [id, name] of [["by-goal", "goal"], ["by-maker", "by"]]) {
  document.getElementById(id).addEventListener("change", (event) => {
    query.set(name, event.target.value);
    query.delete("after");
    location.href = `/labels?${query}`;
  });
}
const sentinel = document.getElementById("more");
if (sentinel) new IntersectionObserver((seen) => { if (seen[0].isIntersecting) more(); }, { rootMargin: "800px" }).observe(sentinel);
// Nothing is chosen before a key or a click, unless there is something to do.
if (cards().length) show(false);
