"use strict";
// Keeps what is above the log fresh while something will change, and follows
// the log. All of it is other people's text: it is only ever put into the page
// as text, or as the server has escaped it.

// The address without a user and password that may have been typed into it:
// fetch refuses those.
const here = location.origin + location.pathname + location.search;

async function refresh() {
  const answer = await fetch(here, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const old = document.getElementById("fresh");
  const fresh = page.getElementById("fresh");
  const shown = old.cloneNode(true);
  for (const place of shown.querySelectorAll("[data-retry]")) place.replaceChildren(); // what addRetries put there
  if (!fresh || shown.outerHTML === fresh.outerHTML) return;
  old.replaceWith(document.adoptNode(fresh));
  addRetries();
  document.title = page.title;
}

// A trigger that is over can be fired again: data-retry is where to ask for it.
// The page's own password goes along.
function addRetries() {
  for (const place of document.querySelectorAll("[data-retry]:empty")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Retry";
    button.addEventListener("click", () => retry(place, button));
    place.append(button);
  }
}
async function retry(place, button) {
  button.disabled = true;
  const answer = await fetch(location.origin + place.dataset.retry, { method: "POST" }).catch(() => null);
  if (answer?.ok) return refresh().then(lookLater, () => {});
  const said = await answer?.json().catch(() => null);
  place.replaceChildren(said?.error ?? "the server does not answer; try again in a moment");
}
addRetries();

// data-live says how long it is until the next look, in ms; it goes when
// nothing will change any more.
let looking = 0;
function lookLater() {
  clearTimeout(looking);
  const wait = document.getElementById("fresh")?.dataset.live;
  if (wait) looking = setTimeout(look, Number(wait));
}
async function look() {
  if (!document.hidden) await refresh().catch(() => {}); // the server is away; look again
  lookLater();
}
lookLater();

// A terminal's colours and cursor movements, whole or cut off at the end.
const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])/g;
const cutEscape = /\x1b[^\x1b]{0,80}$/;

function follow(log) {
  const source = new EventSource(location.origin + log.dataset.log);
  const ended = "ended" in document.getElementById("fresh").dataset;
  let waiting = "";
  let drawing = false;

  // One change of the page for each frame, however many lines come.
  function draw() {
    drawing = false;
    const text = waiting.replace(escapes, "");
    const cut = source.readyState === EventSource.CLOSED ? -1 : text.search(cutEscape);
    waiting = cut < 0 ? "" : text.slice(cut);
    const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 40;
    log.append((cut < 0 ? text : text.slice(0, cut)).replace(/\r\n?/g, "\n"));
    if (atEnd && !ended) scrollTo(0, document.body.scrollHeight);
  }
  source.addEventListener("log", (event) => {
    waiting += JSON.parse(event.data).text;
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  });
  // The browser reconnects by itself, and sends what it saw last.
  source.addEventListener("end", () => {
    source.close();
    draw();
    if (!ended) refresh().catch(() => {});
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) log.append("\n[the log cannot be read; load the page again]\n");
  });
}

const log = document.getElementById("log");
if (log) follow(log);
