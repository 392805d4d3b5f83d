"use strict";
// Drawing on canvas: a page of 10,000 trials has no 10,000 elements. Sizes are CSS pixels.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const openCanvas = (canvas, height) => {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  return { context, width, height };
};

const shown = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : String(Number(value.toPrecision(3)).toExponential());
};

// Round values between two numbers, at most `most` of them.
const ticks = (low, high, most) => {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => span / one <= most);
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) values.push(Number(value.toPrecision(10)));
  return values;
};

const cut = (context, text, room) => {
  if (context.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
  return `${text.slice(0, end)}…`;
};

// Scores over trials, and the best so far. `points`: [{ x, y, best, confirmed }], x is the place among the ended trials.
const drawHistory = (canvas, points, failed, count, chosen) => {
  const height = canvas.clientWidth < 500 ? 240 : 320;
  const { context, width } = openCanvas(canvas, height);
  const left = 52, right = 12, top = 10, bottom = 34;
  const ink = colour("ink"), line = colour("line");
  const sorted = points.map((one) => one.y).sort((a, b) => a - b);
  const found = sorted.length > 0;
  // a few bad trials at the start would leave no room for the differences that matter
  let low = found ? sorted[Math.floor(sorted.length * (sorted.length > 50 ? 0.1 : 0.02))] : 0;
  let high = found ? sorted[sorted.length - 1] : 1;
  for (const one of points) if (one.confirmed) { low = Math.min(low, one.confirmed.mean - one.confirmed.sd); high = Math.max(high, one.confirmed.mean + one.confirmed.sd); }
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  low -= pad; high += pad;
  const x = (place) => left + ((place + 0.5) / Math.max(1, count)) * (width - left - right);
  const y = (value) => top + (1 - (Math.max(low, value) - low) / (high - low)) * (height - top - bottom);
  context.textBaseline = "middle"; context.textAlign = "right"; context.lineWidth = 1;
  for (const tick of ticks(low, high, 5)) {
    context.strokeStyle = line; context.beginPath(); context.moveTo(left, y(tick)); context.lineTo(width - right, y(tick)); context.stroke();
    context.fillStyle = ink; context.fillText(shown(tick), left - 6, y(tick));
  }
  context.textBaseline = "top"; context.textAlign = "center"; context.fillStyle = ink;
  for (const tick of ticks(1, Math.max(1, count), width < 500 ? 4 : 8)) {
    if (!Number.isInteger(tick)) continue;
    const text = shown(tick), half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(Math.max(x(tick - 1), left + half), width - right - half), height - bottom + 6);
  }
  context.fillText("trials that have ended", (left + width - right) / 2, height - 14);
  const radius = points.length > 2000 ? 1.5 : points.length > 300 ? 2.2 : 3.5;
  context.fillStyle = colour("blue");
  context.globalAlpha = points.length > 300 ? 0.45 : 0.8;
  context.beginPath();
  for (const one of points) {
    const px = x(one.x), py = y(one.y);
    if (points.length > 2000) { context.rect(px - radius, py - radius, 2 * radius, 2 * radius); continue; } // much faster
    context.moveTo(px + radius, py);
    context.arc(px, py, radius, 0, 7);
  }
  context.fill();
  context.globalAlpha = 1;
  // failed trials have no score: crosses on the axis
  context.strokeStyle = colour("orange"); context.lineWidth = 1.4;
  context.globalAlpha = failed.length > 300 ? 0.5 : 1;
  context.beginPath();
  for (const place of failed) {
    const px = x(place), py = height - bottom - 4;
    context.moveTo(px - 3, py - 3); context.lineTo(px + 3, py + 3); context.moveTo(px - 3, py + 3); context.lineTo(px + 3, py - 3);
  }
  context.stroke();
  context.globalAlpha = 1;
  context.strokeStyle = colour("orange"); context.lineWidth = 2.4;
  context.beginPath();
  let before = null;
  for (const one of points) {
    if (before === null) context.moveTo(x(one.x), y(one.best));
    else { context.lineTo(x(one.x), y(before)); context.lineTo(x(one.x), y(one.best)); }
    before = one.best;
  }
  if (before !== null) context.lineTo(x(count - 1), y(before));
  context.stroke();
  context.strokeStyle = colour("green"); context.fillStyle = colour("green"); context.lineWidth = 1.6;
  for (const one of points) {
    if (!one.confirmed) continue;
    const px = x(one.x), py = y(one.confirmed.mean);
    context.beginPath(); context.moveTo(px, y(one.confirmed.mean - one.confirmed.sd)); context.lineTo(px, y(one.confirmed.mean + one.confirmed.sd)); context.stroke();
    context.beginPath(); context.moveTo(px, py - 5); context.lineTo(px + 5, py); context.lineTo(px, py + 5); context.lineTo(px - 5, py); context.fill();
  }
  if (chosen !== null) {
    context.strokeStyle = ink; context.lineWidth = 1; context.setLineDash([4, 3]);
    context.beginPath(); context.moveTo(x(chosen), top); context.lineTo(x(chosen), height - bottom); context.stroke();
    context.setLineDash([]);
    const one = points.find((point) => point.x === chosen);
    if (one) { context.lineWidth = 2.2; context.beginPath(); context.arc(x(chosen), y(one.y), radius + 4, 0, 7); context.stroke(); }
  }
  return (px) => Math.min(count - 1, Math.max(0, Math.round(((px - left) / (width - left - right)) * count - 0.5)));
};

