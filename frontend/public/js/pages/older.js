// SPDX-License-Identifier: Apache-2.0
/** Brings an older page of a list, under the list that is on show when it comes. */

import { withNewest, withOlder } from "../base/paged-list.js";

/** While a page is on its way, the list above it may have moved on. */
const MOST_TRIES = 3;

/**
 * @template T
 * @typedef {{list: import("../base/paged-list.js").PagedList<T>, question: string}} OnShow question: what it answers
 */

/**
 * @template T
 * @param {object} about
 * @param {() => OnShow<T> | null} about.onShow
 * @param {(cursor: string) => Promise<import("../base/paged-list.js").Page<T>>} about.ask
 * @param {(item: T) => string} about.nameOf
 * @returns {Promise<import("../base/paged-list.js").PagedList<T> | null>} null where the list on show stays as it is:
 *   it is the answer to another question by now, or has everything
 * @throws {Error} the page could not be had, or newer records came too fast to put it under them
 */
export async function bringOlder({ onShow, ask, nameOf }) {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const before = onShow();
    if (!before?.list.next) return null;
    const older = withOlder(before.list, await ask(before.list.next), nameOf);
    const after = onShow();
    if (after?.question !== before.question) return null;
    if (after.list === before.list) return older;
    if (after.list.next === null) return null;
    const whole = withNewest(older, { items: after.list.items, next_cursor: after.list.next }, nameOf);
    if (whole.isExtended) return whole;
  }
  throw new Error("newer records come faster than older ones can be loaded: pause (l) first");
}
