"use strict";
// The picture with its objects: zoom, pan, contrast, outlines and the object under the pointer.

const minScale = 1 / 64, maxScale = 64;  // screen pixels of a pixel
const maxSide = 8192;  // px, of a picture in the browser's memory; larger ones are thinned out for the screen
const maxOverlay = 4e6;  // px; on finer screens the outlines are drawn coarser

function packed([red, green, blue], alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

class Viewer {
  // onSelect(object) is called for a click: its number from 1, or 0 for the background.
  constructor(onSelect) {
    this.stage = document.getElementById("stage");
    this.canvas = document.getElementById("picture");
    this.overlay = document.getElementById("overlay");
    this.readout = document.getElementById("readout");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.overlayContext = this.overlay.getContext("2d");
    this.source = document.createElement("canvas");
    this.onSelect = onSelect;
    this.palette = [];  // [red, green, blue] by the index of a colour
    this.shows = { picture: true, outlines: true, labels: false };
    this.clear();
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.listen();
  }

  clear() {
    this.labels = this.picture = null;
    this.selected = 0;
    this.readout.textContent = "";
    this.redraw();
  }

  // `labels`: { width, height, ids }; colours[k] is the index of object k's colour. names[k]: its number as shown.
  setLabels(labels, colours, names) {
    const n = colours.length;
    this.labels = labels;
    this.colours = colours;
    this.names = names;
    this.selected = 0;
    this.solid = new Uint32Array(n);
    this.tint = new Uint32Array(n);
    const boxes = new Int32Array(4 * n);  // x0, y0, x1, y1 with the last column and row
    for (let k = 0; k < n; ++k) boxes[4 * k] = boxes[4 * k + 1] = 0x7fffffff;
    const { width, height, ids } = labels;
    for (let y = 0, p = 0; y < height; ++y)
      for (let x = 0; x < width; ++x, ++p) {
        const b = 4 * ids[p];
        if (b === 0) continue;
        if (x < boxes[b]) boxes[b] = x;
        if (y < boxes[b + 1]) boxes[b + 1] = y;
        if (x > boxes[b + 2]) boxes[b + 2] = x;
        if (y > boxes[b + 3]) boxes[b + 3] = y;
      }
    this.boxes = boxes;
    this.setColours();
    this.fit();
  }

  setColours() {
    if (!this.labels) return;
    for (let k = 1; k < this.solid.length; ++k) {
      const colour = this.palette[this.colours[k]];
      this.solid[k] = this.shows.outlines ? packed(colour, 255) : 0;
      this.tint[k] = this.shows.labels ? packed(colour, this.shows.picture && this.picture ? 90 : 255) : 0;
      if (this.shows.labels && !this.shows.outlines) this.solid[k] = this.tint[k];
    }
    if (this.selected) {
      this.solid[this.selected] = packed([255, 255, 255], 255);
      this.tint[this.selected] = packed([255, 255, 255], 110);
    }
    this.redraw();
  }

  select(object, reveal) {
    this.selected = object;
    if (object && reveal) this.reveal(object);
    this.setColours();
  }

  // Moves an object into view, and enlarges it if it is small on the screen.
  reveal(object) {
    const [x0, y0, x1, y1] = this.boxes.subarray(4 * object, 4 * object + 4);
    if (x1 < x0) return;
    const side = Math.max(x1 - x0, y1 - y0) + 1;
    const { clientWidth: width, clientHeight: height } = this.stage;
    const inside = (x0 - this.x) * this.scale >= 0 && (y0 - this.y) * this.scale >= 0 &&
        (x1 + 1 - this.x) * this.scale <= width && (y1 + 1 - this.y) * this.scale <= height;
    const small = side * this.scale < 24;
    if (inside && !small) return;
    this.fitted = false;
    if (small) this.scale = Math.min(maxScale, 48 / side);
    if (side * this.scale > Math.min(width, height)) this.scale = 0.8 * Math.min(width, height) / side;
    this.x = (x0 + x1 + 1) / 2 - width / 2 / this.scale;
    this.y = (y0 + y1 + 1) / 2 - height / 2 / this.scale;
  }

  // `picture`: what decodePng gives, with the values `low` and `high` of the numbers 0 and 255 or 65535; or null.
  setPicture(picture) {
    this.picture = picture;
    if (picture) {
      this.thinning = Math.max(1, Math.ceil(Math.max(picture.width, picture.height) / maxSide));
      this.source.width = Math.ceil(picture.width / this.thinning);
      this.source.height = Math.ceil(picture.height / this.thinning);
      this.pixels = this.source.getContext("2d").createImageData(this.source.width, this.source.height);
      const histogram = picture.histogram = new Uint32Array(picture.values instanceof Uint8Array ? 256 : 65536);
      for (const value of picture.values) ++histogram[value];
    }
    this.setColours();
  }

  valueOf(number) {
    const { low, high, histogram } = this.picture;
    return low + (number / (histogram.length - 1)) * (high - low);
  }

  // The values between which a part of all pixels lies: those at the quantiles a and b.
  quantiles(a, b) {
    const { histogram, values } = this.picture;
    const at = (q) => {
      let rest = q * (values.length - 1);
      let k = 0;
      while (rest >= histogram[k]) rest -= histogram[k++];
      return k;
    };
    let low = at(a), high = at(b);
    if (low === high) {
      low = at(0);
      high = at(1);
    }
    return [this.valueOf(low), this.valueOf(high)];
  }

  // Shows values from `low` as black to `high` as white.
  setWindow(low, high) {
    this.window = [low, high];
    this.windowChanged = true;
    this.redraw();
  }

  applyWindow() {
    const { width, height, channels, values, histogram } = this.picture;
    const [low, high] = this.window;
    const reds = new Uint32Array(histogram.length);  // the part of each number in a pixel of the screen
    const greens = new Uint32Array(histogram.length);
    const blues = new Uint32Array(histogram.length);
    for (let k = 0; k < reds.length; ++k) {
      const value = this.valueOf(k);
      const part = high > low ? (value - low) / (high - low) : value > low ? 1 : 0;
      const shade = Math.max(0, Math.min(255, Math.round(255 * part)));
      reds[k] = shade;
      greens[k] = shade << 8;
      blues[k] = (0xff000000 | (shade << 16)) >>> 0;
    }
    const out = new Uint32Array(this.pixels.data.buffer);
    const step = this.thinning;
    if (channels === 1) {
      const greys = reds.map((red, k) => red | greens[k] | blues[k]);
      for (let y = 0, to = 0; y < height; y += step)
        for (let x = 0, at = y * width; x < width; x += step, at += step, ++to) out[to] = greys[values[at]];
    } else {
      for (let y = 0, to = 0; y < height; y += step)
        for (let x = 0, at = 3 * y * width; x < width; x += step, at += 3 * step, ++to)
          out[to] = reds[values[at]] | greens[values[at + 1]] | blues[values[at + 2]];
    }
    this.source.getContext("2d").putImageData(this.pixels, 0, 0);
    this.windowChanged = false;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    const coarse = width * ratio * height * ratio > maxOverlay ? 1 : ratio;
    this.overlay.width = Math.max(1, Math.round(width * coarse));
    this.overlay.height = Math.max(1, Math.round(height * coarse));
    this.overlayPixels = this.overlayContext.createImageData(this.overlay.width, this.overlay.height);
    if (this.fitted) this.fit();
    this.redraw();
  }

  fit() {
    if (!this.labels) return;
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.scale = Math.max(minScale, Math.min(width / this.labels.width, height / this.labels.height, maxScale));
    this.x = (this.labels.width - width / this.scale) / 2;
    this.y = (this.labels.height - height / this.scale) / 2;
    this.fitted = true;
    this.redraw();
  }

  // Zooms so that the point of the picture at (x, y) of the stage, by default its middle, stays there.
  zoomTo(scale, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    if (!this.labels) return;
    const wanted = Math.max(minScale, Math.min(maxScale, scale));
    this.x += x / this.scale - x / wanted;
    this.y += y / this.scale - y / wanted;
    this.scale = wanted;
    this.fitted = false;
    this.redraw();
  }

  pan(dx, dy) {
    if (!this.labels) return;
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.fitted = false;
    this.redraw();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    if (!this.overlayPixels) return;  // the size of the stage is not known yet
    this.drawPicture();
    this.drawOverlay();
  }

  drawPicture() {
    const { context, canvas } = this;
    context.fillStyle = "#101214";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!this.labels) return;
    const scale = (this.scale * canvas.width) / this.stage.clientWidth;
    context.fillStyle = "#000";
    context.fillRect(-this.x * scale, -this.y * scale, this.labels.width * scale, this.labels.height * scale);
    if (!this.picture || !this.shows.picture || !this.window) return;
    if (this.windowChanged) this.applyWindow();
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "medium";
    const thinned = scale * this.thinning;
    context.drawImage(this.source, -this.x * scale, -this.y * scale, this.source.width * thinned,
                      this.source.height * thinned);
  }

  // Colours the pixels of the screen by the objects below them. A pixel whose neighbour on the screen, one or two pixels
  // away, shows another object belongs to an outline.
  drawOverlay() {
    const { overlayPixels, solid, tint, labels } = this;
    const { width, height } = this.overlay;
    const out = new Uint32Array(overlayPixels.data.buffer);
    if (!labels || !(this.shows.outlines || this.shows.labels || this.selected)) {
      this.overlayContext.clearRect(0, 0, width, height);
      return;
    }
    const scale = (this.scale * width) / this.stage.clientWidth;
    const reach = scale >= 3 ? 2 : 1;
    const across = width + 2 * reach;
    const columns = new Int32Array(across);  // of the labels, for screen columns from -reach on; -1: outside
    for (let i = 0; i < across; ++i) {
      const x = Math.floor(this.x + (i - reach + 0.5) / scale);
      columns[i] = x >= 0 && x < labels.width ? x : -1;
    }
    const rowOf = (j) => {
      const y = Math.floor(this.y + (j + 0.5) / scale);
      return y >= 0 && y < labels.height ? y : -1;
    };
    const lines = [];  // the objects along the screen rows j - reach to j + reach, by their remainder
    const count = 2 * reach + 1;
    for (let k = 0; k < count; ++k) lines.push(new Uint32Array(across));
    const line = (j) => lines[(j + count) % count];
    const read = (j) => {
      const into = line(j), y = rowOf(j);
      if (j > -reach && rowOf(j - 1) === y) {
        into.set(line(j - 1));
      } else if (y < 0) {
        into.fill(0);
      } else {
        const ids = labels.ids, base = y * labels.width;
        for (let i = 0; i < across; ++i) into[i] = columns[i] < 0 ? 0 : ids[base + columns[i]];
      }
    };
    for (let j = -reach; j < reach; ++j) read(j);
    for (let j = 0; j < height; ++j) {
      read(j + reach);
      const at = j * width;
      if (j > 0 && [-reach, 0, reach].every((d) => rowOf(j + d) === rowOf(j + d - 1))) {
        out.copyWithin(at, at - width, at);
        continue;
      }
      const up = line(j - reach), here = line(j), down = line(j + reach);
      for (let i = 0, k = reach; i < width; ++i, ++k) {
        const id = here[k];
        if (id === 0) out[at + i] = 0;
        else if (here[k - reach] !== id || here[k + reach] !== id || up[k] !== id || down[k] !== id) out[at + i] = solid[id];
        else out[at + i] = tint[id];
      }
    }
    this.overlayContext.putImageData(overlayPixels, 0, 0);
    if (this.selected) this.drawFrame(scale);
  }

  // A frame around the selected object, which can be seen on any picture.
  drawFrame(scale) {
    const [x0, y0, x1, y1] = this.boxes.subarray(4 * this.selected, 4 * this.selected + 4);
    const context = this.overlayContext, margin = 5;
    const left = Math.floor((x0 - this.x) * scale) - margin, top = Math.floor((y0 - this.y) * scale) - margin;
    const right = Math.ceil((x1 + 1 - this.x) * scale) + margin, bottom = Math.ceil((y1 + 1 - this.y) * scale) + margin;
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }

  // The pixel and the object at a point of the stage; null outside the picture.
  at(event) {
    if (!this.labels) return null;
    const box = this.stage.getBoundingClientRect();
    const x = Math.floor(this.x + (event.clientX - box.left) / this.scale);
    const y = Math.floor(this.y + (event.clientY - box.top) / this.scale);
    const { width, height, ids } = this.labels;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    return { x, y, object: ids[y * width + x] };
  }

  describe(event) {
    const place = this.at(event);
    let text = "";
    if (place) {
      text = `x ${place.x}, y ${place.y}`;
      if (this.picture) {
        const { channels, values, width } = this.picture;
        const at = (place.y * width + place.x) * channels;
        text += ": " + Array.from(values.subarray(at, at + channels), (v) => numberText(this.valueOf(v))).join(", ");
      }
      if (place.object) text += `; object ${this.names[place.object]}`;
    }
    this.readout.textContent = text;
  }

  listen() {
    const { stage } = this;
    let press = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      press = { x: event.clientX, y: event.clientY, moved: false };
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      this.describe(event);
      if (!press) return;
      const dx = event.clientX - press.x, dy = event.clientY - press.y;
      if (!press.moved && Math.hypot(dx, dy) < 4) return;
      press = { x: event.clientX, y: event.clientY, moved: true };
      stage.classList.add("dragged");
      this.pan(dx, dy);
    });
    stage.addEventListener("pointerup", (event) => {
      if (press && !press.moved) {
        const place = this.at(event);
        this.onSelect(place ? place.object : 0);
      }
      press = null;
      stage.classList.remove("dragged");
    });
    stage.addEventListener("pointercancel", () => {
      press = null;
      stage.classList.remove("dragged");
    });
    stage.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 40 : 1;
      this.zoomTo(this.scale * Math.exp((-event.deltaY * lines) / 500), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
  }
}
