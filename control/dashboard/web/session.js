// The right to act: a token that comes with the link, behind the #, where it is
// not sent to anybody, and is kept for this tab alone.
const place = 'muxctl-token';
const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given) {
  sessionStorage.setItem(place, given);
  history.replaceState(null, '', location.pathname);
}

async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(place) ?? ''}`, 'Content-Type': 'application/json' };
  let response;
  try {
    response = await fetch(path, { headers, cache: 'no-store', ...options });
  } catch {
    throw new Error('muxctl serve does not answer: is it still running?');
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.message ?? `muxctl serve answered ${response.status}`);
  return body;
}

export const session = {
  asked: false,
  actions: false,
  async ask() {
    try {
      this.actions = (await call('/api/session')).actions;
      this.asked = true;
    } catch {
      this.actions = false; // asked again when it is back
    }
  },
  act: (ref, action) => call(`/api/phones/${encodeURIComponent(ref)}/${action}`, { method: 'POST' }),
};
