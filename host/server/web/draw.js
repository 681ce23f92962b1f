// Draws heat maps and lines on a canvas. Sizes are in CSS pixels; the canvas has as many as the screen.

import { element } from "./dom.js";
import { clock, duration, show, ticks, timeStep } from "./units.js";

export const MARGIN = { left: 62, right: 10, top: 8, bottom: 20 };

/** The colours of the page, as its style sheet has them. */
export function palette() {
  // Which of its two values a colour has is known once an element has it.
  const probe = document.body.appendChild(element("span", { hidden: true }));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    text: colour("--muted"),
    grid: colour("--grid"),
    back: colour("--panel"),
    heat: ["--heat-0", "--heat-1", "--heat-2", "--heat-3", "--heat-4"].map((name) => rgb(colour(name))),
    lines: Array.from({ length: 8 }, (_, at) => colour(`--line-${at}`)),
    quantiles: { p50: colour("--p50"), p99: colour("--p99"), max: colour("--max") },
    cross: colour("--text"),
  };
  probe.remove();
  return found;
}

/** The parts of `rgb(227, 237, 249)`. */
const rgb = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

/** Makes the canvas as large as its element, and returns its context and the area to draw in. */
export function prepare(canvas, colours) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colours.text;
  const area = {
    x: MARGIN.left,
    y: MARGIN.top,
    width: Math.max(10, width - MARGIN.left - MARGIN.right),
    height: Math.max(10, height - MARGIN.top - MARGIN.bottom),
  };
  return { context, area };
}

/** The time axis below an area: marks at round times of day, or at round times after `relative`. */
function timeAxis(context, area, from, to, colours, relative) {
  const seconds = timeStep((to - from) / 1000, Math.max(2, Math.floor(area.width / 80)));
  const step = seconds * 1000;
  const origin = relative ?? new Date(from).getTimezoneOffset() * 60_000;
  context.fillStyle = colours.text;
  context.strokeStyle = colours.grid;
  context.lineWidth = 1;
  context.textBaseline = "top";
  context.textAlign = "center";
  for (let t = origin + Math.ceil((from - origin) / step) * step; t <= to; t += step) {
    const x = area.x + (area.width * (t - from)) / (to - from);
    line(context, [x, area.y + area.height], [x, area.y + area.height + 4]);
    const label = relative === undefined ? clock(t, seconds) : duration((t - relative) / 1000);
    const half = context.measureText(label).width / 2;
    if (x + half <= area.x + area.width + MARGIN.right) context.fillText(label, x, area.y + area.height + 6);
  }
}

