// Plots of the last hour: what comes from phones above the line, what goes to
// them below it.
import { rate, minute } from './format.js';

const NS = 'http://www.w3.org/2000/svg';

export function svg(name, attributes = {}, ...children) {
  const e = document.createElementNS(NS, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

// Series is the bytes of one phone, or of all, in the bins of the last hour. Bin
// n began n steps after 1970.
export class Series {
  constructor(bins, points) {
    this.bins = bins;
    this.map = new Map();
    points?.in.forEach((v, i) => {
      const n = points.last - points.in.length + 1 + i;
      this.map.set(n, [v, points.out[i]]);
    });
  }

  set({ n, in: into, out }) {
    if (!n) return;
    this.map.set(n, [into, out]);
    for (const old of this.map.keys()) {
      if (old > n - this.bins) break;
      this.map.delete(old);
    }
  }

  // values gives `count` sums of bins each way, oldest first, up to the moment
  // `last`, in bins since 1970. The sum that is not complete yet is made one.
  values(last, count) {
    const each = this.bins / count;
    const into = new Array(count).fill(0);
    const out = new Array(count).fill(0);
    // Groups of bins stay the same ones while time goes on.
    const end = Math.floor(last / each) + 1;
    for (const [n, v] of this.map) {
      const i = Math.floor(n / each) - end + count;
      if (i < 0 || i >= count) continue;
      into[i] += v[0];
      out[i] += v[1];
    }
    const whole = each / Math.max(last - (end - 1) * each, each / 3);
    into[count - 1] *= whole;
    out[count - 1] *= whole;
    return { into, out, end: end * each };
  }
}

function area(values, x, y, base) {
  let d = `M${x(0)} ${base}`;
  values.forEach((v, i) => { d += `L${x(i).toFixed(1)} ${y(v).toFixed(1)}`; });
  return `${d}L${x(values.length - 1).toFixed(1)} ${base}Z`;
}

// spark draws into a small svg of fixed view box.
export function spark(paths, series, last) {
  const w = 120, h = 26, mid = 16, count = 60;
  const { into, out } = series.values(last, count);
  const top = Math.max(200_000, ...into, ...out); // less is a handshake
  const scale = (v) => Math.sqrt(v / top); // small bursts stay visible
  const x = (i) => (i * w) / (count - 1);
  paths[0].setAttribute('d', area(into, x, (v) => mid - scale(v) * (mid - 1), mid));
  paths[1].setAttribute('d', area(out, x, (v) => mid + scale(v) * (h - mid - 1), mid));
}

export function sparkElement() {
  const paths = [svg('path', { class: 'in' }), svg('path', { class: 'out' })];
  const line = svg('path', { class: 'axis', d: 'M0 16H120' });
  const e = svg('svg', { class: 'spark', viewBox: '0 0 120 26', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...paths, line);
  return { e, paths };
}

// ticks are round numbers up to the top of an axis.
function nice(top) {
  const p = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((f) => f * p).find((v) => v >= top);
}

// Chart is a large plot with axes, and values under the pointer.
export class Chart {
  constructor(parent, name) {
    this.name = name;
    this.root = svg('svg', { class: 'chart', role: 'img' });
    this.say = document.createElement('p');
    this.say.className = 'reading';
    parent.replaceChildren(this.root, this.say);
    this.root.addEventListener('pointermove', (e) => this.point(e));
    this.root.addEventListener('pointerleave', () => { this.at = undefined; this.read(); });
  }

  draw(series, step, last) {
    const w = Math.max(260, this.root.clientWidth || 520), h = this.root.clientHeight || 190;
    const left = 62, right = 10, top = 8, bottom = 20;
    const { into, out, end } = series.values(last, 120);
    const each = step * (series.bins / 120);
    const perSecond = (a) => a.map((v) => v / each);
    this.into = perSecond(into); this.out = perSecond(out); this.end = end * step; this.each = each;
    const maxIn = Math.max(...this.into), maxOut = Math.max(...this.out);
    const least = 10_000; // bytes a second; a handshake is no peak
    const most = nice(Math.max(least, maxIn, maxOut));
    // The smaller direction takes no more room than it needs, and a little.
    const share = Math.min(0.75, Math.max(0.25, (maxIn + most * 0.1) / (maxIn + maxOut + most * 0.2)));
    const mid = top + (h - top - bottom) * share;
    const unit = Math.min((mid - top) / Math.max(maxIn, 1), (h - bottom - mid) / Math.max(maxOut, 1), (h - top - bottom) / 2 / least);
    const x = (i) => left + (i * (w - left - right)) / 119;
    this.x = x;
    const parts = [];
    const label = (v, y) => {
      parts.push(svg('path', { class: 'grid', d: `M${left} ${y}H${w - right}` }),
        svg('text', { x: left - 7, y: y + 4, 'text-anchor': 'end' }, rate(v)));
    };
    const tick = nice(Math.max(least, maxIn, maxOut) / 2.5);
    for (let v = tick; mid - v * unit >= top - 1; v += tick) label(v, mid - v * unit);
    for (let v = tick; mid + v * unit <= h - bottom + 1; v += tick) label(v, mid + v * unit);
    const wide = w > 420 ? 10 : 20;
    const first = this.end - 120 * each;
    for (let m = Math.ceil(first / 60 / wide) * wide; m * 60 <= this.end; m += wide) {
      const px = x((m * 60 - first) / each - 0.5);
      if (px < left + 12 || px > w - right - 14) continue;
      parts.push(svg('text', { x: px, y: h - 5, 'text-anchor': 'middle' }, minute(new Date(m * 60000))));
    }
    parts.push(svg('path', { class: 'in', d: area(this.into, x, (v) => mid - v * unit, mid) }),
      svg('path', { class: 'out', d: area(this.out, x, (v) => mid + v * unit, mid) }),
      svg('path', { class: 'axis', d: `M${left} ${mid}H${w - right}` }),
      svg('text', { x: left - 7, y: mid + 4, 'text-anchor': 'end' }, '0'));
    this.cursor = svg('path', { class: 'cursor', d: '' });
    parts.push(this.cursor);
    this.size = { left, right, top, h: h - bottom, w };
    this.root.setAttribute('viewBox', `0 0 ${w} ${h}`);
    this.root.replaceChildren(...parts);
    const text = `${this.name} in the last hour: at most ${rate(maxIn)} from, ${rate(maxOut)} to`;
    if (this.root.getAttribute('aria-label') !== text) this.root.setAttribute('aria-label', text);
    this.summary = maxIn + maxOut > 0 ? `At most ${rate(maxIn)} from, ${rate(maxOut)} to.` : 'Nothing was transferred.';
    this.read();
  }

  point(e) {
    if (!this.size) return;
    const box = this.root.getBoundingClientRect();
    const px = ((e.clientX - box.left) * this.size.w) / box.width;
    this.at = Math.round(((px - this.size.left) * 119) / (this.size.w - this.size.left - this.size.right));
    if (this.at < 0 || this.at > 119) this.at = undefined;
    this.read();
  }

  read() {
    let text = this.summary, d = '';
    if (this.at !== undefined) {
      const when = new Date((this.end - (119 - this.at) * this.each - this.each / 2) * 1000);
      text = `${minute(when)}: ${rate(this.into[this.at])} from, ${rate(this.out[this.at])} to.`;
      d = `M${this.x(this.at)} ${this.size.top}V${this.size.h}`;
    }
    this.cursor?.setAttribute('d', d);
    if (this.say.textContent !== text) this.say.textContent = text;
  }
}
