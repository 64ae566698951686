// The scale bar in µm, and the magnification one looks at: read it, or choose one.

import { length, magnification, round } from "./units.js";

const scale = document.getElementById("scale");
const bar = document.getElementById("scale-bar");
const text = document.getElementById("scale-text");
const power = document.getElementById("power");
const pick = document.getElementById("power-pick");

export function readout(views, active) {
  function show() {
    const view = active();
    if (!view.item) return;
    const zoom = view.zoom;
    const [mpp] = view.mpp;
    if (mpp) {
      const longest = (mpp / zoom) * (Math.min(720, view.place.clientWidth) / 5);
      const shown = round(longest);
      bar.style.width = `${Math.round((shown * zoom) / mpp)}px`;
      text.textContent = length(shown, 1);
    }
    scale.hidden = !mpp;
    power.textContent = view.objective ? magnification(view.objective * zoom) : `${Number((zoom * 100).toPrecision(2))} %`;
  }

  for (const view of views) {
    view.onOpen(show);
    for (const name of ["animation", "resize", "canvas-press"]) view.osd.addHandler(name, show);
  }
  for (const option of pick.options) {
    const wanted = Number(option.value);
    if (wanted > 0 && !views[0].objective) option.hidden = option.disabled = true;
  }
  pick.addEventListener("change", () => {
    magnify(active(), pick.value);
    pick.value = "";
    pick.blur();
  });
}

// `fit`, `native` (one slide pixel on one screen pixel), or a magnification as a number.
export function magnify(view, wanted) {
  if (wanted === "fit") view.fit();
  else if (wanted === "native") view.zoomTo(1);
  else if (view.objective) view.zoomTo(Number(wanted) / view.objective);
}
