"use strict";

const gallery = document.querySelector(".gallery:not(.stills)");
const orders = {
  worst: (a, b) => a.dataset.score - b.dataset.score,
  best: (a, b) => b.dataset.score - a.dataset.score,
  given: (a, b) => a.dataset.given - b.dataset.given,
};
for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => {
    gallery.append(...[...gallery.children].sort(orders[button.dataset.order]));
    for (const other of document.querySelectorAll("[data-order]")) {
      other.setAttribute("aria-pressed", other === button);
    }
  });
}

const WORDS = [[80, "excellent"], [60, "good"], [40, "fair"], [20, "poor"], [0, "bad"]];
const STEPS = [
  0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800,
];

function timecode(seconds, digits) {
  const unit = 10 ** digits, ticks = Math.round(seconds * unit);
  const rest = String(Math.floor(ticks / unit) % 60).padStart(2, "0");
  const minutes = Math.floor(ticks / unit / 60);
  const text = `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  return digits ? `${text}.${String(ticks % unit).padStart(digits, "0")}` : text;
}

function make(name, attributes, text) {
  const element = document.createElementNS(document.querySelector("svg").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

// The curve of one clip: point at it to read it, drag over a stretch to see it larger.
class Curve {
  constructor(clip) {
    this.clip = clip;
    this.svg = clip.querySelector(".time");
    this.readout = clip.querySelector(".readout");
    this.whole = clip.querySelector(".whole");
    this.cursor = this.svg.querySelector(".cursor");
    this.points = JSON.parse(this.svg.dataset.points);
    [this.left, this.top, this.right, this.base] = this.svg.dataset.plot.split(" ").map(Number);
    this.span = this.svg.dataset.span.split(" ").map(Number);
    [this.start, this.end] = this.span;
    this.readout.textContent = "Point at the curve to read it, drag over a stretch to see it larger";
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", () => this.release());
    this.svg.addEventListener("pointercancel", () => this.release());
    this.svg.addEventListener("dblclick", () => this.show(...this.span));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.whole.addEventListener("click", () => this.show(...this.span));
    for (const card of clip.querySelectorAll(".stills li")) {
      card.querySelector("button").addEventListener("click", () => this.visit(Number(card.dataset.at)));
    }
  }

  x(time) { return this.left + (this.right - this.left) * (time - this.start) / (this.end - this.start); }
  y(score) { return this.base - (this.base - this.top) * score / 100; }

  // Where in the clip the pointer is, in seconds.
  time(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const part = (at.x - this.left) / (this.right - this.left);
    return this.start + Math.min(Math.max(part, 0), 1) * (this.end - this.start);
  }

  nearest(time) {
    let low = 0, high = this.points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.points[middle][0] < time) low = middle + 1; else high = middle;
    }
    return low && time - this.points[low - 1][0] < this.points[low][0] - time ? low - 1 : low;
  }

  point(place) {
    this.place = place;
    const [time, score, index] = this.points[place];
    const inside = time >= this.start && time <= this.end;
    this.cursor.setAttribute("visibility", inside ? "visible" : "hidden");
    this.cursor.setAttribute("transform", `translate(${this.x(time).toFixed(1)} 0)`);
    this.cursor.querySelector("circle").setAttribute("cy", this.y(score).toFixed(1));
    const word = WORDS.find(([cut]) => score >= cut)[1];
    this.readout.textContent = `${timecode(time, 3)} \u00b7 frame ${index} \u00b7 ${score.toFixed(1)} ${word}`;
  }

  visit(time) {
    if (time < this.start || time > this.end) this.show(...this.span);
    this.point(this.nearest(time));
    this.svg.scrollIntoView({ block: "nearest" });
  }

  press(event) {
    if (event.button) return;
    this.svg.setPointerCapture(event.pointerId);
    this.from = this.to = this.time(event);
    this.selection = this.svg.appendChild(make("rect", { class: "selection", y: this.top, height: this.base - this.top }));
  }

  move(event) {
    const time = this.time(event);
    this.point(this.nearest(time));
    if (!this.selection) return;
    this.to = time;
    const [low, high] = [this.from, this.to].sort((a, b) => a - b);
    this.selection.setAttribute("x", this.x(low));
    this.selection.setAttribute("width", this.x(high) - this.x(low));
  }

  release() {
    if (!this.selection) return;
    this.selection.remove();
    this.selection = null;
    const [low, high] = [this.from, this.to].sort((a, b) => a - b);
    if (this.x(high) - this.x(low) > 8) this.show(low, high);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key === "Escape") this.show(...this.span);
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = (this.place ?? this.nearest(this.start)) + steps[event.key];
    this.point(Math.min(Math.max(next, 0), this.points.length - 1));
  }

  show(start, end) {
    [this.start, this.end] = [start, end];
    for (const plot of this.svg.querySelectorAll(".plot, .strip")) {
      plot.setAttribute("viewBox", `${start} 0 ${end - start} 100`);
    }
    for (const marker of this.svg.querySelectorAll(".marker")) {
      const [time, score] = [Number(marker.dataset.at), Number(marker.dataset.score)];
      marker.setAttribute("visibility", time >= start && time <= end ? "visible" : "hidden");
      marker.setAttribute("transform", `translate(${this.x(time).toFixed(1)} ${this.y(score).toFixed(1)})`);
    }
    this.svg.querySelector(".ticks").replaceChildren(...this.ticks());
    this.whole.hidden = start === this.span[0] && end === this.span[1];
    if (this.place !== undefined) this.point(this.place);
  }

  *ticks() {
    const step = STEPS.find((step) => (this.end - this.start) / step <= 8) ?? 57600;
    const digits = step < 0.1 ? 2 : 1;
    for (let n = Math.ceil(this.start / step - 1e-9); n * step <= this.end + 1e-9; n++) {
      const label = step < 1 ? `${(n * step).toFixed(digits)} s` : timecode(n * step, 0).replace(/^0:/, "");
      yield make("text", { x: this.x(n * step).toFixed(1), y: this.base + 30 }, label);
    }
  }
}

for (const clip of document.querySelectorAll(".clip")) {
  if (clip.querySelector(".time")) new Curve(clip);
}
