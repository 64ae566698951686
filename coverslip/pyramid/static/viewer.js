// A slide from a folder of tiles: any web server will do, and so will opening index.html from a disk.

const place = document.getElementById("viewer");
const facts = Object.fromEntries(Object.entries(place.dataset).map(([name, text]) => [name, Number(text) || null]));

// OpenSeadragon adds a <style> element of its own unless one is marked so; the page's policy allows no inline style.
const marker = document.createElementNS("urn:coverslip", "style");
marker.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(marker);

const viewer = OpenSeadragon({
  element: place,
  // told here rather than read from slide.dzi: a page opened from a disk may not fetch
  tileSources: {
    Image: {
      xmlns: "http://schemas.microsoft.com/deepzoom/2008",
      Url: "slide_files/",
      Format: "jpg",
      Overlap: 0,
      TileSize: facts.tile,
      Size: { Width: facts.width, Height: facts.height },
    },
  },
  drawer: "canvas", // pictures from a disk taint WebGL
  showNavigationControl: false,
  showNavigator: true,
  navigatorPosition: "TOP_RIGHT",
  maxZoomPixelRatio: 4,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
});
window.coverslipViewer = viewer; // for the console and for tests

function round(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  const lead = length / power;
  return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}

function show() {
  const item = viewer.world.getItemAt(0);
  if (!item) return;
  const zoom = item.viewportToImageZoom(viewer.viewport.getZoom(true)); // screen pixels per slide pixel
  if (facts.mpp) {
    const length = round((facts.mpp / zoom) * 120);
    document.getElementById("bar").style.width = `${Math.round((length * zoom) / facts.mpp)}px`;
    document.getElementById("length").textContent = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(1))} µm`;
  }
  const power = facts.objective ? `${Number((facts.objective * zoom).toPrecision(2))}×` : `${Number((zoom * 100).toPrecision(2))} %`;
  document.getElementById("power").textContent = power;
  document.getElementById("bar").hidden = !facts.mpp;
  document.getElementById("readout").hidden = false;
}

viewer.addHandler("open", show);
viewer.addHandler("animation", show);
viewer.addHandler("resize", show);
viewer.addHandler("tile-load-failed", () => { document.getElementById("problem").hidden = false; });
