// One slide in one OpenSeadragon viewer: opening, fitting, turning, and saying what went wrong.

import { listenForTrouble } from "./trouble.js";

const MARGIN = 0.03; // of the slide on each side when the whole of it is shown

// OpenSeadragon adds a <style> element of its own unless one is marked so; our policy allows no inline style. viewer.css has the rule.
const marker = document.createElementNS("urn:coverslip", "style");
marker.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(marker);

export class View {
  constructor(place, choice = null) {
    this.place = place;
    this.choice = choice; // of planes, where the slide has several: planes.js
    this.sid = place.dataset.sid;
    this.mpp = [Number(place.dataset.mppX) || null, Number(place.dataset.mppY) || Number(place.dataset.mppX) || null];
    // 10× is near 1 µm per pixel on every scanner we know: an objective may be guessed from the resolution
    this.objective = Number(place.dataset.objective) || (this.mpp[0] ? 10 / this.mpp[0] : null);
    this.osd = OpenSeadragon({
      element: place,
      tileSources: place.dataset.dzi,
      drawer: "canvas", // WebGL without a graphics card (remote desktops) takes seconds where this takes one
      showNavigationControl: false,
      showNavigator: true,
      navigatorPosition: "TOP_RIGHT",
      navigatorAutoFade: false,
      navigatorRotate: true,
      maxZoomPixelRatio: 4,
      minZoomImageRatio: 0.5,
      visibilityRatio: 0.5,
      animationTime: 0.5,
      springStiffness: 9,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, pinchRotate: true },
      imageLoaderLimit: 8,
      timeout: 30000,
      tileRetryMax: 1,
      tileRetryDelay: 1000,
    });
    this.home = true;
    this.osd.addHandler("open", () => this.fit(true));
    this.osd.addHandler("resize", () => { if (this.home) requestAnimationFrame(() => { if (this.home) this.fit(true); }); });
    for (const moved of ["canvas-drag", "canvas-scroll", "canvas-pinch", "canvas-double-click"]) {
      this.osd.addHandler(moved, () => { this.home = false; });
    }
    this.osd.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; }); // keys.js has them all
    listenForTrouble(this);
  }

  get viewport() { return this.osd.viewport; }
  get item() { return this.osd.world.getItemAt(0); }

  onTouched(run) {
    for (const name of ["canvas-press", "canvas-scroll", "canvas-focus", "navigator-click", "navigator-drag"]) this.osd.addHandler(name, run);
  }

  onOpen(run) {
    if (this.item) run();
    this.osd.addHandler("open", run);
  }

  // Screen pixels per slide pixel.
  get zoom() { return this.item.viewportToImageZoom(this.viewport.getZoom(true)); }

  // The whole slide with some glass around it, turned or not.
  fit(immediately = false) {
    if (!this.item) return;
    const { x: width, y: height } = this.item.getContentSize();
    const turn = (this.viewport.getRotation() * Math.PI) / 180;
    const [across, down] = [Math.abs(Math.cos(turn)), Math.abs(Math.sin(turn))];
    const { x: wide, y: high } = this.viewport.getContainerSize();
    const { top, bottom } = this.covered(high);
    const zoom = Math.min(wide / (width * across + height * down), (high - top - bottom) / (width * down + height * across)) / (1 + 2 * MARGIN);
    const scale = this.item.imageToViewportZoom(zoom);
    const lower = this.item.imageToViewportCoordinates(width / 2, height / 2);
    const aside = new OpenSeadragon.Point(0, (bottom - top) / 2 / (wide * scale)).rotate(-this.viewport.getRotation());
    this.viewport.zoomTo(scale, null, immediately);
    this.viewport.panTo(lower.plus(aside), immediately);
    this.home = true;
  }

  // Pixels at the top and the bottom of this view that lie under a bar of tools, on windows too narrow for a column of them.
  covered(high) {
    const stage = this.place.closest(".stage-view");
    const [bar, readout] = [".tools", ".readout"].map((name) => stage.querySelector(name).getBoundingClientRect());
    const planes = stage.querySelector(".planes:not([hidden])")?.getBoundingClientRect();
    const here = this.place.getBoundingClientRect();
    if (bar.width < bar.height) return { top: 0, bottom: 0 };
    const [top, bottom] = [bar.bottom - here.top, here.bottom - Math.min(readout.top, planes?.top ?? Infinity)];
    return { top: top > 0 && top < high / 3 ? top : 0, bottom: bottom > 0 && bottom < high / 3 ? bottom : 0 };
  }

  zoomBy(factor) {
    this.home = false;
    this.viewport.zoomBy(factor).applyConstraints();
  }

  zoomTo(zoom, immediately = false) {
    if (!this.item) return;
    this.home = false;
    this.viewport.zoomTo(this.item.imageToViewportZoom(zoom), null, immediately);
  }

  panBy(x, y) {
    this.home = false;
    const step = this.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(x, y));
    this.viewport.panBy(step).applyConstraints();
  }

  turnBy(degrees) { this.turnTo(this.viewport.getRotation() + degrees); }

  turnTo(degrees, immediately = false) { this.viewport.setRotation(degrees, immediately); }

  // Where one looks, in the slide's own pixels.
  get where() {
    const centre = this.item.viewportToImageCoordinates(this.viewport.getCenter(true));
    return { x: centre.x, y: centre.y, zoom: this.zoom, rotation: this.viewport.getRotation(true) };
  }

  look({ x, y, zoom, rotation }) {
    this.home = false;
    this.viewport.setRotation(rotation, true);
    this.viewport.zoomTo(this.item.imageToViewportZoom(zoom), null, true);
    this.viewport.panTo(this.item.imageToViewportCoordinates(x, y), true);
  }
}
