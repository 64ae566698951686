// Loading and failing: a line while tiles come, a sentence when they do not, and asking again by itself.

const FIRST_WAIT = 2; // seconds
const LONGEST_WAIT = 30;

const SENTENCES = {
  401: "You are no longer signed in. Sign in, then reload the page.",
  403: "This link has expired. Ask for a new one.",
  404: "This slide cannot be seen any more. It may have left review, or you are no longer signed in.",
  409: "The slide is not tiled yet. The viewer asks again by itself.",
  410: "This slide has been withdrawn.",
  429: "The server is busy. The viewer asks again by itself.",
  503: "The server is busy. The viewer asks again by itself.",
};
const FINAL = new Set([401, 403, 404, 410]);
const LOST = "The connection is lost. The viewer asks again by itself.";
const BROKEN = "The server could not make the picture. The viewer asks again by itself.";
const DAMAGED = "Some tiles did not arrive. The viewer asks again by itself.";

export function listenForTrouble(view) {
  const { osd, place } = view;
  const problem = document.getElementById("viewer-problem");
  let wait = FIRST_WAIT;
  let timer = null;
  let over = false; // there is nothing to wait for

  function say(words) {
    problem.textContent = words;
    problem.hidden = !words;
  }

  // A picture element does not say why it failed: ask for the descriptor, which fails for the same reasons.
  async function ask(again) {
    timer = null;
    let status = 0;
    let later = wait;
    try {
      const answer = await fetch(place.dataset.dzi, { method: "HEAD", cache: "no-store" });
      status = answer.status;
      later = Number(answer.headers.get("Retry-After")) || wait;
    } catch {
      status = 0; // no answer at all
    }
    if (status === 200 && again) {
      say("");
      wait = FIRST_WAIT;
      if (view.item) view.item.reset();
      else osd.open(place.dataset.dzi);
      return;
    }
    say(SENTENCES[status] ?? (status === 0 ? LOST : status >= 500 ? BROKEN : DAMAGED));
    if (FINAL.has(status)) {
      over = true;
      return;
    }
    timer ??= setTimeout(() => ask(true), 1000 * Math.min(later, LONGEST_WAIT));
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }

  function failed() {
    place.classList.remove("loading");
    if (timer === null && !osd.asking && !over) {
      osd.asking = true;
      ask(false).finally(() => { osd.asking = false; });
    }
  }

  osd.addHandler("open-failed", failed);
  osd.addHandler("tile-load-failed", (event) => { if (event.message !== "Image load aborted") failed(); });
  window.addEventListener("online", () => { if (timer !== null) { clearTimeout(timer); ask(true); } });
  window.addEventListener("offline", () => { if (!over) { say(LOST); failed(); } });

  place.classList.add("loading");
  osd.addHandler("open", () => {
    const item = view.item;
    const show = () => place.classList.toggle("loading", !item.getFullyLoaded());
    item.addHandler("fully-loaded-change", show);
    show();
  });
}
