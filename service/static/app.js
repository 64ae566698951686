// What every page shares: local times, live updates, keys. Pages work without it.

const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = zone.format(new Date(time.dateTime));
  }
}

// Live parts ask again when the server says that something changed; after a lost connection they ask at once.
function listen() {
  const offline = document.getElementById("offline");
  const changed = () => document.body.dispatchEvent(new CustomEvent("coverslip:changed"));
  let source;
  let lost = false;
  const connect = () => {
    source = new EventSource("/live");
    source.addEventListener("open", () => {
      offline.hidden = true;
      if (lost) changed();
      lost = false;
    });
    source.addEventListener("error", () => {
      lost = true;
      offline.hidden = false;
      // what a proxy says while there is no server behind it is no stream: browsers give up then
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000 + 3000 * Math.random());
    });
    source.addEventListener("changed", changed);
  };
  connect();
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    lost = true;
    connect();
  });
}

function move(step) {
  const rows = [...document.querySelectorAll(".slides .row .sid")];
  const now = rows.indexOf(document.activeElement);
  const next = rows[now < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + step))];
  next?.focus();
}

function askReason(key) {
  const button = document.querySelector(`[data-reason="${key}"]`);
  if (!button) return;
  document.getElementById("against").open = true;
  document.getElementById("reason").focus();
}

function typing(target) {
  return target.closest?.("input:not([type=radio], [type=checkbox], [type=file]), textarea, select, [contenteditable], #viewer");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return; // who reads the list of keys decides nothing
  const key = event.key;
  if (key === "/" && document.getElementById("search")) document.getElementById("search").focus();
  else if (key === "?") document.getElementById("keys").showModal();
  else if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (document.querySelector(`[data-reason="${CSS.escape(key)}"]`)) askReason(key);
  else if (document.querySelector(`[data-key="${CSS.escape(key)}"]`)) document.querySelector(`[data-key="${CSS.escape(key)}"]`).click();
  else return; // the viewer has keys of its own
  event.preventDefault();
});

// Whole addresses, for programs of other people.
document.addEventListener("click", async (event) => {
  if (event.target.closest?.("[data-print]")) window.print();
  const address = event.target.closest?.("[data-copy]")?.dataset.copy;
  if (!address) return;
  const whole = new URL(address, location.href).href;
  const said = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(whole);
    said.textContent = "Copied.";
  } catch {
    said.textContent = whole; // no clipboard without TLS
  }
});

// Many at once: how many are chosen, and all of this page with one click.
function counted() {
  const boxes = [...document.querySelectorAll(".slides [name=sid]")];
  const chosen = boxes.filter((box) => box.checked).length;
  const count = document.getElementById("chosen-count");
  if (!count) return;
  count.textContent = `${chosen} chosen.`;
  const all = document.querySelector("[data-all]");
  all.checked = chosen > 0 && chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
}
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of document.querySelectorAll(".slides [name=sid]")) box.checked = event.target.checked;
  counted();
});

// Whose picture stands beside the facts: another one, or none, comes only with a new page.
const picture = () => document.getElementById("side")?.dataset.shown;
const pictured = picture();

document.body.addEventListener("htmx:after:swap", () => {
  localTimes(document);
  counted();
  if (picture() !== pictured) location.reload();
});

localTimes(document);
counted();
if (document.querySelector("[hx-trigger*='coverslip:changed'], #tray")) listen();
