// Choosing the slide to lay beside this one.

const dialog = document.getElementById("beside-dialog");
const list = document.getElementById("beside-list");

function entry(slide, view) {
  const link = document.createElement("a");
  const search = new URLSearchParams(location.pathname.endsWith("/viewer") ? location.search : "");
  search.set("beside", slide.sid);
  link.href = `/slides/${view.sid}/viewer?${search}`;
  const picture = document.createElement("img");
  Object.assign(picture, { src: `${slide.links.thumbnail}?width=96`, alt: "", width: 64, height: 48, loading: "lazy", className: "thumb" });
  const name = document.createElement("code");
  name.textContent = slide.sid;
  link.append(picture, name);
  const row = document.createElement("li");
  row.append(link);
  return row;
}

export function compare(view) {
  return {
    async ask() {
      dialog.showModal();
      list.replaceChildren();
      const note = document.getElementById("beside-note");
      note.textContent = "Looking for slides …";
      try {
        const answer = await fetch("/slides.json?state=in_review&state=released");
        const { slides } = await answer.json();
        const others = slides.filter((slide) => slide.sid !== view.sid && slide.links.thumbnail);
        list.replaceChildren(...others.map((slide) => entry(slide, view)));
        note.textContent = others.length ? "Both move together, at the same magnification." : "There is no other slide to look at.";
      } catch {
        note.textContent = "The list of slides did not arrive. Close this and try again.";
      }
    },
  };
}
