// Sends a change to the studio with the page's token, and says what came of it.
const token = document.querySelector('meta[name="studio-token"]').content;
const line = document.getElementById("said");
let timer = 0;

export function say(text, bad = false) {
  line.textContent = text;
  line.className = bad ? "bad" : "";
  clearTimeout(timer);
  timer = setTimeout(() => { line.textContent = ""; }, bad ? 9000 : 2500);
}

export async function ask(path, body = {}) {
  let answer, found;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-studio-token": token },
      body: JSON.stringify(body),
    });
    found = answer.headers.get("content-type")?.includes("json") ? await answer.json() : { said: await answer.text() };
  } catch {
    say("The studio does not answer; start it again with: protege studio", true);
    return null;
  }
  if (answer.ok) return found;
  say(found.said ?? (typeof found.detail === "string" ? found.detail : "That was refused; load the page again."), true);
  return null;
}
