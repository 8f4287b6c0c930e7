// How numbers and times are written.

// Sizes count as Apple does: 128 GB is 128e9 bytes.
export function bytes(n) {
  if (n < 1000) return `${Math.round(n)} B`;
  const units = 'kMGTPE';
  let i = 0;
  for (n /= 1000; n >= 999.5 && i < units.length - 1; i++) n /= 1000;
  return `${n < 9.95 ? n.toFixed(1) : Math.round(n)} ${units[i]}B`;
}

export const rate = (n) => (n < 0.5 ? '0' : `${bytes(n)}/s`);

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

export const clock = (date) => date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
export const minute = (date) => date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });

export const plural = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;

export function speed(n) {
  if (!n) return '';
  return n >= 1e9 ? `${n / 1e9} Gb/s` : `${n / 1e6} Mb/s`;
}
