// SPDX-License-Identifier: Apache-2.0
/** What answers lack since hosts had shed what shows it. */

import { secondsText } from "../base/format.js";

/** @typedef {import("../../../api-types.js").RangeWarning} RangeWarning */

/**
 * Say for how long it was not measured when vCPUs were asleep; empty where it always was.
 * @param {readonly RangeWarning[]} warnings
 */
export function sleepNote(warnings) {
  const lacking = lackingText(warnings, "sleep_not_measured");
  return lacking && `${lacking} it was not measured when vCPUs were asleep: it cost the host too much.`;
}

/**
 * Say the same of where stalls ended.
 * @param {readonly RangeWarning[]} warnings
 */
export function endNote(warnings) {
  const lacking = lackingText(warnings, "end_not_measured");
  return (
    lacking &&
    `${lacking} it was not measured when guests went on: it cost the host too much. Stalls lasted until KVM had ` +
      "mapped the page; of others it is not known how long they were."
  );
}

/** @param {readonly RangeWarning[]} warnings @param {string} wanted */
function lackingText(warnings, wanted) {
  const lacking = warnings
    .filter(({ code }) => code === wanted)
    .reduce((sum, { lacking_ms: ms }) => sum + (ms ?? 0), 0);
  return lacking ? `For ${secondsText(lacking / 1000)} of this range` : "";
}
