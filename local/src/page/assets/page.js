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

/** Makes the children of `now` those of `next`, by their ids, and leaves alone what is the same. */
function reconcile(now, next) {
  const known = new Map(Array.from(now.children, (child) => [child.id, child]));
  let at = now.firstElementChild;
  for (const wanted of Array.from(next.children)) {
    const child = known.get(wanted.id) ?? wanted;
    if (child !== wanted && "keyed" in wanted.dataset) {
      reconcile(child, wanted);
    } else if (child !== wanted && child.dataset.was !== wanted.outerHTML) {
      update(child, wanted);
    }
    if (child === at) {
      at = at.nextElementSibling;
    } else {
      now.insertBefore(child, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextElementSibling;
    gone.remove();
  }
}

/** Puts what `wanted` says into `child`, and keeps the focus on the button that has it. */
function update(child, wanted) {
  const was = wanted.outerHTML;
  const place = Array.from(child.querySelectorAll("button")).indexOf(document.activeElement);
  for (const { name, value } of wanted.attributes) child.setAttribute(name, value);
  child.replaceChildren(...wanted.childNodes);
  child.dataset.was = was;
  child.querySelectorAll("button")[place]?.focus();
}

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

function show(next) {
  reconcile(document.getElementById("board"), next.getElementById("board"));
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

follow();
