// SPDX-License-Identifier: Apache-2.0
/** Losses that this viewer has seen and said so: what came since is news. Kept in this browser. */

import { lostBy } from "./health.js";

/** @typedef {import("./host-types.js").Host} Host */

const KEY = "kvmfaults-losses-seen";
// Where storage is forbidden, for as long as the page lives.
/** @type {Record<string, number>} */
let inMemory = {};

/** @returns {Record<string, number>} how much a host had lost when that was acknowledged */
function seen() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return kept !== null && typeof kept === "object" ? /** @type {Record<string, number>} */ (kept) : {};
  } catch {
    return inMemory;
  }
}

/**
 * How much of a host's losses came after they were acknowledged.
 * @param {Host} host
 */
export function newLossesOf(host) {
  const lost = lostBy(host);
  const known = Number(seen()[host.name] ?? 0);
  // A host that lost less than was seen is another one by that name.
  return known <= lost ? lost - known : lost;
}

/** @param {readonly Host[]} hosts */
export function newLosses(hosts) {
  return hosts.reduce((sum, host) => sum + newLossesOf(host), 0);
}

/** @param {readonly Host[]} hosts */
export function acknowledgeLosses(hosts) {
  inMemory = { ...seen(), ...Object.fromEntries(hosts.map((host) => [host.name, lostBy(host)])) };
  try {
    localStorage.setItem(KEY, JSON.stringify(inMemory));
  } catch {
    // Storage may be forbidden; then it is remembered until the page is left.
  }
}
