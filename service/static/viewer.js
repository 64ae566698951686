// The slide viewer: one or two views, and what reads them, marks on them and moves them. Each part is a file in viewer/.

import { adjust } from "./viewer/adjust.js";
import { calm } from "./viewer/calm.js";
import { compare } from "./viewer/compare.js";
import { keys } from "./viewer/keys.js";
import { permalink } from "./viewer/link.js";
import { measure } from "./viewer/measure.js";
import { chosen, planes } from "./viewer/planes.js";
import { readout } from "./viewer/readout.js";
import { synchronise } from "./viewer/sync.js";
import { View } from "./viewer/view.js";

const stage = document.querySelector(".stage-view");
const views = [...stage.querySelectorAll(".view")].map((place, at) => new View(place, chosen(place, at ? String(at + 1) : "")));
let active = views[0];
for (const view of views) view.onTouched(() => { active = view; });

window.coverslipViewer = views[0].osd; // for the console and for tests
window.coverslipViews = views;

const parts = {
  adjust: adjust(views, () => active),
  measure: measure(views),
  sync: synchronise(views, () => active),
  link: permalink(views),
  compare: document.getElementById("beside") ? compare(views[0]) : null,
};
parts.planes = planes(views, () => active, parts.link.remember);
readout(views, () => active);

const act = {
  "zoom-in": () => active.zoomBy(2),
  "zoom-out": () => active.zoomBy(0.5),
  fit: () => active.fit(),
  "turn-left": () => active.turnBy(-90),
  "turn-right": () => active.turnBy(90),
  adjust: () => parts.adjust.toggle(),
  length: () => parts.measure.choose("length"),
  area: () => parts.measure.choose("area"),
  beside: () => parts.compare.ask(),
  lock: () => parts.sync.toggle(),
  copy: () => parts.link.copy(),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen()),
  help: () => document.getElementById("keys").showModal(),
};
for (const [id, run] of Object.entries(act)) document.getElementById(id)?.addEventListener("click", run);
calm(stage);
keys({ act, views, active: () => active, measure: parts.measure, planes: parts.planes });
