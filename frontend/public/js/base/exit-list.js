/** The exits on show: the newest page is asked for again and again, older pages stay below it. */

/** @typedef {import("./types.js").Exit} Exit */
/** @typedef {import("./types.js").ExitPage} ExitPage */

/** @typedef {Exit & {key: string}} KeyedExit */
/** @typedef {{items: KeyedExit[], next: string | null, isExtended: boolean}} ExitList isExtended: by older pages */

/** More rows than this are not kept: the list starts anew from the newest page. */
const MOST = 5000;

/**
 * Give equal exits of one page different keys: two may have the same time, vCPU and address.
 * @param {readonly Exit[]} exits newest first
 * @returns {KeyedExit[]}
 */
function keyed(exits) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  // Counted from the oldest, so that a newer twin does not rename the ones already shown.
  return [...exits]
    .reverse()
    .map((exit) => {
      const name = [exit.time, exit.vm, exit.vcpu, exit.kind, exit.gpa, exit.errno].join(" ");
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      return { ...exit, key: `${name} ${count}` };
    })
    .reverse();
}

/**
 * Put a newest page over what is known.
 * @param {ExitList} known
 * @param {ExitPage} page
 * @returns {ExitList} the page alone where there may be exits between the two, or nothing older was asked for
 */
export function withNewest(known, page) {
  const items = keyed(page.items);
  const oldest = items.at(-1);
  const at = oldest ? known.items.findIndex((exit) => exit.key === oldest.key) : -1;
  const isWhole = page.next_cursor === null || at < 0 || !known.isExtended || known.items.length > MOST;
  if (isWhole) return { items, next: page.next_cursor, isExtended: false };
  return { items: [...items, ...known.items.slice(at + 1)], next: known.next, isExtended: true };
}

/**
 * Put an older page under what is known.
 * @param {ExitList} known
 * @param {ExitPage} page
 * @returns {ExitList}
 */
export function withOlder(known, page) {
  return { items: keyed([...known.items, ...page.items]), next: page.next_cursor, isExtended: true };
}
