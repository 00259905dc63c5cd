"use strict";
// The page: the list of images, the controls, the table of objects, and what is chosen. The data come as scripts, because
// a page that was opened as a file may not read other files: images.js calls basinView.list(), and the file of each image
// basinView.image().

const element = (id) => document.getElementById(id);

const basinView = {
  images: [],
  shown: [],  // the images that match the search, by their indices
  current: -1,
  loading: 0,  // counts requested images, so that one that arrives too late is dropped

  list(data) {
    this.images = data.images;
    viewer.palette = data.palette;
    document.title = `${data.title} \u2013 Basin`;
    element("title").textContent = data.title;
    element("summary").textContent = data.summary;
    this.search();
    const place = new URLSearchParams(location.hash.slice(1));
    const wanted = Number(place.get("image")) - 1;
    if (this.images.length > 0) this.show(this.images[wanted] ? wanted : 0, Number(place.get("object")));
    else this.say("There are no images.");
  },

  say(text) {
    element("message").textContent = text;
  },

  search() {
    const words = element("search").value.toLowerCase();
    this.shown = [...this.images.keys()].filter((k) => this.images[k].name.toLowerCase().includes(words));
    imageRows.reset(this.shown.length);
    imageRows.mark(this.shown.indexOf(this.current));
  },

  // Shows an image, and selects the object with this number in the table's first column.
  show(index, label = 0) {
    const image = this.images[index];
    this.current = index;
    this.wantedLabel = label;
    const row = this.shown.indexOf(index);
    imageRows.mark(row);
    if (row >= 0) imageRows.reveal(row);
    element("remarks").replaceChildren(...image.remarks.map((remark) => {
      const item = document.createElement("li");
      item.textContent = remark;
      return item;
    }));
    viewer.clear();
    this.setTable([], []);
    this.setPictures([]);
    this.remember();
    ++this.loading;
    if (!image.file) {
      this.say("There are no results for this image.");
      return;
    }
    this.say("Loading \u2026");
    const script = document.createElement("script");
    script.src = image.file;
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      if (this.current === index) this.say(`The file ${image.file} beside this page is missing.`);
    };
    document.head.append(script);
  },

  async image(data) {
    const ticket = this.loading;
    if (data.file !== this.images[this.current].file) return;
    try {
      if (!window.DecompressionStream) throw new Error("this browser is too old for this page");
      const labels = await decodePng(data.labels);
      if (ticket !== this.loading) return;
      if (labels.channels === 3) {  // numbers of 24 bits
        const parts = labels.values;
        labels.values = new Uint32Array(labels.width * labels.height);
        for (let k = 0, p = 0; k < labels.values.length; ++k, p += 3)
          labels.values[k] = (parts[p] << 16) | (parts[p + 1] << 8) | parts[p + 2];
      }
      const colours = Uint8Array.from("0" + data.colours, Number);
      this.setTable(data.columns, data.numbers);
      viewer.setLabels({ width: labels.width, height: labels.height, ids: labels.values }, colours,
                       [0].concat(data.numbers[0] || []));
      this.say("");
      this.setPictures(data.pictures);
      await this.showPicture();
      const row = data.numbers.length > 0 ? data.numbers[0].indexOf(this.wantedLabel) : -1;
      if (row >= 0 && ticket === this.loading) this.select(row + 1, true);
    } catch (error) {
      if (ticket === this.loading) this.say(`This image cannot be shown: ${error.message}.`);
    }
  },

  setPictures(pictures) {
    this.pictures = pictures;
    element("choice").replaceChildren(...pictures.map((picture, k) => new Option(picture.name, k)));
    document.querySelector(".optional").hidden = pictures.length < 2;
  },

  async showPicture() {
    const ticket = this.loading;
    const picture = this.pictures[Number(element("choice").value)];
    if (!picture) {
      viewer.setPicture(null);
      return;
    }
    const decoded = await decodePng(picture.png);
    if (ticket !== this.loading || picture !== this.pictures[Number(element("choice").value)]) return;
    viewer.setPicture(Object.assign(decoded, { low: picture.low, high: picture.high }));
    if (picture.stretch) this.setWindow(...viewer.quantiles(0.005, 0.998));
    else this.setWindow(picture.low, picture.high);
  },

  setWindow(low, high) {
    if (!viewer.picture) return;
    viewer.setWindow(low, high);
    const [darkest, brightest] = viewer.quantiles(0, 1);
    const place = (value) => String(Math.round((1000 * (value - darkest)) / (brightest - darkest || 1)));
    element("low").value = numberText(low);
    element("high").value = numberText(high);
    element("low-slider").value = place(low);
    element("high-slider").value = place(high);
  },

  slide() {
    if (!viewer.picture) return;
    const [darkest, brightest] = viewer.quantiles(0, 1);
    const value = (id) => darkest + (Number(element(id).value) / 1000) * (brightest - darkest);
    this.setWindow(value("low-slider"), value("high-slider"));
  },

  setTable(columns, numbers) {
    this.numbers = numbers;
    this.sorted = { column: 0, descending: false };
    this.selected = 0;
    const widths = columns.map((name) => `minmax(${Math.max(name.length + 3, 8)}ch, 1fr)`).join(" ");
    tableHead.style.gridTemplateColumns = this.tableColumns = widths;
    tableHead.replaceChildren(...columns.map((name, k) => {
      const button = document.createElement("button");
      button.dataset.name = name;
      button.addEventListener("click", () => this.sort(k));
      return button;
    }));
    const minWidth = columns.reduce((sum, name) => sum + Math.max(name.length + 3, 8), 4) + "ch";
    tableHead.style.minWidth = minWidth;
    element("table").scrollTop = 0;
    this.order = new Uint32Array(numbers.length > 0 ? numbers[0].length : 0).map((_, k) => k);
    tableRows.chosen = -1;
    tableRows.reset(this.order.length, minWidth);
    this.markSorted();
  },

  sort(column) {
    const { sorted } = this;
    this.sorted = { column, descending: sorted.column === column && !sorted.descending };
    this.order = sortedRows(this.numbers[column], this.sorted.descending);
    this.markSorted();
    const row = this.order.indexOf(this.selected - 1);
    tableRows.mark(row);
    if (row >= 0) tableRows.reveal(row);
  },

  markSorted() {
    const { column, descending } = this.sorted;
    [...tableHead.children].forEach((button, k) => {
      const arrow = k !== column ? "" : descending ? " \u25be" : " \u25b4";
      button.textContent = button.dataset.name + arrow;
      if (k === column) button.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else button.removeAttribute("aria-sort");
    });
  },

  // Marks an object, from 1, in the picture and in the table; 0: none. `reveal`: moves the picture to it.
  select(object, reveal) {
    this.selected = object;
    viewer.select(object, reveal);
    const row = object ? this.order.indexOf(object - 1) : -1;
    tableRows.mark(row);
    if (row >= 0) tableRows.reveal(row);
    this.remember();
  },

  // Keeps the image and the object in the address, for bookmarks.
  remember() {
    const label = this.selected ? this.numbers[0][this.selected - 1] : this.wantedLabel;
    history.replaceState(null, "", `#image=${this.current + 1}` + (label ? `&object=${label}` : ""));
  },
};

