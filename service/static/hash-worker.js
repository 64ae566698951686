// Hashes one file beside the page: takes a File, says how far it is, answers with the digest.

import { Sha256 } from "./sha256.js";

const PIECE = 4 << 20;

self.addEventListener("message", async ({ data: file }) => {
  try {
    const hash = new Sha256();
    for (let at = 0; at < file.size; at += PIECE) {
      hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    }
    self.postMessage({ digest: hash.digest() });
  } catch {
    self.postMessage({ unreadable: true });
  }
});
