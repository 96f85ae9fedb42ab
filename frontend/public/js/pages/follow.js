// SPDX-License-Identifier: Apache-2.0
/** Follows rates: asks for what has changed since the last answer to the same question. */

import { getRates } from "../api.js";
import { mergeRates } from "../model/rates-merge.js";

/** @typedef {import("../model/types.js").Rates} Rates */

export function createFollower() {
  let question = "";
  /** @type {Rates | null} */
  let known = null;
  /**
   * @param {import("../model/types.js").Range} range
   * @param {import("../api.js").RatesQuestion} what
   * @param {AbortSignal} signal
   * @returns {Promise<Rates>} the whole range
   */
  return async (range, what, signal) => {
    const next = JSON.stringify(what);
    const before = next === question ? known : null;
    const answer = await getRates(range, { ...what, after: before?.version ?? null }, signal);
    const isRanked = what.by === "vm" || what.by === "guest";
    const merged = before ? mergeRates(before, answer, range, isRanked) : answer;
    const whole = merged ?? (await getRates(range, what, signal));
    [question, known] = [next, whole];
    return whole;
  };
}
