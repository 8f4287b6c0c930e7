// The page: it hears what changes and touches only what did.
import { Series, Chart } from './chart.js';
import { rate, span, clock, plural } from './format.js';
import { Row, groupOf, setText } from './row.js';
import { session } from './session.js';

const $ = (id) => document.getElementById(id);
const phones = new Map(); // key: { key, facts, traffic, series, row }
let daemon = null;        // of the last view
let step = 15, bins = 240, total = new Series(240);
let skew = 0;             // this clock less the server's, in ms
let cut = false;          // no word from muxctl serve
const now = () => Date.now() - skew;
const last = () => now() / 1000 / step;

const chart = new Chart($('total'), 'All phones');
const groups = new Map([...document.querySelectorAll('.group')].map((e) => [e.dataset.standing, e]));
const tiles = [...document.querySelectorAll('button.tile')];
let filter = ''; // a group, or all
let dirty = new Set(), reorder = false;

// What the server sends.

function take(view) {
  skew = Date.now() - Date.parse(view.time);
  if (view.history) begin(view.history);
  if (view.daemon) daemon = view.daemon;
  for (const p of view.phones ?? []) {
    const known = phones.get(p.key) ?? { key: p.key, series: new Series(bins) };
    if (known.facts && known.facts.standing !== p.standing || known.facts?.trust !== p.trust) announce(p, known.facts);
    known.facts = p;
    phones.set(p.key, known);
    dirty.add(p.key);
    reorder = true;
  }
  for (const [key, points] of Object.entries(view.history?.phones ?? {})) {
    const known = phones.get(key);
    if (known) known.series = new Series(bins, points);
  }
  for (const [key, t] of Object.entries(view.traffic ?? {})) {
    const known = phones.get(key);
    if (!known) continue;
    known.traffic = t;
    known.series.set(t.bin);
    dirty.add(key);
    reorder ||= $('order').value === 'rate';
  }
  if (view.total) total.set(view.total);
  if (view.keys) {
    const present = new Set(view.keys);
    for (const [key, p] of phones) {
      if (present.has(key)) continue;
      announce(null, p.facts);
      p.row?.element.remove();
      phones.delete(key);
      reorder = true;
    }
  }
  for (const entry of view.log ?? []) addEntry(entry);
  schedule();
}

// begin takes over from whatever was known: it is the first message of a stream.
function begin(history) {
  step = history.step;
  bins = history.bins;
  total = new Series(bins, history.total);
  $('log').replaceChildren();
  seen = 0;
  quiet = true;
  queueMicrotask(() => { quiet = false; });
}

// Drawing, once a frame at most.

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; draw(); });
}

function draw() {
  for (const key of dirty) {
    const p = phones.get(key);
    if (!p) continue;
    p.row ??= new Row(p, act);
    p.row.update(p, { now: now(), last: last(), step, canAct: mayAct() });
  }
  dirty = new Set();
  if (reorder) arrange();
  reorder = false;
  glance();
  chart.draw(total, step, last());
}

function glance() {
  const count = { needs: 0, pending: 0, ready: 0 };
  let sessions = 0, into = 0, out = 0;
  for (const p of phones.values()) {
    count[groupOf(p.facts)]++;
    sessions += p.traffic?.sessions ?? 0;
    into += p.traffic?.in_rate ?? 0;
    out += p.traffic?.out_rate ?? 0;
  }
  for (const t of tiles) {
    setText(t.firstElementChild, String(count[t.dataset.standing]));
    t.classList.toggle('none', count[t.dataset.standing] === 0);
  }
  setText(tiles[0].lastElementChild, count.needs === 1 ? 'needs someone' : 'need someone');
  setText($('sessions'), String(sessions));
  setText($('in'), rate(into));
  setText($('out'), rate(out));
  const title = count.needs > 0 ? `(${count.needs}) Phones` : 'Phones';
  if (document.title !== title) document.title = title;

  const up = daemon?.connected;
  setText($('daemon'), !daemon ? 'Asking the daemon …'
    : up ? `usbmuxd ${daemon.version}, running for ${span(now() - Date.parse(daemon.started))}` : 'No daemon');
  $('daemon').classList.toggle('down', !up || cut);
  document.body.classList.toggle('stale', cut || !!daemon && !up);
  let head = '', text = '';
  if (cut) {
    head = 'muxctl serve does not answer.';
    text = 'What you see is from before; this page tries again by itself.';
  } else if (daemon && !up) {
    head = `The daemon has not answered for ${span(now() - Date.parse(daemon.since))}.`;
    text = `${daemon.problem.replace(/^no daemon answers: /, '')}. What you see is from before; it is tried again all the time.`;
  }
  // The seconds go on without being read out anew.
  if ($('banner').dataset.of !== text) {
    $('banner').dataset.of = text;
    setText($('banner').lastElementChild, text);
    $('banner').hidden = !text;
  }
  setText($('banner').firstElementChild, head);
  setText($('rights'), !session.asked ? '' : mayAct() ? 'You may act on phones here.'
    : !session.actions ? 'This page may only look. “muxctl serve --actions” prints a link with the right to act.'
      : 'The daemon lets muxctl serve only look: run it as a member of the group usbmux.');
}

const mayAct = () => session.actions && !!daemon?.operate && daemon.connected && !cut;

// Which phones are shown, and in which order.

