// Lengths and areas drawn on the slide, in its own pixels, shown in µm and mm.

import * as units from "./units.js";

const SVG = "http://www.w3.org/2000/svg";
const hint = document.getElementById("measure-hint");
const HINTS = {
  length: "Click where the length begins and where it ends. Esc leaves.",
  area: "Click the corners; a double click or Enter closes the shape. Esc leaves.",
};
const BY_KEY = {
  length: "Move the slide under the cross with the arrows; Space marks the beginning and the end. Esc leaves.",
  area: "Move the slide under the cross with the arrows; Space marks a corner, Enter closes the shape. Esc leaves.",
};
const BY_FINGER = {
  length: "Tap where the length begins and where it ends.",
  area: "Tap the corners; a double tap closes the shape.",
};

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

// Points are slide pixels; with no resolution known the answer is in pixels too.
export function value(kind, points, [mx, my]) {
  const real = points.map((point) => ({ x: point.x * (mx ?? 1), y: point.y * (my ?? 1) }));
  if (kind === "length") {
    const [a, b] = real;
    const long = Math.hypot(b.x - a.x, b.y - a.y);
    return mx ? units.length(long) : `${Math.round(long)} px`;
  }
  const twice = real.reduce((sum, p, at) => {
    const next = real[(at + 1) % real.length];
    return sum + p.x * next.y - next.x * p.y;
  }, 0);
  const size = Math.abs(twice) / 2;
  return mx ? units.area(size) : `${Math.round(size)} px²`;
}

class Sheet {
  constructor(view, chosen, done) {
    Object.assign(this, { view, chosen, done, shapes: [], open: [], pointer: null });
    this.svg = make("svg", { class: "measures", "aria-hidden": "true" }, view.place);
    for (const name of ["update-viewport", "resize", "open"]) view.osd.addHandler(name, () => this.draw());
    view.osd.addHandler("canvas-click", (event) => this.click(event));
    view.osd.addHandler("canvas-double-click", (event) => {
      if (this.chosen()) event.preventDefaultAction = true;
      if (this.chosen() === "area") this.finish();
    });
    view.place.addEventListener("pointermove", (event) => this.move(event));
  }

  slidePoint(position) { return this.view.item.viewportToImageCoordinates(this.view.viewport.pointFromPixel(position, true)); }

  click(event) {
    if (!this.chosen() || !event.quick || !this.view.item) return;
    event.preventDefaultAction = true;
    this.add(this.slidePoint(event.position));
  }

  // The middle of the view, where the cross is.
  place() {
    if (!this.view.item) return;
    this.pointer = null;
    this.add(this.view.item.viewportToImageCoordinates(this.view.viewport.getCenter(true)));
  }

  add(point) {
    const last = this.open.at(-1);
    if (last && this.near(last, point)) return; // the second half of a double click
    this.open.push(point);
    if (this.chosen() === "length" && this.open.length === 2) this.finish();
    this.draw();
  }

  near(a, b) { return Math.hypot(a.x - b.x, a.y - b.y) * this.view.zoom < 3; }

  move(event) {
    if (!this.open.length) return;
    const corner = this.view.place.getBoundingClientRect();
    this.pointer = this.slidePoint(new OpenSeadragon.Point(event.clientX - corner.left, event.clientY - corner.top));
    this.draw();
  }

  finish() {
    const kind = this.chosen();
    if (this.open.length < (kind === "area" ? 3 : 2)) return false;
    const shape = { kind, points: this.open, text: value(kind, this.open, this.view.mpp) };
    this.shapes.push(shape);
    this.open = [];
    this.done(shape);
    this.draw();
    return true;
  }

  draw() {
    if (!this.view.item) return;
    this.svg.replaceChildren();
    for (const shape of this.shapes) this.shape(shape.points, shape.kind, shape.text);
    if (!this.open.length) return;
    const middle = () => this.view.item.viewportToImageCoordinates(this.view.viewport.getCenter(true));
    const next = this.view.place.classList.contains("by-key") ? middle() : this.pointer;
    const points = next ? [...this.open, next] : this.open;
    const kind = this.chosen();
    const enough = points.length >= (kind === "area" ? 3 : 2);
    this.shape(points, kind, enough ? value(kind, points, this.view.mpp) : "");
  }

  shape(points, kind, text) {
    const at = points.map((point) => this.view.viewport.pixelFromPoint(this.view.item.imageToViewportCoordinates(point.x, point.y), true));
    const path = at.map((p) => `${p.x.toFixed(1)},${p.y.toFixed(1)}`).join(" ");
    for (const layer of ["under", "over"]) make(kind === "area" ? "polygon" : "polyline", { points: path, class: layer }, this.svg);
    for (const p of at) make("circle", { cx: p.x, cy: p.y, r: 3.5 }, this.svg);
    const middle = at.reduce((sum, p) => ({ x: sum.x + p.x / at.length, y: sum.y + p.y / at.length }), { x: 0, y: 0 });
    make("text", { x: middle.x, y: middle.y - (kind === "area" ? 0 : 10) }, this.svg).textContent = text;
  }
}

export function measure(views) {
  let kind = null;
  let by = "mouse"; // what was used last: a pointer's type, or "key"
  const order = []; // sheets, in the order their shapes were drawn
  const sheets = views.map((view) => {
    const sheet = new Sheet(view, () => kind, (shape) => { order.push(sheet); hint.textContent = `${shape.kind === "area" ? "Area" : "Length"}: ${shape.text}`; });
    return sheet;
  });

  function choose(wanted) {
    kind = kind === wanted ? null : wanted;
    for (const name of Object.keys(HINTS)) document.getElementById(name).setAttribute("aria-pressed", String(kind === name));
    for (const sheet of sheets) {
      sheet.open = [];
      sheet.view.place.classList.toggle("measuring", kind !== null);
      sheet.draw();
    }
    tell();
    hint.hidden = !kind;
  }

  function tell() {
    hint.textContent = kind ? { key: BY_KEY, touch: BY_FINGER }[by]?.[kind] ?? HINTS[kind] : "";
    for (const sheet of sheets) sheet.view.place.classList.toggle("by-key", by === "key" && kind !== null);
  }

  // Who measures without a pointer gets a cross in the middle, and is told of Space.
  function use(means) {
    if (by === means) return;
    by = means;
    if (kind && !sheets.some((sheet) => sheet.open.length)) tell();
    else for (const sheet of sheets) sheet.view.place.classList.toggle("by-key", by === "key" && kind !== null);
  }
  window.addEventListener("keydown", () => use("key"), true);
  for (const sign of ["pointerdown", "pointermove"]) window.addEventListener(sign, (event) => use(event.pointerType), true);

  return {
    choose,
    place(view) {
      if (!kind) return false;
      sheets.find((sheet) => sheet.view === view).place();
      return true;
    },
    finish: () => kind !== null && sheets.some((sheet) => sheet.finish()),
    cancel() {
      if (!kind) return false;
      if (sheets.some((sheet) => sheet.open.length)) sheets.forEach((sheet) => { sheet.open = []; sheet.draw(); });
      else choose(kind);
      return true;
    },
    forget() {
      const sheet = order.pop();
      if (!sheet) return false;
      sheet.shapes.pop();
      sheet.draw();
      return true;
    },
  };
}
