// A permalink: where one looks, in the address. Slide pixels and slide pixels per screen pixel, so it means the same in every window.
// Planes are in it when they are not those that are shown anyway.

const NAMES = ["x", "y", "zoom", "rotation"];

function spoken(view, after) {
  const where = view.where;
  const turn = ((where.rotation % 360) + 360) % 360;
  const said = [where.x.toFixed(0), where.y.toFixed(0), Number(where.zoom.toPrecision(4)), Number(turn.toFixed(1))];
  return NAMES.map((name, at) => `${name}${after}=${said[at]}`).slice(0, turn ? 4 : 3).join("&");
}

function understood(text, after) {
  const said = new URLSearchParams(text);
  const [x, y, zoom, rotation] = NAMES.map((name) => Number(said.get(name + after) ?? (name === "rotation" ? 0 : NaN)));
  return [x, y, zoom, rotation].every(Number.isFinite) && zoom > 0 && zoom < 100 ? { x, y, zoom, rotation } : null;
}

function shown(view, after) {
  return Object.entries(view.choice?.said ?? {}).map(([name, value]) => `${name}${after}=${value}`);
}

export function permalink(views) {
  const suffix = (at) => (at ? String(at + 1) : "");

  function remember() {
    if (!views.every((view) => view.item)) return;
    // the whole slide needs no address of its own
    const home = views.every((view) => view.home && !view.viewport.getRotation());
    const said = [...(home ? [] : views.map((view, at) => spoken(view, suffix(at)))), ...views.flatMap((view, at) => shown(view, suffix(at)))];
    const text = said.length ? `#${said.join("&")}` : "";
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname + location.search);
  }

  function recall(view, at) {
    const where = understood(location.hash.slice(1), suffix(at));
    if (where) view.look(where);
    return where !== null;
  }

  views.forEach((view, at) => {
    view.onOpen(() => recall(view, at));
    view.osd.addHandler("animation-finish", remember);
  });
  window.addEventListener("hashchange", () => views.forEach(recall));

  return {
    remember,
    async copy() {
      remember();
      const said = document.getElementById("viewer-said");
      try {
        await navigator.clipboard.writeText(location.href);
        said.textContent = "The link to this view is copied.";
      } catch {
        said.textContent = "The link to this view is in the address bar."; // no clipboard without TLS
      }
      said.hidden = false;
      setTimeout(() => { said.hidden = true; }, 3000);
    },
  };
}
