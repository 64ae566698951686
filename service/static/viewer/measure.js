// Lengths and areas drawn on the slide, in its own pixels, shown in µm and mm.

import * as units from "./units.js";

const SVG = "http://www.w3.org/2000/svg";
const hint = document.getElementById("measure-hint");
const HINTS = {
  length: "Click where the length begins and where it ends. Esc leaves.",
  area: "Click the corners; a double click or Enter closes the shape. Esc leaves.",
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
    const kind = this.chosen();
    if (!kind || !event.quick || !this.view.item) return;
    event.preventDefaultAction = true;
    const point = this.slidePoint(event.position);
    const last = this.open.at(-1);
    if (last && this.near(last, point)) return; // the second half of a double click
    this.open.push(point);
    if (kind === "length" && this.open.length === 2) this.finish();
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
    const points = this.pointer ? [...this.open, this.pointer] : this.open;
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
    hint.textContent = kind ? HINTS[kind] : "";
    hint.hidden = !kind;
  }

  return {
    choose,
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
