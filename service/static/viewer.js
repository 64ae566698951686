// The slide viewer: OpenSeadragon with our own tools, a scale bar in µm and the magnification one looks at.

const place = document.getElementById("viewer");
const mpp = Number(place.dataset.mpp) || null;
const objective = Number(place.dataset.objective) || null;

// OpenSeadragon adds a <style> element of its own unless one is marked so; our policy allows no inline style. app.css has the rule.
const marker = document.createElementNS("urn:coverslip", "style");
marker.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(marker);

const viewer = OpenSeadragon({
  element: place,
  tileSources: place.dataset.dzi,
  showNavigationControl: false,
  showNavigator: true,
  navigatorPosition: "TOP_RIGHT",
  navigatorAutoFade: false,
  maxZoomPixelRatio: 4,
  visibilityRatio: 0.5,
  animationTime: 0.5,
  springStiffness: 9,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  imageLoaderLimit: 8,
  timeout: 30000,
  tileRetryMax: 2,
  tileRetryDelay: 1500,
});
window.coverslipViewer = viewer; // for the console and for tests

const tools = {
  "zoom-in": () => viewer.viewport.zoomBy(2),
  "zoom-out": () => viewer.viewport.zoomBy(0.5),
  fit: () => viewer.viewport.goHome(),
  "turn-left": () => viewer.viewport.setRotation(viewer.viewport.getRotation() - 90),
  "turn-right": () => viewer.viewport.setRotation(viewer.viewport.getRotation() + 90),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : place.parentElement.requestFullscreen()),
};
for (const [id, act] of Object.entries(tools)) {
  document.getElementById(id).addEventListener("click", act);
}

// 1, 2 or 5 times a power of ten, as wide as fits into a sixth of the view.
function round(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  const lead = length / power;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}

function words(micrometres) {
  return micrometres >= 1000 ? `${micrometres / 1000} mm` : micrometres >= 1 ? `${micrometres} µm` : `${micrometres * 1000} nm`;
}

const scale = document.getElementById("scale");
const bar = document.getElementById("scale-bar");
const text = document.getElementById("scale-text");
const power = document.getElementById("power");

function measure() {
  const item = viewer.world.getItemAt(0);
  if (!item) return;
  const zoom = item.viewportToImageZoom(viewer.viewport.getZoom(true)); // screen pixels per slide pixel
  if (mpp) {
    const perPixel = mpp / zoom;
    const length = round((perPixel * Math.min(720, place.clientWidth)) / 5);
    bar.style.width = `${Math.round(length / perPixel)}px`;
    text.textContent = words(Number(length.toPrecision(1)));
    scale.hidden = false;
  }
  power.textContent = objective ? `${Number((objective * zoom).toPrecision(2))}×` : `${Number((zoom * 100).toPrecision(2))} %`;
}

// A permalink: where one looks, in the address.
function remember() {
  const centre = viewer.viewport.getCenter();
  const where = [viewer.viewport.getZoom(), centre.x, centre.y].map((value) => Number(value.toPrecision(5)));
  history.replaceState(null, "", `#${where.join(",")}`);
}

function recall() {
  const where = location.hash.slice(1).split(",").map(Number);
  if (where.length !== 3 || where.some((value) => !Number.isFinite(value))) return;
  viewer.viewport.zoomTo(where[0], null, true);
  viewer.viewport.panTo(new OpenSeadragon.Point(where[1], where[2]), true);
}

const problem = document.getElementById("viewer-problem");
function say(words) {
  problem.textContent = words;
  problem.hidden = false;
}

viewer.addHandler("open", () => {
  recall();
  measure();
  problem.hidden = true;
});
viewer.addHandler("animation", measure);
viewer.addHandler("resize", measure);
viewer.addHandler("animation-finish", remember);
viewer.addHandler("open-failed", () => say("The picture cannot be opened now. Reload the page to try again."));
viewer.addHandler("tile-load-failed", () => say("Some tiles did not arrive. Zoom or move to ask for them again."));
viewer.addHandler("tile-loaded", () => {
  problem.hidden = true;
});