function line(context, from, to) {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

/**
 * A heat map. `map` is of rates.js; `shown` are the first and last row of the axis; `most` is the count that has the darkest colour.
 */
export function drawHeatMap(canvas, colours, family, groups, map, span, shown, most) {
  const { context, area } = prepare(canvas, colours);
  const rows = shown.last - shown.first + 1;
  rowAxis(context, area, colours, family, shown);
  if (groups.length > 0) {
    context.imageSmoothingEnabled = false;
    const x = (t) => area.x + ((t - span.from) / (span.to - span.from)) * area.width;
    const image = cells(colours, groups, map, shown, most);
    // Runs of groups of one length are one picture.
    for (let start = 0; start < groups.length; ) {
      let end = start + 1;
      while (end < groups.length && !groups[end].gap && Math.abs(groups[end].dt - groups[start].dt) < 0.6) end += 1;
      const [left, right] = [x(groups[start].t - groups[start].dt * 1000), x(groups[end - 1].t)];
      context.save();
      context.beginPath();
      context.rect(area.x, area.y, area.width, area.height);
      context.clip();
      context.drawImage(image, start, 0, end - start, rows, left, area.y, right - left, area.height);
      context.restore();
      start = end;
    }
    quantileLines(context, area, colours, groups, map, shown, x);
  }
  timeAxis(context, area, span.from, span.to, colours, span.relative);
  return area;
}

const pixelOf = (red, green, blue, alpha) => new Uint32Array(Uint8ClampedArray.of(red, green, blue, alpha).buffer)[0];
const UNKNOWN = pixelOf(128, 128, 128, 40);

/** 256 shades between the colours of a heat map, as pixels. */
function shadesOf(heat) {
  return Uint32Array.from({ length: 256 }, (_, at) => {
    const place = (at / 255) * (heat.length - 1);
    const low = Math.min(heat.length - 2, Math.floor(place));
    return pixelOf(...heat[low].map((part, channel) => part + (heat[low + 1][channel] - part) * (place - low)), 255);
  });
}

/** The cells of a heat map as a picture of one pixel a cell. */
function cells(colours, groups, map, shown, most) {
  const rows = shown.last - shown.first + 1;
  const image = new ImageData(groups.length, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const shades = shadesOf(colours.heat);
  const scale = (shades.length - 1) / Math.log1p(most || 1);
  for (let at = 0; at < groups.length; at++) {
    for (let row = shown.first; row <= shown.last; row++) {
      const pixel = (shown.last - row) * groups.length + at;
      const count = map.counts[at * map.rows + row] / groups[at].dt;
      if (map.isUnknown[at]) {
        pixels[pixel] = UNKNOWN;
      } else if (count > 0) {
        pixels[pixel] = shades[Math.min(shades.length - 1, Math.round(Math.log1p(count) * scale))];
      }
    }
  }
  const canvas = document.createElement("canvas");
  canvas.width = groups.length;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function quantileLines(context, area, colours, groups, map, shown, x) {
  const rows = shown.last - shown.first + 1;
  const y = (position) => area.y + area.height * (1 - (position - shown.first) / rows);
  for (const name of ["max", "p99", "p50"]) {
    context.setLineDash(name === "max" ? [2, 3] : []);
    context.lineJoin = "round";
    context.beginPath();
    let isDown = false;
    groups.forEach((group, at) => {
      const quantiles = map.quantiles[at];
      if (!quantiles || map.isUnknown[at]) {
        isDown = false;
        return;
      }
      const point = [x(group.t - group.dt * 500), Math.max(area.y + 1, y(quantiles[name].position))];
      if (isDown) context.lineTo(...point);
      else context.moveTo(...point);
      // A single group among empty ones is a short stroke.
      if (!isDown) context.lineTo(point[0] + 2, point[1]);
      isDown = true;
    });
    // A line is seen on any shade, because it has an edge of the panel's colour.
    if (name !== "max") {
      context.strokeStyle = colours.back;
      context.globalAlpha = 0.7;
      context.lineWidth = 4;
      context.stroke();
      context.globalAlpha = 1;
    }
    context.strokeStyle = colours.quantiles[name];
    context.lineWidth = name === "max" ? 1 : 1.8;
    context.stroke();
  }
  context.setLineDash([]);
}

/** Bounds at the left, as many as fit. */
function rowAxis(context, area, colours, family, shown) {
  const rows = shown.last - shown.first + 1;
  const step = Math.max(1, Math.ceil(rows / Math.max(2, Math.floor(area.height / 18))));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let row = shown.first; row <= shown.last; row += step) {
    const y = area.y + area.height * (1 - (row + 1 - shown.first) / rows);
    const bound = family.rows[row];
    const label = bound === Infinity ? `> ${show(family.rows[row - 1] ?? 0, family.unit)}` : show(bound, family.unit);
    context.fillStyle = colours.text;
    context.fillText(label, area.x - 5, Math.max(y, area.y + 5));
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    line(context, [area.x, y], [area.x + area.width, y]);
  }
}

/** Lines of `{ values }`, from `low` to `high`. */
export function drawLines(canvas, colours, groups, lines, span, low, high, label) {
  const { context, area } = prepare(canvas, colours);
  const x = (t) => area.x + ((t - span.from) / (span.to - span.from)) * area.width;
  const y = (value) => area.y + area.height * (1 - (value - low) / (high - low || 1));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of ticks(low, high, Math.max(2, Math.floor(area.height / 32)))) {
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    line(context, [area.x, y(tick)], [area.x + area.width, y(tick)]);
    context.fillStyle = colours.text;
    context.fillText(label(tick), area.x - 5, y(tick));
  }
  lines.forEach(({ values }, place) => {
    context.strokeStyle = colours.lines[place % colours.lines.length];
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    let isDown = false;
    groups.forEach((group, at) => {
      if (Number.isNaN(values[at])) {
        isDown = false;
        return;
      }
      const point = [x(group.t), y(values[at])];
      if (isDown) context.lineTo(...point);
      else {
        context.moveTo(point[0] - 1, point[1]);
        context.lineTo(...point);
      }
      isDown = true;
    });
    context.stroke();
  });
  timeAxis(context, area, span.from, span.to, colours, span.relative);
  return area;
}

/** The cross of the place that is read. */
export function drawCross(canvas, colours, area, x, y) {
  const context = canvas.getContext("2d");
  context.strokeStyle = colours.cross;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  line(context, [x, area.y], [x, area.y + area.height]);
  if (y !== null) line(context, [area.x, y], [area.x + area.width, y]);
  context.setLineDash([]);
}
