// Slides in several files: a folder becomes one archive while it is read, never in memory, so that it is one upload.

import { layout } from "./zip.js";

const byPath = (one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0);

function checksums(files, progress) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("/static/crc-worker.js", { type: "module" });
    const end = (act) => { worker.terminate(); act(); };
    worker.addEventListener("message", ({ data }) => {
      if (data.done !== undefined) progress(data.done);
      else end(() => (data.found ? resolve(data.found) : reject(new Error("unreadable"))));
    });
    worker.addEventListener("error", () => end(() => reject(new Error("unreadable"))));
    worker.postMessage(files);
  });
}

// A file as it is.
export function single(file) {
  const { name, size, lastModified } = file;
  return { name, filename: name, size, count: 1, marks: `${name}|${size}|${lastModified}`, body: async () => file };
}

export class Folder {
  #packing;

  // Members are { path, file }; a path has forward slashes and begins with the folder's name.
  constructor(name, members) {
    this.name = name;
    this.members = members.map(({ path, file }) => ({ path: path.normalize("NFC"), file })).sort(byPath);
    this.count = members.length;
    this.size = this.count && layout(this.members.map(({ path, file }) => ({ path, size: file.size }))).length;
    this.marks = this.members.map(({ path, file }) => `${path}|${file.size}|${file.lastModified}`).join("\n");
    this.filename = `${name}.zip`;
  }

  // The archive, as a Blob of heads and Files: its bytes are read where they lie, when they are sent.
  body(progress) {
    this.#packing ??= this.#pack(progress).catch((error) => {
      this.#packing = undefined;
      throw error;
    });
    return this.#packing;
  }

  async #pack(progress) {
    const files = this.members.map(({ file }) => file);
    const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
    const crcs = await checksums(files, (done) => progress(done / total));
    const { heads, tail } = layout(this.members.map(({ path, file }, n) => ({ path, size: file.size, crc: crcs[n] })));
    return new Blob([...files.flatMap((file, n) => [heads[n], file]), ...tail]);
  }
}

const ALONE = /\.(svs|ndpi|tiff?|btf|scn|bif|czi|svslide)$/i;
const MIRAX = /\.mrxs$/i;
const parent = (path) => path.slice(0, path.lastIndexOf("/"));
const last = (path) => path.slice(path.lastIndexOf("/") + 1);

// A folder of many slides as far as names tell: MIRAX files with their folders, folders of DICOM files, slides in one file.
// Where they tell of one or none the folder is one slide, and the server looks what it is.
function apart(name, members) {
  const groups = new Map();
  const add = (key, member) => groups.set(key, [...(groups.get(key) ?? []), member]);
  const mirax = members.map(({ path }) => path).filter((path) => MIRAX.test(path));
  const stems = mirax.map((path) => path.replace(MIRAX, ""));
  const within = ({ path }) => stems.find((stem, n) => path === mirax[n] || path.startsWith(`${stem}/`));
  for (const member of members) {
    const stem = within(member);
    if (stem !== undefined) add(stem, member);
    else if (/\.(dcm|vms|vmu)$/i.test(member.path)) add(`${parent(member.path)}/`, member);
    else if (ALONE.test(member.path)) add(member.path, member);
  }
  if (groups.size < 2) return [new Folder(name, members)];
  return [...groups].map(([key, some]) => {
    if (some.length === 1 && ALONE.test(key)) return single(some[0].file);
    const whole = key.endsWith("/") ? members.filter(({ path }) => parent(path) === key.slice(0, -1)) : some;
    return new Folder(last(key.replace(/\/$/, "")), whole);
  });
}

// What a folder chooser gave: files that know their path.
export function chosen(files) {
  const members = Array.from(files, (file) => ({ path: file.webkitRelativePath, file }));
  return members.length ? apart(members[0].path.split("/")[0], members) : [];
}

const read = (entry) => new Promise((resolve, reject) => { entry.file(resolve, reject); });

// A reader gives at most a hundred entries at a time.
async function listed(directory) {
  const reader = directory.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return found;
    found.push(...some);
  }
}

async function below(entry) {
  if (entry.isFile) return [{ path: entry.fullPath.slice(1), file: await read(entry) }];
  const parts = await Promise.all((await listed(entry)).map(below));
  return parts.flat();
}

// What was dropped: single files, and folders, each with the .mrxs file that was dropped beside it.
export async function dropped(entries) {
  const folders = entries.filter((entry) => entry.isDirectory);
  const beside = (folder) => entries.filter((entry) => entry.isFile && entry.name === `${folder.name}.mrxs`);
  const taken = new Set(folders.flatMap(beside));
  const files = entries.filter((entry) => entry.isFile && !taken.has(entry));
  const inside = await Promise.all(folders.map(async (folder) => {
    const members = await Promise.all([folder, ...beside(folder)].map(below));
    return apart(folder.name, members.flat());
  }));
  return [...inside.flat(), ...(await Promise.all(files.map(read))).map(single)];
}
