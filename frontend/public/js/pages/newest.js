// SPDX-License-Identifier: Apache-2.0
/** The newest that the server has, where a range holds nothing: a recording is of its own time, not of now. */

import { getVmsOf } from "../api.js";
import { alignRange } from "../base/time.js";

/** @typedef {import("../model/host-types.js").Host} Host */
/** @typedef {import("../model/host-types.js").Status} Status */
/** @typedef {import("../model/types.js").Range} Range */

const LENGTH_MS = 900_000;
/** What lasted longer is not shown as a whole. */
const MOST_MS = 3_600_000;

/** @param {Host} host */
export const isRecording = ({ state }) => state === "replay";

/**
 * @param {Status} status
 * @returns {{host: Host | null, endsAt: number, recordings: number}} host: the one with the newest data
 */
export function newestData({ hosts, recordings_left_out: leftOut }) {
  const ends = hosts.map((host) => ({ host, endsAt: host.covered_to === null ? -1 : Date.parse(host.covered_to) }));
  const newest = ends.reduce((a, b) => (b.endsAt > a.endsAt ? b : a), { host: /** @type {Host | null} */ (null), endsAt: -1 });
  return { ...newest, recordings: hosts.filter(isRecording).length + leftOut };
}

/**
 * The time that a host has data of: of a recording all of it, of another the end.
 * @param {Host} host
 * @returns {Promise<Range>}
 */
export async function timeOf(host) {
  const endsAt = Date.parse(host.covered_to ?? host.last_batch);
  const end = { from: endsAt - LENGTH_MS, to: endsAt };
  if (!isRecording(host)) return whole(end);
  try {
    const { items } = await getVmsOf(host.name);
    const begins = items.map((vm) => Date.parse(vm.first_seen));
    return whole({ from: Math.min(endsAt, ...begins), to: endsAt });
  } catch {
    // Its end is known without another answer.
    return whole(end);
  }
}

/**
 * The time in which a VM was seen; of a long one the end.
 * @param {import("../model/types.js").Vm} vm
 */
export function lifeOf({ first_seen: first, last_seen: last }) {
  const [from, to] = [Date.parse(first), Date.parse(last)];
  return whole({ from: to - from > MOST_MS ? to - LENGTH_MS : from, to });
}

// In whole seconds, the last one included.
/** @param {Range} range */
function whole(range) {
  return alignRange({ from: Math.max(0, range.from), to: range.to + 1 }, 1000);
}
