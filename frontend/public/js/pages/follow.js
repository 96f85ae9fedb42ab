// SPDX-License-Identifier: Apache-2.0
/** Follows rates: asks for what has changed since the last answer to the same question. */

import { getRates } from "../api.js";
import { mergeRates } from "../model/rates-merge.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {import("../model/types.js").Rates} Rates */

export function createFollower() {
  const follow = createFollowerOf(
    async (/** @type {Range} */ range, /** @type {import("../api.js").RatesQuestion} */ what, signal) => ({
      rates: await getRates(range, what, signal),
    }),
  );
  return async (/** @type {Parameters<typeof follow>} */ ...asked) => (await follow(...asked)).rates;
}

/**
 * The same of an answer in which rates are a part.
 * @template {{by: string}} What
 * @template {{rates: Rates}} Answer
 * @param {(range: Range, what: What & {after?: string | null}, signal: AbortSignal) => Promise<Answer>} ask
 */
export function createFollowerOf(ask) {
  let question = "";
  /** @type {Rates | null} */
  let known = null;
  /**
   * @param {Range} range
   * @param {What} what
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>} with the rates of the whole range
   */
  return async (range, what, signal) => {
    const next = JSON.stringify(what);
    const before = next === question ? known : null;
    let answer = await ask(range, { ...what, after: before?.version ?? null }, signal);
    if (before) {
      const isRanked = what.by === "vm" || what.by === "guest";
      const rates = mergeRates(before, answer.rates, range, isRanked);
      answer = rates ? { ...answer, rates } : await ask(range, what, signal);
    }
    [question, known] = [next, answer.rates];
    return answer;
  };
}
