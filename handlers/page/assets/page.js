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
  if (!fresh || asSent(old) === fresh.outerHTML) return;
  const keep = reading(old);
  old.replaceWith(document.adoptNode(fresh));
  addRetries();
  keep(fresh);
  document.title = page.title;
}

// asSent is an element without what this script and its reader did to it.
function asSent(element) {
  const copy = element.cloneNode(true);
  for (const place of copy.querySelectorAll("[data-retry]")) place.replaceChildren();
  for (const details of copy.querySelectorAll("details")) details.open = false;
  return copy.outerHTML;
}

// reading remembers which answers are open and where the keyboard is, and
// returns what does the same to the table's successor. Rows have a name,
// data-row, that stays.
function reading(old) {
  const rowOf = (element) => element?.closest("[data-row]")?.dataset.row;
  const open = new Set(Array.from(old.querySelectorAll("details[open]"), rowOf));
  const at = old.contains(document.activeElement) ? document.activeElement : null;
  const [row, tag] = [rowOf(at), at?.localName];
  return (fresh) => {
    for (const tr of fresh.querySelectorAll("[data-row]")) {
      const details = tr.querySelector("details");
      if (details) details.open = open.has(tr.dataset.row);
      if (tr.dataset.row === row) (tr.querySelector(tag) ?? tr).focus({ preventScroll: true });
    }
  };
}

// A trigger that is over can be fired again: data-retry is where to ask for it.
// The page's own password goes along.
function addRetries() {
  for (const place of document.querySelectorAll("[data-retry]:empty")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Retry";
    button.setAttribute("aria-label", "Retry " + place.dataset.trigger);
    // It is not disabled while it asks: then the keyboard would lose its place.
    button.addEventListener("click", () => retry(place, button), { once: true });
    place.append(button);
  }
}
async function retry(place, button) {
  button.textContent = "Asking";
  const answer = await fetch(location.origin + place.dataset.retry, { method: "POST" }).catch(() => null);
  if (answer?.ok) return refresh().then(lookLater, () => {});
  const said = await answer?.json().catch(() => null);
  const why = document.createElement("span");
  why.className = "error";
  why.textContent = said?.error ?? "the server does not answer; load the page again";
  const atButton = document.activeElement === button;
  place.replaceChildren(why);
  if (atButton) place.closest("[data-row]")?.focus({ preventScroll: true });
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
