// SPDX-License-Identifier: Apache-2.0
/** What memslots are, in words, and which one a guest-physical address is in. */

import { sizeText, words } from "../base/format.js";

/** @typedef {import("./types.js").Memslot} Memslot */

/** @type {Record<string, string>} */
const BACKINGS = {
  anonymous: "Memory of the VMM’s own, without a file",
  file: "A file that the VMM has mapped",
  hugetlb: "Huge pages of the host’s pool",
  memfd: "A file in memory that has no name in any folder",
  guest_memfd: "Private memory of the guest, which the VMM does not map",
  device: "A device, or a buffer of one, that is not memory of the host",
  none: "Nothing is mapped at the host address: the guest’s accesses fail",
  mixed: "Mappings of several kinds, or of a part of it alone",
};

/**
 * Its guest-physical addresses, from the first to the last.
 * @param {Pick<Memslot, "gpa" | "size">} memslot
 */
export function gpaRangeText({ gpa, size }) {
  return `${gpa} – 0x${(BigInt(gpa) + BigInt(size) - 1n).toString(16)}`;
}

/**
 * What is behind it, and what that means.
 * @param {Pick<Memslot, "backing" | "userfaultfd">} memslot
 */
export function backingText({ backing, userfaultfd }) {
  if (backing === null) return { text: "not shown", title: "The host’s kernel does not show it" };
  const provided = userfaultfd === true;
  return {
    text: `${words(backing)}${provided ? ", by userfaultfd" : ""}`,
    title: `${BACKINGS[backing] ?? words(backing)}${provided ? ". A userfaultfd is registered: its handler provides pages" : ""}`,
  };
}

/** @typedef {(gpa: string, time: string) => string} NameOf names an address at a time, RFC 3339; empty: not known */

/**
 * Return what names guest-physical addresses by their memslots.
 * @param {readonly Memslot[]} memslots
 * @returns {NameOf}
 */
export function namesByMemslot(memslots) {
  const known = memslots
    // The same memory is in that of system management mode.
    .filter(({ address_space: space }) => space === 0)
    .map((memslot) => ({
      first: BigInt(memslot.gpa),
      end: BigInt(memslot.gpa) + BigInt(memslot.size),
      from: Date.parse(memslot.from),
      to: memslot.to === null ? Infinity : Date.parse(memslot.to),
      name: nameOf(memslot),
    }))
    .sort((one, other) => one.from - other.from);
  return (gpa, time) => {
    const address = BigInt(gpa);
    const at = Date.parse(time);
    // What is looked at first may have been so before.
    return known.find(({ first, end, to }) => first <= address && address < end && at <= to)?.name ?? "";
  };
}

/** @param {Memslot} memslot */
function nameOf(memslot) {
  const file = memslot.file === null ? "" : ` ${memslot.file}`;
  const flags = memslot.flags.map((flag) => `, ${words(flag)}`).join("");
  return `memslot ${memslot.slot}: ${sizeText(memslot.size)}, ${backingText(memslot).text}${file}${flags}`;
}