const viewer = new Viewer((object) => {
  basinView.wantedLabel = 0;
  basinView.select(object, false);
});

const imageRows = new Rows(element("images"), (row, k) => {
  const image = basinView.images[basinView.shown[k]];
  setCells(row, [image.name, image.remarks.length > 0 ? "!" : "", image.file ? String(image.objects) : "\u2013"]);
  ["name", "mark", "count"].forEach((name, i) => (row.children[i].className = name));
  row.title = [image.name, ...image.remarks].join("\n");
}, (k) => basinView.show(basinView.shown[k]));

const tableHead = document.createElement("div");
tableHead.className = "head";
element("table").append(tableHead);
const tableRows = new Rows(element("table"), (row, k) => {
  const object = basinView.order[k];
  row.style.gridTemplateColumns = basinView.tableColumns;
  setCells(row, basinView.numbers.map((column) => numberText(column[object])));
}, (k) => basinView.select(basinView.order[k] + 1, true));

element("search").addEventListener("input", () => basinView.search());
element("choice").addEventListener("change", () => basinView.showPicture());
for (const part of ["picture", "outlines", "labels"])
  element(`show-${part}`).addEventListener("change", (event) => {
    viewer.shows[part] = event.target.checked;
    viewer.setColours();
  });
for (const id of ["low-slider", "high-slider"]) element(id).addEventListener("input", () => basinView.slide());
for (const id of ["low", "high"])
  element(id).addEventListener("change", () => basinView.setWindow(Number(element("low").value), Number(element("high").value)));
element("auto").addEventListener("click", () => viewer.picture && basinView.setWindow(...viewer.quantiles(0.005, 0.998)));
element("full").addEventListener("click", () => viewer.picture && basinView.setWindow(...viewer.quantiles(0, 1)));
element("fit").addEventListener("click", () => viewer.fit());
element("actual").addEventListener("click", () => viewer.zoomTo(1 / (window.devicePixelRatio || 1)));
element("in").addEventListener("click", () => viewer.zoomTo(viewer.scale * 1.5));
element("out").addEventListener("click", () => viewer.zoomTo(viewer.scale / 1.5));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]):not([type=range]), select")) return;
  const press = { i: "show-picture", o: "show-outlines", l: "show-labels", f: "fit", 1: "actual", "+": "in", "=": "in", "-": "out" };
  if (event.key in press) element(press[event.key]).click();
  else if (event.key === "Escape") basinView.select(0, false);
  else if (event.key === "n" || event.key === "p") {
    const next = basinView.shown[basinView.shown.indexOf(basinView.current) + (event.key === "n" ? 1 : -1)];
    if (next !== undefined) basinView.show(next);
  }
});

element("splitter").addEventListener("pointerdown", (event) => {
  const splitter = event.target;
  splitter.setPointerCapture(event.pointerId);
  const bottom = element("table").getBoundingClientRect().bottom;
  const move = (moved) => (element("table").style.height = Math.max(40, bottom - moved.clientY - 4) + "px");
  splitter.addEventListener("pointermove", move);
  splitter.addEventListener("pointerup", () => splitter.removeEventListener("pointermove", move), { once: true });
});
