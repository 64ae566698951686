// Tools step back while one only looks, and are there at once with the pointer, a finger or a key.

const QUIET = 4000; // milliseconds
const SIGNS = ["pointermove", "pointerdown", "keydown", "wheel", "focusin"];

export function calm(stage) {
  let timer = null;

  function awake() {
    stage.classList.remove("calm");
    clearTimeout(timer);
    timer = setTimeout(() => stage.classList.add("calm"), QUIET);
  }

  for (const sign of SIGNS) window.addEventListener(sign, awake, { passive: true });
  awake();
}
