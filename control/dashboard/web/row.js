// One phone in the list.
import { Chart, spark, sparkElement } from './chart.js';
import { bytes, rate, span, clock, plural, speed } from './format.js';

export const groupOf = (facts) => ({ ready: 'ready', pending: 'pending' })[facts.standing] ?? 'needs';

// setText touches nothing that is as it was: selections and screen readers stay.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

const signs = { ready: '●', pending: '○', person: '▲', fault: '■' };

let ids = 0;

export class Row {
  constructor(p, act) {
    this.p = p;
    this.id = `phone-${++ids}`;
    this.sign = make('span', 'sign');
    this.sign.setAttribute('aria-hidden', 'true');
    this.name = make('button', 'name');
    this.name.type = 'button';
    this.name.setAttribute('aria-expanded', 'false');
    this.name.setAttribute('aria-controls', this.id);
    this.model = make('span', 'model');
    this.port = make('span', 'port');
    this.state = make('span', 'state');
    this.in = make('span', 'rate in');
    this.out = make('span', 'rate out');
    this.spark = sparkElement();
    this.reason = make('span', 'reason');
    this.next = make('strong', 'next');
    this.ask = make('button', 'action', 'Ask to trust');
    this.ask.type = 'button';
    this.outcome = make('span', 'outcome');
    this.outcome.setAttribute('role', 'status');
    this.words = make('p', 'words', this.reason, ' ', this.next);
    this.acts = make('div', 'acts', this.ask, this.outcome);
    this.more = make('div', 'more');
    this.more.id = this.id;
    this.more.hidden = true;
    const head = make('h3', '', this.name);
    this.element = make('li', 'phone', this.sign, head, this.model, this.port, this.state, this.in, this.out,
      this.spark.e, this.words, this.acts, this.more);

    this.mend = make('p', 'mend', this.mending('reopen', 'Open anew', act), ' ', this.mending('reset', 'Reset over USB', act));

    this.name.addEventListener('click', () => this.toggle());
    this.ask.addEventListener('click', () => act(this.p, 'trust', (text, bad) => this.tell(text, bad)));
  }

  // mending is a button for what ends connections, and so asks once more.
  mending(action, text, act) {
    const b = make('button', 'action', text);
    b.type = 'button';
    const calm = () => { clearTimeout(b.timer); b.timer = 0; setText(b, text); };
    b.addEventListener('blur', calm);
    b.addEventListener('click', () => {
      if (b.timer) {
        calm();
        act(this.p, action, (words, bad) => this.tell(words, bad));
        return;
      }
      const n = this.p.traffic?.sessions ?? 0;
      setText(b, n ? `${text}: end ${plural(n, 'connection')}?` : `${text}: sure?`);
      b.timer = setTimeout(calm, 6000);
    });
    return b;
  }

  tell(text, bad) {
    setText(this.outcome, text);
    this.outcome.classList.toggle('bad', !!bad);
    this.acts.hidden = !text && this.ask.hidden;
  }

  toggle() {
    this.more.hidden = !this.more.hidden;
    this.name.setAttribute('aria-expanded', String(!this.more.hidden));
    if (!this.more.hidden) this.fill();
  }

  update(p, env) {
    const was = this.p.facts?.trust === p.facts.trust && this.trust === p.facts.trust;
    this.p = p;
    this.env = env;
    const f = p.facts, t = p.traffic;
    this.trust = f.trust;
    if (!was) setText(this.outcome, '');
    this.element.dataset.standing = f.standing;
    setText(this.sign, signs[f.standing]);
    setText(this.name, f.title);
    setText(this.model, [f.model || f.product || f.class, f.version].filter((s) => s && s !== f.title).join(', '));
    setText(this.port, f.port_path || f.connection);
    setText(this.state, `${f.trust.replaceAll('-', ' ')}, ${span(env.now - Date.parse(f.since))}`);
    setText(this.in, t?.in_rate >= 0.5 ? `↓ ${rate(t.in_rate)}` : '');
    setText(this.out, t?.out_rate >= 0.5 ? `↑ ${rate(t.out_rate)}` : '');
    const quiet = f.standing === 'ready' || f.standing === 'pending';
    this.words.hidden = quiet && this.more.hidden;
    setText(this.reason, f.reason);
    setText(this.next, f.standing === 'ready' ? '' : f.next_step);
    const can = env.canAct && !!f.udid && f.standing !== 'ready';
    this.ask.hidden = !can;
    this.ask.setAttribute('aria-label', `Ask to trust this computer: ${f.title}`);
    this.mend.hidden = !env.canAct;
    this.acts.hidden = !can && !this.outcome.textContent;
    this.text = [f.name, f.model, f.product, f.class, f.version, f.udid, f.udid?.replaceAll('-', ''), f.port_path, f.trust,
      f.trust.replaceAll('-', ' ')].join('\n').toLowerCase();
    spark(this.spark.paths, p.series, env.last);
    if (!this.more.hidden) this.fill();
  }

  // fill writes the details of a row that is open.
  fill() {
    const f = this.p.facts, t = this.p.traffic, env = this.env;
    this.words.hidden = false;
    const facts = [
      ['UDID', f.udid],
      ['Model', [f.model, f.product && `(${f.product})`].filter(Boolean).join(' ')],
      ['System', f.version],
      ['Capacity', f.capacity && bytes(f.capacity)],
      ['Connection', [f.connection, speed(f.speed), f.port_path && `port ${f.port_path}`].filter(Boolean).join(', ')],
      ['State', `${f.trust}, since ${clock(new Date(f.since))}`],
      ['Code', f.cause],
      ['Expires', f.expires_in_days != null && `in about ${plural(f.expires_in_days, 'day')} if it is not used`],
      ['Connections', t && `${t.sessions} open, ${t.connects} made, ${t.connects_refused} refused, ${t.connects_unanswered} unanswered`],
      ['Resets', t && (t.resets_by_phone || t.resets_by_host) ? `${t.resets_by_phone} by the phone, ${t.resets_by_host} by this computer` : ''],
      ['Recoveries', t?.recoveries ? `${t.recoveries}, the last at ${clock(new Date(t.last_recovery.time))}: ${t.last_recovery.reason}` : ''],
      ['Transferred', t && `${bytes(t.bytes_in)} from it, ${bytes(t.bytes_out)} to it`],
      ['Last byte', t?.last_byte && clock(new Date(t.last_byte))],
    ].filter(([, v]) => v);
    if (!this.list) {
      this.list = make('dl');
      this.plot = make('div', 'plot');
      this.more.replaceChildren(this.list, this.plot, this.mend);
      this.chart = new Chart(this.plot, f.title);
    }
    for (const dt of [...this.list.querySelectorAll('dt')]) {
      if (facts.some(([k]) => k === dt.textContent)) continue;
      dt.parentElement.remove();
    }
    facts.forEach(([k, v], i) => {
      let pair = [...this.list.children].find((e) => e.firstElementChild.textContent === k);
      if (!pair) {
        pair = make('div', '', make('dt', '', k), make('dd'));
        this.list.insertBefore(pair, this.list.children[i] ?? null);
      }
      setText(pair.lastElementChild, v);
    });
    this.chart.draw(this.p.series, env.step, env.last);
  }
}
