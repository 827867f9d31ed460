// Plays a recording at its own speed, draws its timeline, and edits it.
import { ask, say } from "/static/ask.mjs";

const player = document.getElementById("player");
if (player) start(await (await fetch(`${player.dataset.base}/data`)).json());

function start(data) {
  const $ = (id) => document.getElementById(id);
  const base = player.dataset.base, picture = $("picture"), seek = $("seek"), lanes = $("lanes");
  const caps = new Map([...document.querySelectorAll("#caps kbd")].map((cap) => [cap.dataset.key, cap]));
  const motion = new Map(data.motion.map(([i, x, y]) => [i, [x, y]]));
  const ahead = new Map();
  let at = 0, playing = false, from = 0, since = 0, marks = [null, null];

  const clock = (ms) => `${Math.floor(ms / 60000)}:${String((ms % 60000 / 1000).toFixed(1)).padStart(4, "0")}`;
  const within = (spans, ms) => spans.find(([a, b]) => a <= ms && ms < b);
  $("of").textContent = `of ${clock(data.length)}`;
  if (data.motion.length) $("mouse").classList.remove("hidden");

  function load(i) {
    if (!ahead.has(i)) {
      const image = new Image();
      image.src = `${base}/frame/${i}.jpg`;
      ahead.set(i, image);
      if (ahead.size > 60) ahead.delete(ahead.keys().next().value);
    }
    return ahead.get(i);
  }

  function show(i) {
    at = Math.max(0, Math.min(data.t.length - 1, i));
    const ms = data.t[at];
    picture.src = load(at).src;
    seek.value = at;
    seek.setAttribute("aria-valuetext", clock(ms));
    $("at").textContent = clock(ms);
    for (const key of data.keys) caps.get(key.key)?.classList.toggle("lit", Boolean(within(key.spans, ms)));
    const turn = within(data.by.map(([a, b, who]) => [a, b, who]), ms), [x, y] = motion.get(at) ?? [0, 0];
    $("who").textContent = turn ? `${turn[2]} played` : "";
    const long = Math.hypot(x, y) || 1, reach = Math.min(44, long) / long;
    $("mouse").querySelector("line").setAttribute("x2", x * reach);
    $("mouse").querySelector("line").setAttribute("y2", y * reach);
    plan(ms);
    const mark = data.marks.findLast(([t]) => t <= ms + 50), pause = data.pauses.find(([a]) => a >= ms && a < ms + 150);
    $("note").textContent = pause ? `pause: ${pause[2]}` : mark ? mark[1] : "";
    for (let k = 1; k <= 8 && playing; k++) if (at + k < data.t.length) load(at + k);
    draw();
  }

  // The newest plan that was there at this moment, each step with how sure the model was of it.
  function plan(ms) {
    if (!data.plans?.length) return;
    let low = -1, high = data.plans.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (data.plans[middle].at <= ms) low = middle; else high = middle - 1; }
    const now = data.plans[low], box = $("plan");
    box.classList.remove("hidden");
    const words = (text) => { const span = document.createElement("span"); span.className = "fine"; span.textContent = text; return span; };
    if (!now) { box.replaceChildren(words("no plan yet")); return; }
    box.replaceChildren(words(`plan, thought out in ${now.took} ms`), ...now.steps.map((step, i) => {
      const cap = document.createElement("kbd");
      cap.textContent = now.p ? `${step} ${Math.round(100 * now.p[i])}%` : step;
      if (now.p && now.p[i] < 0.5) cap.className = "unsure";
      return cap;
    }));
  }

  function frameAt(ms) {
    let low = 0, high = data.t.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (data.t[middle] <= ms) low = middle; else high = middle - 1; }
    return low;
  }

  function tick(now) {
    if (!playing) return;
    const ms = from + (now - since) * Number($("speed").value);
    if (ms >= data.length) { play(false); return; }
    const i = frameAt(ms), gap = data.pauses.find(([a, b]) => a <= ms && ms < b - 1);
    if (gap) { from = gap[1]; since = now; }
    if (i !== at) show(i);
    requestAnimationFrame(tick);
  }

  function play(on) {
    playing = on;
    $("toggle").textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (at === data.t.length - 1) show(0);
    from = data.t[at];
    since = performance.now();
    requestAnimationFrame(tick);
  }

  function step(by) { play(false); show(at + by); }

  const LANE = 15, LEFT = 76;
  function draw() {
    const turns = data.by.filter(([, , who]) => who === "you");
    const names = [...data.keys.map((key) => key.does)], wide = lanes.clientWidth, high = (names.length + 1) * LANE + 4;
    const scale = devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
    if (lanes.width !== wide * scale || lanes.height !== high * scale) { lanes.width = wide * scale; lanes.height = high * scale; lanes.style.height = `${high}px`; }
    const pen = lanes.getContext("2d"), x = (ms) => LEFT + (wide - LEFT) * ms / data.length;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const block = (a, b, top, tall, colour) => { pen.fillStyle = colour; pen.fillRect(x(a), top, Math.max(1.5, x(b) - x(a)), tall); };
    for (const [a, b] of turns) block(a, b, 0, high, "#2f9e6a40");
    for (const [a, b] of data.pauses) block(a, b, 0, high, "#8793a066");
    for (const [a, b] of data.blurs) block(a, b, 0, 6, "#8f6fd1");
    for (const [a, b] of data.missing) block(a, b, 6, 6, "#d5463d");
    names.forEach((name, lane) => {
      const top = (lane + 1) * LANE;
      pen.fillStyle = style.getPropertyValue("--soft");
      pen.fillText(name.slice(0, 11), 0, top + LANE / 2);
      for (const [a, b] of data.keys[lane].spans) block(a, b, top + 2, LANE - 4, style.getPropertyValue("--lit"));
    });
    if (marks[0] !== null || marks[1] !== null) block(marks[0] ?? 0, marks[1] ?? data.length, 0, high, "#2f6fd033");
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillRect(x(data.t[at]) - 1, 0, 2, high);
  }

  function mark(which) {
    marks[which] = which ? (data.t[at + 1] ?? data.length) : data.t[at];
    if (marks[0] !== null && marks[1] !== null && marks[0] >= marks[1]) marks[1 - which] = null;
    const [a, b] = [marks[0] ?? 0, marks[1] ?? data.length];
    if ($("trim")) { $("trim").disabled = false; $("trim").textContent = `Keep only ${clock(a)} to ${clock(b)}`; }
    draw();
  }

  const went = (found) => { if (found?.pages) location.href = found.pages[0]; };
  const keys = {
    " ": () => play(!playing), ",": () => step(-1), ".": () => step(1), i: () => mark(0), o: () => mark(1),
    ArrowLeft: () => step(-10), ArrowRight: () => step(10), Home: () => step(-Infinity), End: () => step(Infinity),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, button") || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  seek.addEventListener("input", () => { play(false); show(Number(seek.value)); });
  lanes.addEventListener("pointerdown", (event) => {
    const place = (event.offsetX - LEFT) / (lanes.clientWidth - LEFT);
    play(false);
    show(frameAt(Math.max(0, place) * data.length));
  });
  $("toggle").addEventListener("click", () => play(!playing));
  $("back").addEventListener("click", () => step(-1));
  $("on").addEventListener("click", () => step(1));
  $("trim")?.addEventListener("click", async () => went(await ask(`${base}/trim`, { start: (marks[0] ?? 0) / 1000, stop: (marks[1] ?? data.length) / 1000 })));
  $("split")?.addEventListener("click", async () => went(await ask(`${base}/split`, { at: data.t[at] / 1000 })));
  $("delete")?.addEventListener("click", async () => { const found = await ask(`${base}/delete`); if (found) say(`${found.said}; Undo takes it back`); });
  $("undo")?.addEventListener("click", async () => { const found = await ask("/recordings/undo"); if (found) say(found.said); });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show(0);
}
