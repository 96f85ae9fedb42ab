// SPDX-License-Identifier: Apache-2.0
/** Series of values in which null is time that nobody read. */

/**
 * The values that there are.
 * @param {readonly (number | null | undefined)[]} values
 * @returns {number[]}
 */
export function known(values) {
  return /** @type {number[]} */ (values.filter((value) => value !== null && value !== undefined));
}

/**
 * The sum of the values that there are, null where there is none.
 * @param {readonly (number | null | undefined)[]} values
 */
export function sumOf(values) {
  const there = known(values);
  return there.length > 0 ? there.reduce((sum, value) => sum + value, 0) : null;
}

/**
 * The last value that there is.
 * @param {readonly (number | null)[]} values
 * @returns {number | null}
 */
export function newest(values) {
  for (let at = values.length - 1; at >= 0; at -= 1) {
    const value = values[at] ?? null;
    if (value !== null) return value;
  }
  return null;
}
