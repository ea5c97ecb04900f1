// Follows what happens without loading the page again. Everything also works without this script.
"use strict";

const trouble = document.getElementById("trouble");

/** Shows what went wrong to whoever looks at the page; an empty text takes it away. */
function tell(text) {
  trouble.textContent = text;
  trouble.hidden = text === "";
}

addEventListener("error", (event) => tell(`The page's script failed: ${event.message}. Load the page again.`));
addEventListener("unhandledrejection", (event) => tell(`The page's script failed: ${event.reason}. Load the page again.`));

/** Makes `now` what `next` is and leaves alone what is the same, so that focus, a click under way and open details stay. */
function morph(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
    now.replaceWith(next);
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    now.nodeValue = next.nodeValue;
    return;
  }
  for (const { name, value } of Array.from(next.attributes)) now.setAttribute(name, value);
  for (const { name } of Array.from(now.attributes)) {
    // Whether details are open is for whoever reads them to say.
    if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  if ("keyed" in next.dataset) morphByKey(now, next);
  else morphByPlace(now, next);
}

function morphByPlace(now, next) {
  const [old, wanted] = [Array.from(now.childNodes), Array.from(next.childNodes)];
  wanted.forEach((child, at) => (at < old.length ? morph(old[at], child) : now.append(child)));
  old.slice(wanted.length).forEach((child) => child.remove());
}

/** As by place, but a child is the one with the same id, wherever it stands. */
function morphByKey(now, next) {
  const known = new Map(Array.from(now.children, (child) => [child.id, child]));
  const wanted = Array.from(next.children);
  const kept = new Set(wanted.map((child) => child.id));
  for (const [id, child] of known) if (!kept.has(id)) child.remove();
  let at = now.firstElementChild;
  for (const child of wanted) {
    const old = known.get(child.id);
    if (old) morph(old, child);
    if (old && old === at) at = at.nextElementSibling;
    else now.insertBefore(old ?? child, at);
  }
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

function show(next) {
  morph(document.getElementById("board"), next.getElementById("board"));
}

let stream;

/** Listens to what changes; the browser comes back by itself when the connection is lost. */
function follow() {
  stream?.close();
  stream = new EventSource("/changes" + location.search);
  stream.onopen = () => tell("");
  stream.onmessage = (message) => show(parse(message.data));
  stream.onerror = () => tell("The connection to the command is lost: is it still running? Trying again.");
}

/** Sends a form and shows the page that answers, in place. */
async function submit(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body });
  } catch {
    tell("The command does not answer: is it still running?");
    return;
  }
  const next = parse(await response.text());
  if (!next.getElementById("board")) {
    tell(`This was refused: ${next.body.textContent.trim()}`);
    return;
  }
  document.getElementById("problem").textContent = next.getElementById("problem").textContent;
  if (response.redirected) {
    history.replaceState(null, "", response.url);
    for (const name of ["id", "source"]) document.getElementById(name).value = next.getElementById(name).value;
    follow();
  }
  show(next);
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(event.target, event.submitter);
});

// A browser has six connections for a place, and a tab that follows takes one. A hidden tab leaves its own to the others.
document.addEventListener("visibilitychange", () => (document.hidden ? stream?.close() : follow()));
if (!document.hidden) follow();
