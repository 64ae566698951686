// Which focal plane, moment and channels a view shows: a slider each and toggles, there only when a slide has several.

const WAIT = 60; // milliseconds a slider rests before tiles are asked for
export const CHANNEL_KEYS = ["w", "e", "r", "t", "i", "o"];
const NAMES = ["z", "t", "channels"];

const panel = document.getElementById("planes");

// What a slide has, and what of it is shown. The address says only what is not shown anyway.
export class Choice {
  constructor(facts) {
    this.facts = facts;
    this.channels = facts.color ? [] : facts.channels;
    this.reset();
  }

  reset() {
    this.z = this.facts.shown_z;
    this.t = 0;
    this.on = new Set(this.channels.keys());
  }

  get said() {
    const said = {};
    if (this.z !== this.facts.shown_z) said.z = this.z;
    if (this.t) said.t = this.t;
    if (this.on.size !== this.channels.length) said.channels = [...this.on].sort((a, b) => a - b).join(",");
    return said;
  }

  // From an address; what the slide does not have is not believed.
  understand(text, after) {
    const said = new URLSearchParams(text);
    this.reset();
    const [z, t, channels] = NAMES.map((name) => said.get(name + after));
    if (/^\d+$/.test(z) && Number(z) < this.facts.z) this.z = Number(z);
    if (/^\d+$/.test(t) && Number(t) < this.facts.t) this.t = Number(t);
    const on = (channels ?? "").split(",").map(Number).filter((channel) => this.channels[channel]);
    if (channels && on.length) this.on = new Set(on);
  }

  // One stays on: of no channel there is no picture.
  toggle(channel) {
    if (!this.on.delete(channel)) this.on.add(channel);
    else if (!this.on.size) this.on.add(channel);
  }
}

function choiceOf(place) {
  return place.dataset.planes ? new Choice(JSON.parse(place.dataset.planes)) : null;
}

function address(plain, said) {
  const search = new URLSearchParams(said).toString().replaceAll("%2C", ",");
  return search ? `${plain}${plain.includes("?") ? "&" : "?"}${search}` : plain;
}

// Before a view opens its slide: what the address asks for is what is opened.
export function chosen(place, after) {
  const choice = choiceOf(place);
  place.dataset.plain = place.dataset.dzi;
  choice?.understand(location.hash.slice(1), after);
  if (choice) place.dataset.dzi = address(place.dataset.plain, choice.said);
  return choice;
}

// Other planes over those that are shown, which go when all of the new have come.
function replace(view) {
  const { osd, place, choice } = view;
  const { source } = view.item;
  const wanted = address(place.dataset.plain, choice.said);
  if (wanted === place.dataset.dzi) return;
  place.dataset.dzi = wanted;
  place.classList.add("loading");
  while (osd.world.getItemCount() > 1) osd.world.removeItem(osd.world.getItemAt(1)); // nobody waits for those any more
  const tileSource = new OpenSeadragon.DziTileSource({
    width: source.dimensions.x, height: source.dimensions.y, tileSize: source.getTileWidth(0), tileOverlap: source.tileOverlap,
    tilesUrl: source.tilesUrl, fileFormat: source.fileFormat, queryParams: wanted.match(/\?.*/)?.[0] ?? "",
  });
  osd.addTiledImage({ tileSource, success: ({ item }) => {
    const settle = () => {
      if (!item.getFullyLoaded() || osd.world.getIndexOfItem(item) < 1) return;
      while (osd.world.getItemAt(0) !== item) osd.world.removeItem(osd.world.getItemAt(0));
      place.classList.remove("loading");
    };
    item.addHandler("fully-loaded-change", settle);
    settle();
  } });
}

function named(channel, at) {
  return channel.name ?? (channel.emission ? `${Math.round(channel.emission)} nm` : `Channel ${at + 1}`);
}

function height(choice) {
  const { z_step: step, shown_z: middle } = choice.facts;
  const apart = step ? (choice.z - middle) * step : 0;
  return `${choice.z + 1} of ${choice.facts.z}${apart ? ` (${apart > 0 ? "+" : "−"}${Number(Math.abs(apart).toPrecision(3))} µm)` : ""}`;
}

const AXES = {
  z: { label: "Focal plane", count: (facts) => facts.z, read: height },
  t: { label: "Moment", count: (facts) => facts.t, read: (choice) => `${choice.t + 1} of ${choice.facts.t}` },
};

function slider(axis, choice, changed) {
  const { label, count, read } = AXES[axis];
  const row = document.createElement("div");
  const name = document.createElement("label");
  const value = document.createElement("output");
  const input = document.createElement("input");
  Object.assign(input, { type: "range", id: `plane-${axis}`, min: 0, max: count(choice.facts) - 1, step: 1, autocomplete: "off" });
  name.htmlFor = value.htmlFor = input.id;
  name.append(label, " ", value);
  row.append(name, input);
  const show = () => {
    input.value = choice[axis];
    value.textContent = read(choice);
    input.setAttribute("aria-valuetext", read(choice));
  };
  input.addEventListener("input", () => { choice[axis] = Number(input.value); changed(); });
  show();
  return { row, show };
}

function toggles(choice, changed) {
  const row = document.createElement("div");
  row.className = "channels";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Channels");
  const buttons = choice.channels.map((channel, at) => {
    const button = document.createElement("button");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = channel.color;
    button.type = "button";
    button.title = CHANNEL_KEYS[at] ? `${named(channel, at)} (${CHANNEL_KEYS[at]})` : named(channel, at);
    button.append(swatch, named(channel, at));
    button.addEventListener("click", () => { choice.toggle(at); changed(); });
    row.append(button);
    return button;
  });
  const show = () => buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(choice.on.has(at))));
  show();
  return { row, show };
}

export function planes(views, active, remember) {
  if (!panel) return { step() { return false; }, toggle() { return false; } };
  let drawn = null; // the view whose planes the panel shows
  let parts = [];
  const timers = new Map();

  function changed(view) {
    for (const part of parts) part.show();
    clearTimeout(timers.get(view));
    timers.set(view, setTimeout(() => { if (view.item) replace(view); remember(); }, WAIT));
  }

  function draw() {
    const view = active();
    if (view === drawn) return;
    drawn = view;
    const { choice } = view;
    panel.hidden = !choice;
    parts = [];
    if (!choice) return;
    for (const axis of ["z", "t"]) if (choice.facts[axis] > 1) parts.push(slider(axis, choice, () => changed(view)));
    if (choice.channels.length > 1) parts.push(toggles(choice, () => changed(view)));
    panel.replaceChildren(...parts.map(({ row }) => row));
  }

  for (const view of views) view.onTouched(draw);
  window.addEventListener("hashchange", () => views.forEach((view, at) => {
    if (!view.choice) return;
    view.choice.understand(location.hash.slice(1), at ? String(at + 1) : "");
    changed(view);
  }));
  draw();

  return {
    step(axis, by) {
      const view = active();
      const count = view.choice?.facts[axis] ?? 1;
      if (count < 2) return false;
      view.choice[axis] = Math.min(count - 1, Math.max(0, view.choice[axis] + by));
      return changed(view);
    },
    toggle(channel) {
      const view = active();
      if (view.choice?.channels.length > 1 && view.choice.channels[channel]) { view.choice.toggle(channel); return changed(view); }
      return false;
    },
  };
}
