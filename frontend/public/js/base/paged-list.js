// SPDX-License-Identifier: Apache-2.0
/** Records on show: the newest page is asked for again and again, older pages stay below it. */

/**
 * @template T
 * @typedef {T & {key: string}} Keyed
 */

/**
 * @template T
 * @typedef {{items: T[], next_cursor: string | null}} Page newest first
 */

/**
 * @template T
 * @typedef {{items: Keyed<T>[], next: string | null, isExtended: boolean}} PagedList isExtended: by older pages
 */

/** More rows than this are not kept: the oldest go, and no older ones are asked for. */
export const MOST_ROWS = 5000;

/**
 * A list before anything was asked.
 * @returns {PagedList<any>}
 */
export function emptyList() {
  return { items: [], next: null, isExtended: false };
}

/** @param {import("../model/types.js").Exit} exit */
export function nameOfExit({ time, vm, vcpu, kind, gpa, errno }) {
  return [time, vm, vcpu, kind, gpa, errno].join(" ");
}

/** @param {import("../model/types.js").Fault} fault */
export function nameOfFault({ time, vm, vcpu, gpa, syndrome }) {
  return [time, vm, vcpu, gpa, syndrome?.word].join(" ");
}

/**
 * Give equal records of one page different keys: two may have the same time, vCPU and address.
 * @template T
 * @param {readonly T[]} items newest first
 * @param {(item: T) => string} nameOf
 * @returns {Keyed<T>[]}
 */
function keyed(items, nameOf) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  // Counted from the oldest, so that a newer twin does not rename the ones already shown.
  return [...items]
    .reverse()
    .map((item) => {
      const name = nameOf(item);
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      return { ...item, key: `${name} ${count}` };
    })
    .reverse();
}

/**
 * Put a newest page over what is known.
 * @template T
 * @param {PagedList<T>} known
 * @param {Page<T>} page
 * @param {(item: T) => string} nameOf
 * @returns {PagedList<T>} the page alone where there may be records between the two, or nothing older was asked for
 */
export function withNewest(known, page, nameOf) {
  const items = keyed(page.items, nameOf);
  const oldest = items.at(-1);
  const at = oldest ? known.items.findIndex((item) => item.key === oldest.key) : -1;
  const isWhole = page.next_cursor === null || at < 0 || !known.isExtended;
  if (isWhole) return { items, next: page.next_cursor, isExtended: false };
  const whole = [...items, ...known.items.slice(at + 1)].slice(0, MOST_ROWS);
  return { items: whole, next: known.next, isExtended: true };
}

/**
 * Put an older page under what is known.
 * @template T
 * @param {PagedList<T>} known
 * @param {Page<T>} page
 * @param {(item: T) => string} nameOf
 * @returns {PagedList<T>}
 */
export function withOlder(known, page, nameOf) {
  return { items: keyed([...known.items, ...page.items], nameOf), next: page.next_cursor, isExtended: true };
}
