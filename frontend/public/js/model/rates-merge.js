// SPDX-License-Identifier: Apache-2.0
/** Rates that are followed: what has changed since the last answer, put into what was known before. */

/** @typedef {import("./types.js").Rates} Rates */
/** @typedef {import("./types.js").Series} Series */

/**
 * Put the newest steps into an earlier answer to the same question.
 * @param {Rates} known
 * @param {Rates} answer what has changed since, or everything
 * @param {import("./types.js").Range} range what is asked about now; it may have moved on
 * @param {boolean} isRanked whether an answer names all series that are shown, also those without a new count
 * @returns {Rates | null} null where the two do not fit, and everything has to be asked for
 */
export function mergeRates(known, answer, range, isRanked) {
  const step = answer.step_ms;
  const from = Math.floor(range.from / step) * step;
  const to = Math.ceil(range.to / step) * step;
  const until = answer.times_ms[0] ?? to;
  const kept = known.times_ms.filter((time) => time >= from && time < until);
  const first = kept.length > 0 ? known.times_ms.indexOf(kept[0] ?? 0) : 0;
  const times = [...kept, ...answer.times_ms];
  const isWhole = times.length === Math.round((to - from) / step) && (times[0] ?? from) === from;
  if (!isWhole || (isRanked && !isSameSet(known, answer))) return null;
  const place = [first, first + kept.length];
  const quiet = joined(known.quiet, answer.quiet, place);
  const old = byKey(known);
  const fresh = byKey(answer);
  const series = [...new Set([...fresh.keys(), ...old.keys()])]
    .map((key) => mergeSeries(old.get(key), fresh.get(key), { known, answer, place }))
    .filter(({ total }) => isRanked || total > 0);
  const others =
    answer.others &&
    known.others && { ...answer.others, ...parts(known.others, answer.others, place), total: 0 };
  if (others) others.total = sum(others.counts);
  return { ...answer, times_ms: times, quiet, series, others };
}

/**
 * @param {Series | undefined} old
 * @param {Series | undefined} fresh
 * @param {{known: Rates, answer: Rates, place: number[]}} about
 * @returns {Series}
 */
function mergeSeries(old, fresh, { known, answer, place }) {
  const named = /** @type {Series} */ (fresh ?? old);
  const before = old ?? { counts: known.times_ms.map(() => 0), values: known.quiet };
  const after = fresh ?? { counts: answer.times_ms.map(() => 0), values: answer.quiet };
  const both = parts(before, after, place);
  return { ...named, ...both, total: sum(both.counts) };
}

/**
 * @param {{counts: number[], values: (number | null)[]}} before
 * @param {{counts: number[], values: (number | null)[]}} after
 * @param {number[]} place
 */
function parts(before, after, place) {
  return {
    counts: joined(before.counts, after.counts, place),
    values: joined(before.values, after.values, place),
  };
}

/**
 * @template T
 * @param {readonly T[]} before
 * @param {readonly T[]} after
 * @param {number[]} place
 */
function joined(before, after, [first = 0, end = 0]) {
  return [...before.slice(first, end), ...after];
}

/** @param {Rates} rates */
function byKey({ series }) {
  return new Map(series.map((one) => [one.key, one]));
}

/** @param {Rates} known @param {Rates} answer */
function isSameSet(known, answer) {
  const keys = byKey(known);
  const isSame = answer.series.length === keys.size && answer.series.every(({ key }) => keys.has(key));
  return isSame && (known.others === null) === (answer.others === null);
}

/** @param {readonly number[]} counts */
function sum(counts) {
  return counts.reduce((total, count) => total + count, 0);
}
