// Lengths, areas and magnifications as people read them.

function figures(value, count = 3) { return String(Number(value.toPrecision(count))); }

export function length(micrometres, count = 3) {
  if (micrometres >= 1000) return `${figures(micrometres / 1000, count)} mm`;
  return micrometres >= 1 ? `${figures(micrometres, count)} µm` : `${figures(micrometres * 1000, count)} nm`;
}

export function area(squareMicrometres) {
  return squareMicrometres >= 1e5 ? `${figures(squareMicrometres / 1e6)} mm²` : `${figures(squareMicrometres)} µm²`;
}

export function magnification(value) { return `${figures(value, 2)}×`; }

// 1, 2 or 5 times a power of ten, not longer than `length`.
export function round(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  const lead = length / power;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}
