// The upload tray: one line per slide, resumed by what its files are, finished by its SHA-256.

import { chosen, dropped, single } from "./folder.js";
import { Sha256, hex } from "./sha256.js";

const desk = document.getElementById("desk");
const tray = document.getElementById("tray");
const template = document.getElementById("item");
const endpoint = desk.dataset.endpoint;
const most = Number(desk.dataset.max);
const mostFiles = Number(desk.dataset.files);
const AT_ONCE = 2;
// Milliseconds: in all four hours, as long as a job waits for a machine that is out of order. Nobody should have to sit by.
const DELAYS = [0, 1000, 3000, 5000, 10000, 20000, ...Array(240).fill(60000)];

const FINISH = { "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream" };
const STATES = {
  received: "received", queued: "queued", processing: "processing", in_review: "in review", released: "released",
  quarantined: "quarantined", rejected: "rejected", failed: "failed", withdrawn: "withdrawn",
};
const STAGES = { open: "reading", plan: "planning", write: "writing", verify: "verifying", pyramid: "tiling" };
const ENDS = new Set(["in_review", "released", "quarantined", "rejected", "failed", "withdrawn"]);

function size(bytes) {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 1000 || unit === "TB") return `${value >= 100 || unit === "B" ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
}

function left(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds >= 120) return `${Math.round(seconds / 60)} min left`;
  return `${Math.max(1, Math.round(seconds))} s left`;
}

// The browser remembers unfinished uploads by a digest: names of files may be names of people and are not stored.
function fingerprint(marks) {
  const what = `${endpoint}|${marks}`;
  return Promise.resolve(`coverslip-${hex(new Sha256().update(new TextEncoder().encode(what)).digest())}`);
}

const nameless = {
  store: tus.defaultOptions.urlStorage,
  findAllUploads() { return this.store.findAllUploads(); },
  findUploadsByFingerprint(print) { return this.store.findUploadsByFingerprint(print); },
  removeUpload(key) { return this.store.removeUpload(key); },
  addUpload(print, upload) { return this.store.addUpload(print, { ...upload, metadata: {} }); },
};

function digestOf(file) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("/static/hash-worker.js", { type: "module" });
    const end = (act) => { worker.terminate(); act(); };
    worker.addEventListener("message", ({ data }) => end(() => (data.digest ? resolve(data.digest) : reject(new Error("unreadable")))));
    worker.addEventListener("error", () => end(() => reject(new Error("unreadable"))));
    worker.postMessage(file);
  });
}

class Item {
  // What a line is about: a file as it is, or a folder (folder.js).
  constructor(source, policy, submission) {
    this.source = source;
    this.policy = policy;
    this.submission = submission;
    this.node = template.content.firstElementChild.cloneNode(true);
    this.part = (name) => this.node.querySelector(name);
    this.part(".name").textContent = source.name;
    this.part(".name").title = source.name;
    this.part(".amount").textContent = source.count > 1 ? `${source.count} files, ${size(source.size)}` : size(source.size);
    this.part(".pause").addEventListener("click", () => this.toggle());
    this.part(".remove").addEventListener("click", () => this.remove());
    tray.append(this.node);
    this.state = "waiting";
    this.say("waiting for its turn");
  }

  say(words) { this.part(".say").textContent = words; }

  async start() {
    this.state = "sending";
    const turn = (this.turn = {});
    const over = () => this.turn !== turn || this.state !== "sending";
    const body = await this.source.body((share) => this.reading(share)).catch(() => null);
    if (over()) return;
    if (!body) {
      this.failed(new Error("unreadable"));
      return;
    }
    this.digest = this.digest ?? digestOf(body).catch(() => null);
    this.upload = new tus.Upload(body, {
      endpoint,
      fingerprint: () => fingerprint(this.source.marks),
      urlStorage: nameless,
      removeFingerprintOnSuccess: true,
      retryDelays: DELAYS,
      metadata: { filename: this.source.filename, submission: this.submission, ...(this.policy ? { policy: this.policy } : {}) },
      onProgress: (sent) => this.progress(sent),
      onShouldRetry: (error) => this.again(error.originalResponse?.getStatus() ?? 0, error),
      onError: (error) => this.failed(error),
      onSuccess: () => this.sent(),
    });
    const before = await this.upload.findPreviousUploads();
    if (over()) return;
    if (before.length) this.upload.resumeFromPreviousUpload(before[0]);
    this.upload.start();
  }

  reading(share) {
    if (this.state !== "sending") return;
    this.part("progress").value = share;
    this.say(`reading the folder, ${Math.floor(share * 100)} %`);
  }

  progress(sent) {
    const now = performance.now();
    this.marks = [...(this.marks ?? []).filter(([at]) => now - at < 5000), [now, sent]];
    const [at, from] = this.marks[0];
    const speed = now > at ? ((sent - from) * 1000) / (now - at) : 0;
    this.part("progress").value = sent / this.source.size;
    this.part(".amount").textContent = `${size(sent)} of ${size(this.source.size)}`;
    this.say(speed ? `sending, ${size(speed)}/s, ${left((this.source.size - sent) / speed)}` : "sending");
  }

  async sent() {
    this.part(".pause").hidden = true;
    this.say("comparing what arrived with what was sent");
    const digest = await this.digest;
    if (!digest) return this.failed(new Error("unreadable"));
    const answer = await this.finished(digest);
    if (this.state !== "sending") return; // removed meanwhile
    if (!answer?.ok) return this.failed({ originalResponse: null, answer });
    this.sid = answer.headers.get("Coverslip-Slide");
    this.state = "processing";
    this.part("progress").value = 0;
    this.part(".remove").hidden = true;
    this.part(".amount").textContent = size(this.source.size);
    next();
    await this.follow();
  }

  async finished(digest) {
    // The same may be asked any number of times: an upload that is complete says so again.
    const headers = { ...FINISH, "Upload-Offset": this.source.size, "Repr-Digest": `sha-256=:${btoa(String.fromCharCode(...digest))}:` };
    let answer = null;
    for (const delay of DELAYS) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      answer = await fetch(this.upload.url, { method: "PATCH", headers }).catch(() => null);
      if (answer?.ok || !this.again(answer?.status ?? 0, { answer: answer?.clone() })) return answer;
    }
    return answer;
  }

  again(status, error) {
    // Whether waiting may mend it; the reason is said meanwhile, for whoever does sit by.
    const mends = status === 0 || status === 408 || status === 409 || status === 423 || status >= 500;
    if (mends) reason(error).then((words) => { if (this.state === "sending") this.say(`${words} Trying again.`); });
    return mends;
  }

  async follow() {
    if (!this.sid || this.state === "done") return;
    const answer = await fetch(`/api/v1/slides/${this.sid}`).catch(() => null);
    if (!answer?.ok) return;
    const slide = await answer.json();
    const say = this.part(".say");
    const state = document.createElement("span");
    state.className = `state state-${slide.state}`;
    state.textContent = STATES[slide.state];
    const link = document.createElement("a");
    link.href = slide.links.page;
    link.textContent = slide.sid;
    this.part("progress").value = slide.done ?? 0;
    this.node.classList.toggle("arrived", !slide.stage);
    const more = slide.problem ? `${slide.problem.code}: ${slide.problem.meaning} ` : slide.stage ? `${STAGES[slide.stage] ?? slide.stage} ` : "";
    say.replaceChildren(state, more, link);
    this.node.classList.toggle("bad", Boolean(slide.problem));
    if (ENDS.has(slide.state)) this.state = "done";
    total();
  }

  async failed(error) {
    this.state = "failed";
    this.node.classList.add("bad");
    this.part(".pause").hidden = false;
    this.part(".pause").textContent = "Try again";
    this.say(await reason(error));
    next();
  }

  toggle() {
    this.node.classList.remove("bad");
    if (this.state === "sending") {
      this.upload?.abort();
      this.state = "paused";
      this.part(".pause").textContent = "Go on";
      this.say("paused");
    } else {
      this.part(".pause").textContent = "Pause";
      this.state = "waiting";
      this.marks = [];
      this.say("waiting for its turn");
    }
    next();
  }

  async remove() {
    if (this.upload) await this.upload.abort(true).catch(() => null);
    this.state = "removed";
    this.node.remove();
    next();
  }
}

async function reason(error) {
  const text = error.originalResponse?.getBody() ?? (await error.answer?.text().catch(() => ""));
  try {
    return JSON.parse(text).detail;
  } catch {
    return error.message === "unreadable" ? "The file cannot be read. Was it moved or changed?" : "The server cannot be reached. What arrived is kept.";
  }
}

const items = [];

function total() {
  const done = items.filter((item) => item.sid).length;
  const here = items.filter((item) => item.state !== "removed").length;
  document.getElementById("tray-sum").textContent = here ? `${done} of ${here} received` : "";
}

function next() {
  const busy = items.filter((item) => item.state === "sending").length;
  for (const item of items.filter((item) => item.state === "waiting").slice(0, Math.max(0, AT_ONCE - busy))) item.start();
  total();
}

function objection(source) {
  if (source.size > most) return `Larger than ${size(most)}, which is the most this server takes.`;
  if (source.count > mostFiles) return `More than ${mostFiles} files, which is the most a slide may have.`;
  if (source.size === 0) return source.count ? "The file is empty." : "The folder is empty.";
  if (/\.(mrxs|vms|vmu)$/i.test(source.name) && !source.members) return "One file of several: choose or drop the folder it belongs to.";
  return "";
}

function take(sources) {
  const policy = document.querySelector("input[name=policy]:checked")?.value ?? "";
  // What was chosen at once shares one turn with what was chosen before and after.
  const submission = hex(crypto.getRandomValues(new Uint8Array(8)));
  for (const source of sources) {
    const item = new Item(source, policy, submission);
    items.push(item);
    const words = objection(source);
    if (words) {
      item.state = "failed";
      item.node.classList.add("bad");
      item.say(words);
      item.part(".pause").hidden = true;
    }
  }
  next();
}

const drop = document.getElementById("drop");
const input = document.getElementById("files");
input.addEventListener("change", () => {
  take(Array.from(input.files, single));
  input.value = "";
});
const folder = document.getElementById("folder");
folder.addEventListener("change", () => {
  take(chosen(folder.files));
  folder.value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
}
drop.addEventListener("drop", async (event) => {
  // Entries have to be asked for before anything is awaited: afterwards the drop is over.
  const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = Array.from(event.dataTransfer.files);
  const found = entries.length ? await dropped(entries).catch(() => null) : plain.map(single);
  if (found) take(found);
  else document.getElementById("tray-sum").textContent = "What was dropped cannot be read.";
});

document.getElementById("unfinished")?.addEventListener("click", async (event) => {
  const uid = event.target.dataset?.remove;
  if (!uid) return;
  const answer = await fetch(`${endpoint}/${uid}`, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } });
  if (answer.ok || answer.status === 410) event.target.closest("li").remove();
});

document.body.addEventListener("coverslip:changed", () => items.forEach((item) => item.follow()));
window.addEventListener("beforeunload", (event) => {
  if (items.some((item) => item.state === "sending")) event.preventDefault();
});