const orders = {
  since: (a, b) => Math.floor(Date.parse(a.facts.since) / 10_000) - Math.floor(Date.parse(b.facts.since) / 10_000),
  name: (a, b) => a.facts.title.localeCompare(b.facts.title, undefined, { numeric: true }),
  port: (a, b) => a.facts.port_path.localeCompare(b.facts.port_path, undefined, { numeric: true }),
  rate: (a, b) => (b.traffic?.in_rate ?? 0) + (b.traffic?.out_rate ?? 0) - (a.traffic?.in_rate ?? 0) - (a.traffic?.out_rate ?? 0),
};

function arrange() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const order = orders[$('order').value];
  const all = [...phones.values()].sort((a, b) => order(a, b) || orders.name(a, b));
  const focus = document.activeElement;
  let shown = 0;
  for (const [standing, group] of groups) {
    const list = group.querySelector('ul');
    const mine = all.filter((p) => groupOf(p.facts) === standing);
    let at = list.firstElementChild;
    let n = 0;
    for (const p of mine) {
      const e = p.row.element;
      const hit = (!filter || filter === standing) && words.every((w) => p.row.text.includes(w));
      e.hidden = !hit;
      n += hit;
      if (e === at) at = at.nextElementSibling;
      else list.insertBefore(e, at);
    }
    group.hidden = n === 0;
    setText(group.firstElementChild, `${{ needs: 'Needs someone', pending: 'Under way', ready: 'Ready' }[standing]} (${n})`);
    shown += n;
  }
  if (focus !== document.activeElement && focus?.isConnected) focus.focus({ preventScroll: true });
  const narrowed = words.length > 0 || filter;
  setText($('found'), narrowed ? `${shown} of ${plural(phones.size, 'phone')}` : '');
  const calm = phones.size === 0 && daemon ? 'No iPhone or iPad is plugged in. If one is, run “muxctl doctor”.'
    : shown === 0 && narrowed ? 'No phone is like that. Esc shows all.' : '';
  setText($('calm'), calm);
  $('calm').hidden = !calm;
}

function narrow(to) {
  filter = to;
  for (const t of tiles) t.setAttribute('aria-pressed', String(t.dataset.standing === filter));
  reorder = true;
  schedule();
}

for (const t of tiles) t.addEventListener('click', () => narrow(filter === t.dataset.standing ? '' : t.dataset.standing));
$('search').addEventListener('input', () => narrow(filter));
$('search').form.addEventListener('submit', (e) => e.preventDefault());
$('order').addEventListener('change', () => narrow(filter));
document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const typing = e.target.matches('input, select, textarea');
  if (e.key === '/' && !typing) {
    e.preventDefault();
    $('search').focus();
  } else if (e.key === 'Escape') {
    $('search').value = '';
    narrow('');
  }
});

// The log.

let seen = 0;
const mostEntries = 200;
function addEntry(entry) {
  if (entry.seq <= seen) return;
  seen = entry.seq;
  const li = document.createElement('li');
  li.dataset.standing = entry.standing;
  const time = document.createElement('time');
  const at = new Date(entry.time);
  time.dateTime = entry.time;
  time.textContent = clock(at);
  const text = document.createElement('span');
  if (entry.name) {
    const b = document.createElement('b');
    b.textContent = entry.name;
    if (entry.udid) b.title = entry.udid;
    text.append(b, ' ');
  }
  text.append(entry.text);
  li.append(time, text);
  const list = $('log');
  const top = list.scrollTop;
  list.prepend(li);
  if (top > 0) list.scrollTop = top + li.offsetHeight; // who reads on is left in peace
  while (list.children.length > mostEntries) list.lastElementChild.remove();
}

// What is read out: what needs someone and what no longer does, gathered.

let quiet = true, news = [], speaking = 0;
function announce(p, before) {
  if (quiet) return;
  const name = (p ?? before)?.title;
  if (!p) news.push(`${name} unplugged`);
  else if (p.standing === 'person' || p.standing === 'fault') news.push(`${name}: ${p.next_step || p.reason}`);
  else if (p.standing === 'ready') news.push(`${name} is ready`);
  else return;
  if (speaking) return;
  speaking = setTimeout(() => {
    $('live').textContent = news.length <= 3 ? news.join('. ') : `${news.length} phones have changed: ${news.slice(0, 2).join('. ')} and more`;
    news = [];
    speaking = 0;
  }, 2000);
}

// Acting.

async function act(p, action, tell) {
  tell(action === 'trust' ? 'Asking …' : 'At it …');
  try {
    await session.act(p.facts.udid ?? p.facts.port_path, action);
    tell(action === 'trust' ? 'Asked. Look at the phone.' : 'Done.');
  } catch (e) {
    tell(e.message, true);
  }
}

// Hearing.

function listen() {
  const source = new EventSource('/api/events');
  source.addEventListener('view', (e) => {
    if (cut) {
      cut = false;
      session.ask().then(refresh);
    }
    take(JSON.parse(e.data));
  });
  source.addEventListener('error', () => {
    cut = true;
    schedule();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

// refresh draws all rows anew: times go on, rights may change.
function refresh() {
  for (const key of phones.keys()) dirty.add(key);
  schedule();
}

setInterval(refresh, 5000);
new ResizeObserver(schedule).observe($('total'));
session.ask().then(refresh);
listen();
