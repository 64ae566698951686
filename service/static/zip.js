// A ZIP of stored files (PKWARE APPNOTE 6.3.10, 4.3): everything in it but the files' own bytes. The same files give the
// same bytes, so that an upload can go on after a reload: sorted names, one date, nothing of the machine.

const WIDE = 0xffffffff;
const DATE = 0x21; // the first of January 1980, the earliest there is
const UTF8 = 0x800;
const encoder = new TextEncoder();

class Bytes {
  constructor(length) {
    this.view = new DataView(new ArrayBuffer(length));
    this.at = 0;
  }

  short(...values) { return this.#put("setUint16", 2, values); }

  long(...values) { return this.#put("setUint32", 4, values); }

  wide(...values) { return this.#put("setBigUint64", 8, values.map(BigInt)); }

  raw(bytes) {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
    return this;
  }

  get bytes() { return new Uint8Array(this.view.buffer); }

  #put(method, width, values) {
    for (const value of values) {
      this.view[method](this.at, value, true);
      this.at += width;
    }
    return this;
  }
}

const narrow = (value) => Math.min(value, WIDE);

function local({ name, size, crc }) {
  const extra = size >= WIDE ? 20 : 0;
  const head = new Bytes(30 + name.length + extra);
  head.long(0x04034b50).short(extra ? 45 : 20, UTF8, 0, 0, DATE).long(crc, narrow(size), narrow(size)).short(name.length, extra).raw(name);
  return (extra ? head.short(1, 16).wide(size, size) : head).bytes;
}

function central({ name, size, crc, at }) {
  const large = [...(size >= WIDE ? [size, size] : []), ...(at >= WIDE ? [at] : [])];
  const extra = large.length ? 4 + 8 * large.length : 0;
  const line = new Bytes(46 + name.length + extra);
  line.long(0x02014b50).short(extra ? 45 : 20, extra ? 45 : 20, UTF8, 0, 0, DATE).long(crc, narrow(size), narrow(size));
  line.short(name.length, extra, 0, 0, 0).long(0, narrow(at)).raw(name);
  return (extra ? line.short(1, 8 * large.length).wide(...large) : line).bytes;
}

function end(count, size, at) {
  const wide = size >= WIDE || at >= WIDE;
  const tail = new Bytes(22 + (wide ? 76 : 0));
  if (wide) {
    tail.long(0x06064b50).wide(44).short(45, 45).long(0, 0).wide(count, count, size, at);
    tail.long(0x07064b50, 0).wide(at + size).long(1);
  }
  return tail.long(0x06054b50).short(0, 0, count, count).long(narrow(size), narrow(at)).short(0).bytes;
}

// What stands before each file and behind the last, and how long the whole is. Files are { path, size, crc } in order, at
// most 65 534; the page takes fewer.
export function layout(files) {
  const heads = [];
  const lines = [];
  let at = 0;
  for (const { path, size, crc = 0 } of files) {
    const file = { name: encoder.encode(path), size, crc, at };
    heads.push(local(file));
    lines.push(central(file));
    at += heads.at(-1).length + size;
  }
  const directory = lines.reduce((sum, line) => sum + line.length, 0);
  const tail = [...lines, end(files.length, directory, at)];
  return { heads, tail, length: at + directory + tail.at(-1).length };
}
