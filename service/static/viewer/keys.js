// The keyboard: every key is in the list that `?` shows (viewer_parts.html). Letters the page itself uses (a, c, j, k, q, u, x) are left to it.

import { CHANNEL_KEYS } from "./planes.js";
import { magnify } from "./readout.js";

const STEP = 80; // pixels
const POWERS = { 1: "1", 2: "2", 3: "5", 4: "10", 5: "20", 6: "40", n: "native", 0: "fit" };
const BUTTONS = { b: "adjust", l: "length", g: "area", s: "beside", y: "lock", p: "copy", f: "full" };

function elsewhere(target) {
  return document.querySelector("dialog[open]") || target.closest?.("input, textarea, select, [contenteditable]");
}

export function keys({ act, views, active, measure, planes }) {
  const run = {
    "+": () => act["zoom-in"](),
    "=": () => act["zoom-in"](),
    "-": () => act["zoom-out"](),
    "[": () => active().turnBy(-15),
    "]": () => active().turnBy(15),
    "{": act["turn-left"],
    "}": act["turn-right"],
    ArrowLeft: () => active().panBy(-STEP, 0),
    ArrowRight: () => active().panBy(STEP, 0),
    ArrowUp: () => active().panBy(0, -STEP),
    ArrowDown: () => active().panBy(0, STEP),
    v: () => views.forEach(({ osd }) => { osd.navigator.element.hidden = !osd.navigator.element.hidden; }),
    " ": () => measure.place(active()),
    Enter: () => measure.finish(),
    Escape: () => measure.cancel(),
    Backspace: () => measure.forget(),
    Delete: () => measure.forget(),
    "?": act.help,
    ",": () => planes.step("z", -1),
    ".": () => planes.step("z", 1),
    "<": () => planes.step("t", -1),
    ">": () => planes.step("t", 1),
  };
  CHANNEL_KEYS.forEach((key, at) => { run[key] = () => planes.toggle(at); });
  for (const [key, wanted] of Object.entries(POWERS)) run[key] = () => magnify(active(), wanted);
  for (const [key, id] of Object.entries(BUTTONS)) if (document.getElementById(id)) run[key] = act[id];

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || elsewhere(event.target)) return;
    const inside = event.target.closest?.(".stage-view");
    // Enter belongs to the button it is on, arrows scroll what is beside the viewer
    if (!inside && event.target !== document.body) { if (event.key.length > 1 || event.key === "?") return; }
    if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("button, a, summary")) return;
    if (event.key === "?" && !inside) return; // the page has it
    const found = run[event.key];
    if (!found || found() === false) return;
    event.preventDefault();
  });
}
