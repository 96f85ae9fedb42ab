/** Sorting by a column: numbers by size, texts as people sort them, nothing last whichever way. */

/**
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => string | number | null} valueOf
 * @param {boolean} descending
 * @param {(item: T) => string} tieOf decides between equal values, ascending
 * @returns {T[]}
 */
export function sorted(items, valueOf, descending, tieOf) {
  const sign = descending ? -1 : 1;
  return [...items].sort((a, b) => {
    const [left, right] = [valueOf(a), valueOf(b)];
    if (left === null || right === null) {
      if (left !== right) return left === null ? 1 : -1;
    } else if (left !== right) {
      return sign * compare(left, right);
    }
    return compare(tieOf(a), tieOf(b));
  });
}

/** @param {string | number} left @param {string | number} right */
function compare(left, right) {
  if (typeof left === "number" && typeof right === "number") return left - right;
  return String(left).localeCompare(String(right), "en", { numeric: true, sensitivity: "base" });
}

/**
 * Read a sort such as "-faults".
 * @param {string} text
 * @returns {{column: string, descending: boolean}}
 */
export function parseSort(text) {
  return text.startsWith("-")
    ? { column: text.slice(1), descending: true }
    : { column: text, descending: false };
}
