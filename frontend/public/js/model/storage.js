// SPDX-License-Identifier: Apache-2.0
/** What is kept how long, as the page says it. */

import { aboutBytesText } from "../base/format.js";
import { dateText, durationText } from "../base/time.js";

/** @typedef {import("../../../api-types.js").Storage} Storage */
/** @typedef {import("../../../api-types.js").StoredSize} StoredSize */

/**
 * @typedef {object} KeptRow
 * @property {string} what
 * @property {string} age up to which it is kept
 * @property {string} since how far back it reaches
 * @property {string} size
 */

const MINUTE_MS = 60_000;
/** A level is summed up so late at most, beside the length of its buckets, where nothing is wrong. */
const LATE_MS = 10 * MINUTE_MS;

/** @param {Storage} storage @returns {KeptRow[]} the finest first */
export function keptRows(storage) {
  const levels = storage.levels.map((level) => ({
    what: `counts of ${bucketText(level.bucket_s)}`,
    ...reachOf(level),
    size: sizeOf(Object.values(level.sizes)),
  }));
  const records = /** @type {const} */ (["faults", "exits"]).map((name) => ({
    what: `records of ${name}`,
    ...reachOf(storage[name]),
    size: sizeOf([storage[name].size]),
  }));
  return [...levels, ...records];
}

/**
 * What there is to say of the whole.
 * @param {Storage} storage
 * @param {number} now
 * @returns {string[]} sentences
 */
export function keptNotes(storage, now) {
  const about = storage.used_is_about ? "about " : "";
  const most = storage.max_bytes === null ? "any number" : aboutBytesText(storage.max_bytes);
  const notes = [`What is stored takes ${about}${aboutBytesText(storage.used_bytes)}, and may take ${most}.`];
  if (storage.free_space === "kept_until_compacted") {
    notes.push(
      `Its file, ${aboutBytesText(storage.bytes)}, was made by an earlier release and does not get smaller: ` +
        "kvmfaults-server retention --compact writes it anew once, and it does from then on.",
    );
  }
  const late = storage.levels.filter(
    ({ bucket_s, pending_from }) =>
      pending_from !== null && now - Date.parse(pending_from) > LATE_MS + bucket_s * 1000,
  );
  if (late.length > 0) {
    const names = late.map(({ bucket_s }) => bucketText(bucket_s)).join(", ");
    notes.push(`Yet to be summed up: counts of ${names}. Answers read shorter ones meanwhile.`);
  }
  return notes;
}

/** @param {number} seconds */
function bucketText(seconds) {
  return durationText(seconds * 1000);
}

/** @param {{age_s: number | null, kept_from: string | null}} kept */
function reachOf({ age_s, kept_from }) {
  return {
    age: age_s === null ? "for ever" : durationText(age_s * 1000),
    // It is a whole hour.
    since: kept_from === null ? "all" : dateText(Date.parse(kept_from)).slice(0, -3),
  };
}

/** @param {readonly StoredSize[]} sizes */
function sizeOf(sizes) {
  let whole = 0;
  for (const { bytes } of sizes) {
    if (bytes === null) return aboutBytesText(null);
    whole += bytes;
  }
  return aboutBytesText(whole);
}