// Parallel axes, one for each parameter and one for the score; on a narrow page they lie below one another.
// `axes`: [{ name, place(value) in 0..1 or null, labels: [[place, text]] }]; `lines`: [{ values, marked, chosen }].
const MOST_LINES = 400;
const BINS = 24;
const drawParallel = (canvas, axes, lines) => {
  const narrow = canvas.clientWidth < 640;
  const gap = narrow ? 58 : 0;
  const height = narrow ? 24 + gap * axes.length : 400;
  const { context, width } = openCanvas(canvas, height);
  const ink = colour("ink");
  const along = narrow ? [14, width - 14] : [48, height - 26];
  const across = (index) => (narrow ? 34 + gap * index : axes.length > 1 ? 60 + (index / (axes.length - 1)) * (width - 120) : width / 2);
  const point = (index, place) => {
    const at = narrow ? along[0] + place * (along[1] - along[0]) : along[1] - place * (along[1] - along[0]);
    return narrow ? [at, across(index)] : [across(index), at];
  };
  const path = (places) => {
    let open = false;
    places.forEach((place, index) => {
      if (place === null) { open = false; return; }
      const [px, py] = point(index, place);
      if (open) context.lineTo(px, py); else context.moveTo(px, py);
      open = true;
    });
  };
  const placed = lines.map((one) => ({ ...one, places: axes.map((axis, index) => axis.place(one.values[index])) }));
  const plain = placed.filter((one) => !one.marked && !one.chosen);
  context.strokeStyle = colour("grey");
  if (plain.length <= MOST_LINES) {
    context.lineWidth = 1; context.globalAlpha = Math.max(0.12, Math.min(0.6, 40 / plain.length));
    for (const one of plain) { context.beginPath(); path(one.places); context.stroke(); }
  } else {
    // of thousands of lines, how many go from one part of an axis to a part of the next
    for (let index = 0; index + 1 < axes.length; index += 1) {
      const counts = new Map();
      for (const one of plain) {
        const [from, to] = [one.places[index], one.places[index + 1]];
        if (from === null || to === null) continue;
        const key = Math.min(BINS - 1, Math.floor(from * BINS)) * BINS + Math.min(BINS - 1, Math.floor(to * BINS));
        counts.set(key, (counts.get(key) || 0) + 1);
      }
      const most = Math.max(1, ...counts.values());
      context.lineWidth = Math.max(2, (Math.abs(along[1] - along[0]) / BINS) * 0.5);
      for (const [key, count] of counts) {
        context.globalAlpha = 0.03 + 0.3 * (count / most);
        const [ax, ay] = point(index, (Math.floor(key / BINS) + 0.5) / BINS);
        const [bx, by] = point(index + 1, ((key % BINS) + 0.5) / BINS);
        context.beginPath(); context.moveTo(ax, ay); context.lineTo(bx, by); context.stroke();
      }
    }
  }
  const marked = placed.filter((one) => one.marked && !one.chosen);
  context.strokeStyle = colour("blue"); context.lineWidth = 1.6;
  context.globalAlpha = Math.max(0.15, Math.min(0.85, 40 / Math.max(1, marked.length)));
  for (const one of marked) { context.beginPath(); path(one.places); context.stroke(); }
  context.globalAlpha = 1; context.strokeStyle = colour("orange"); context.lineWidth = 3;
  for (const one of placed.filter((line) => line.chosen)) { context.beginPath(); path(one.places); context.stroke(); }
  axes.forEach((axis, index) => {
    const [ax, ay] = point(index, 0), [bx, by] = point(index, 1);
    context.strokeStyle = ink; context.lineWidth = 1.2;
    context.beginPath(); context.moveTo(ax, ay); context.lineTo(bx, by); context.stroke();
    context.fillStyle = ink; context.font = "600 12px system-ui, sans-serif";
    if (narrow) {
      const name = cut(context, axis.name, width - 28);
      context.textAlign = "left"; context.textBaseline = "bottom";
      context.globalAlpha = 0.8; context.fillStyle = colour("page"); context.fillRect(ax - 2, ay - 20, context.measureText(name).width + 4, 15);
      context.globalAlpha = 1; context.fillStyle = ink; context.fillText(name, ax, ay - 5);
    } else {
      context.textAlign = "center"; context.textBaseline = "middle";
      const room = axes.length > 1 ? (width - 120) / (axes.length - 1) : width;
      context.fillText(cut(context, axis.short, 2 * room - 12), Math.min(Math.max(ax, 50), width - 50), index % 2 ? 26 : 10);
    }
    context.font = "11px system-ui, sans-serif";
    let last = -Infinity;
    for (const [place, text] of axis.labels) {
      const [px, py] = point(index, place);
      context.fillStyle = ink; context.beginPath();
      if (narrow) {
        context.moveTo(px, py); context.lineTo(px, py + 3); context.stroke();
        const label = cut(context, text, 90), half = context.measureText(label).width / 2;
        const at = Math.min(Math.max(px, half + 4), width - half - 4);
        if (at - half < last + 6) continue;
        context.globalAlpha = 0.8; context.fillStyle = colour("page"); context.fillRect(at - half - 2, py + 4, 2 * half + 4, 13);
        context.globalAlpha = 1; context.textAlign = "center"; context.textBaseline = "top"; context.fillStyle = ink; context.fillText(label, at, py + 4);
        last = at + half;
      } else {
        context.moveTo(px - 3, py); context.lineTo(px + 3, py); context.stroke();
        const first = index < axes.length - 1;
        const label = cut(context, text, 84);
        const start = first ? px + 6 : px - 6 - context.measureText(label).width;
        context.globalAlpha = 0.85; context.fillStyle = colour("page"); context.fillRect(start - 1, py - 7, context.measureText(label).width + 2, 14);
        context.globalAlpha = 1; context.fillStyle = ink; context.textAlign = "left"; context.textBaseline = "middle"; context.fillText(label, start, py);
      }
    }
  });
};
