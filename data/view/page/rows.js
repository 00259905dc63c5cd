"use strict";
// Lists of any length: only the rows in view are elements of the page.

class Rows {
  // fill(row, index) writes the row with this index into an element; choose(index) is called for a click or an arrow key.
  constructor(box, fill, choose) {
    this.box = box;
    this.fill = fill;
    this.count = 0;
    this.chosen = -1;
    this.space = document.createElement("div");
    this.space.className = "space";
    box.append(this.space);
    this.elements = [];
    this.height = 1.6 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) choose(row.index);
    });
    box.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(box.clientHeight / this.height) - 2);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || this.count === 0) return;
      event.preventDefault();
      choose(Math.min(this.count - 1, Math.max(0, this.chosen + steps[event.key])));
    });
  }

  // `minWidth`: a CSS length below which the box scrolls sideways.
  reset(count, minWidth = "") {
    this.count = count;
    this.space.style.height = count * this.height + "px";
    this.space.style.minWidth = minWidth;
    this.draw();
  }

  mark(index) {
    this.chosen = index;
    this.draw();
  }

  // Scrolls as far as needed to show a row.
  reveal(index) {
    const head = this.space.offsetTop;
    const top = index * this.height;
    const shown = this.box.clientHeight - head;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.height > this.box.scrollTop + shown) this.box.scrollTop = top + this.height - shown;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 2);
    const wanted = Math.min(Math.ceil(this.box.clientHeight / this.height) + 5, Math.max(0, this.count - first));
    while (this.elements.length < wanted) {
      const row = document.createElement("div");
      row.className = "row";
      this.space.append(row);
      this.elements.push(row);
    }
    this.elements.forEach((row, k) => {
      row.hidden = k >= wanted;
      row.style.display = row.hidden ? "none" : "";
      if (row.hidden) return;
      row.index = first + k;
      row.style.top = row.index * this.height + "px";
      row.classList.toggle("chosen", row.index === this.chosen);
      this.fill(row, row.index);
    });
  }
}

// Sets the texts of a row's cells, and makes as many as there are texts.
function setCells(row, texts) {
  while (row.children.length > texts.length) row.lastChild.remove();
  while (row.children.length < texts.length) row.append(document.createElement("span"));
  texts.forEach((text, k) => {
    if (row.children[k].textContent !== text) row.children[k].textContent = text;
  });
}

// The rows of a table in the order of one column. Missing numbers come last.
function sortedRows(column, descending) {
  const order = Uint32Array.from(column, (_, k) => k);
  const sign = descending ? -1 : 1;
  return order.sort((a, b) => {
    const u = column[a], v = column[b];
    if (u === null || v === null) return (u === null) - (v === null) || a - b;
    return sign * (u - v) || a - b;
  });
}

function numberText(value) {
  if (value === null) return "";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}
