"use strict";
// Decodes the PNG files that the page's data contain. A browser's own decoder would reduce 16 bits to 8, and a page that
// was opened as a file may not read the pixels of another file.

function bytesOfBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; ++i) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// The bytes of a zlib stream, whose number is known.
async function inflated(parts, size) {
  const bytes = new Uint8Array(size);
  const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes.set(value, filled);
    filled += value.length;
  }
  if (filled !== size) throw new Error("a picture is incomplete");
  return bytes;
}

// Undoes the filter of each row, in place. `step`: bytes of a pixel; every row begins with the number of its filter.
function unfilter(bytes, height, rowBytes, step) {
  for (let y = 0; y < height; ++y) {
    const at = y * (rowBytes + 1) + 1;
    const up = y > 0 ? at - rowBytes - 1 : -1;
    const filter = bytes[at - 1];
    if (filter === 1) {
      for (let i = step; i < rowBytes; ++i) bytes[at + i] += bytes[at + i - step];
    } else if (filter === 2) {
      if (up >= 0) for (let i = 0; i < rowBytes; ++i) bytes[at + i] += bytes[up + i];
    } else if (filter === 3) {
      for (let i = 0; i < rowBytes; ++i) {
        const left = i >= step ? bytes[at + i - step] : 0;
        bytes[at + i] += (left + (up >= 0 ? bytes[up + i] : 0)) >> 1;
      }
    } else if (filter === 4) {
      for (let i = 0; i < rowBytes; ++i) {
        const left = i >= step ? bytes[at + i - step] : 0;
        const above = up >= 0 ? bytes[up + i] : 0;
        const corner = up >= 0 && i >= step ? bytes[up + i - step] : 0;
        const toLeft = Math.abs(above - corner);
        const toAbove = Math.abs(left - corner);
        const toCorner = Math.abs(left + above - 2 * corner);
        bytes[at + i] += toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
      }
    }
  }
}

// { width, height, channels, values }: grey or RGB of 8 or 16 bits, interleaved, rows from the top.
async function decodePng(base64) {
  const file = bytesOfBase64(base64);
  const view = new DataView(file.buffer);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const depth = file[24];
  const channels = file[25] === 2 ? 3 : 1;
  const parts = [];
  for (let at = 8; at < file.length;) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) parts.push(file.subarray(at + 8, at + 8 + length));  // "IDAT"
    at += length + 12;
  }
  const step = (channels * depth) / 8;
  const rowBytes = width * step;
  const bytes = await inflated(parts, height * (rowBytes + 1));
  unfilter(bytes, height, rowBytes, step);
  const rowValues = width * channels;
  const values = depth === 16 ? new Uint16Array(height * rowValues) : new Uint8Array(height * rowValues);
  for (let y = 0; y < height; ++y) {
    const at = y * (rowBytes + 1) + 1;
    if (depth === 8) {
      values.set(bytes.subarray(at, at + rowBytes), y * rowValues);
      continue;
    }
    for (let i = 0, to = y * rowValues; i < rowBytes; i += 2, ++to) values[to] = (bytes[at + i] << 8) | bytes[at + i + 1];
  }
  return { width, height, channels, values };
}
