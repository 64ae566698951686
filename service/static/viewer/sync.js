// Two views that move as one: what holds between them when they are locked is kept. Same magnification to begin with.

export function synchronise(views, active) {
  if (views.length < 2) return { toggle() {} };
  const button = document.getElementById("lock");
  const [one, two] = views;
  const units = one.mpp[0] && two.mpp[0] ? views.map((view) => view.mpp) : [[1, 1], [1, 1]];
  let locked = null; // where both stood when they were locked

  // In micrometres where both slides know theirs, in pixels otherwise; `scale` is screen pixels per such unit.
  function state(view) {
    const [x, y] = units[views.indexOf(view)];
    const where = view.where;
    return { x: where.x * x, y: where.y * y, scale: where.zoom / x, rotation: where.rotation };
  }

  function lock() {
    locked = views.map(state);
    button.setAttribute("aria-pressed", "true");
  }

  function follow(leader) {
    if (!locked || leader !== active() || !views.every((view) => view.item)) return;
    const follower = leader === one ? two : one;
    const [a, b] = leader === one ? locked : [locked[1], locked[0]];
    const now = state(leader);
    const ratio = b.scale / a.scale;
    const turn = ((a.rotation - b.rotation) * Math.PI) / 180;
    const [dx, dy] = [(now.x - a.x) / ratio, (now.y - a.y) / ratio];
    const [x, y] = units[views.indexOf(follower)];
    follower.look({
      x: (b.x + dx * Math.cos(turn) - dy * Math.sin(turn)) / x,
      y: (b.y + dx * Math.sin(turn) + dy * Math.cos(turn)) / y,
      zoom: now.scale * ratio * x,
      rotation: now.rotation + b.rotation - a.rotation,
    });
  }

  function begin() {
    if (locked || !views.every((view) => view.item)) return;
    const addressed = /(^|[#&])x2=/.test(location.hash);
    if (!addressed) two.zoomTo((one.zoom / units[0][0]) * units[1][0], true);
    lock();
  }

  for (const view of views) {
    view.onOpen(() => setTimeout(begin));
    view.osd.addHandler("viewport-change", () => follow(view));
    view.osd.addHandler("rotate", () => follow(view));
  }

  return {
    toggle() {
      if (!locked) return lock();
      locked = null;
      button.setAttribute("aria-pressed", "false");
    },
  };
}
