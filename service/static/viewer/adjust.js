// Rotation, and how bright, contrasted and dark-lifted the picture is shown. Nothing reads the pixels: the browser filters what it draws.

const SLIDERS = ["brightness", "contrast", "gamma"];
const panel = document.getElementById("adjust-panel");
const button = document.getElementById("adjust");
const rotation = document.getElementById("rotation");
const inputs = SLIDERS.map((name) => document.getElementById(name));

function reading(input) {
  const shown = input === rotation ? `${input.value}°` : input.id === "gamma" ? Number(input.value).toFixed(2) : `${input.value} %`;
  document.getElementById(`${input.id}-value`).textContent = shown;
}

export function adjust(views, active) {
  function paint() {
    const [brightness, contrast, gamma] = inputs.map((input) => Number(input.value));
    for (const curve of document.querySelectorAll("#gamma-curve *")) curve.setAttribute("exponent", 1 / gamma);
    const plain = brightness === 100 && contrast === 100 && gamma === 1;
    const filter = `brightness(${brightness}%) contrast(${contrast}%)${gamma === 1 ? "" : " url(#gamma-filter)"}`;
    for (const view of views) view.place.querySelector(".openseadragon-canvas > canvas, .openseadragon-canvas canvas").style.filter = plain ? "" : filter;
    inputs.forEach(reading);
    button.classList.toggle("changed", !plain);
  }

  function turned() {
    const degrees = Math.round(active().viewport.getRotation(true)) % 360;
    rotation.value = degrees > 180 ? degrees - 360 : degrees <= -180 ? degrees + 360 : degrees;
    reading(rotation);
  }

  for (const input of inputs) input.addEventListener("input", paint);
  rotation.addEventListener("input", () => { active().turnTo(Number(rotation.value), true); reading(rotation); });
  for (const view of views) view.osd.addHandler("rotate", turned);
  document.getElementById("adjust-reset").addEventListener("click", () => {
    inputs.forEach((input) => { input.value = input.defaultValue; });
    active().turnTo(0);
    paint();
  });
  [...inputs, rotation].forEach(reading);

  function toggle() {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    (panel.hidden ? button : panel.querySelector("input")).focus();
  }

  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && event.key !== "b") return;
    event.preventDefault();
    toggle();
  });
  return { toggle };
}
