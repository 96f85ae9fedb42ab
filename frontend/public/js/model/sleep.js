// SPDX-License-Identifier: Apache-2.0
/** What is not known of when vCPUs were asleep. */

import { secondsText } from "../base/format.js";

/** @typedef {import("../../../api-types.js").RangeWarning} RangeWarning */

/**
 * What an answer lacks since hosts had shed what shows it; empty where nothing is lacking.
 * @param {readonly RangeWarning[]} warnings
 */
export function sleepNote(warnings) {
  const lacking = warnings
    .filter(({ code }) => code === "sleep_not_measured")
    .reduce((sum, { lacking_ms: ms }) => sum + (ms ?? 0), 0);
  return lacking
    ? `For ${secondsText(lacking / 1000)} of this range it was not measured when vCPUs were asleep: it cost the host too much.`
    : "";
}
