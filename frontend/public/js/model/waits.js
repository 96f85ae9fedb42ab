// SPDX-License-Identifier: Apache-2.0
/** What vCPUs wait for while they are asleep in faults, in words. */

import { secondsText, words } from "../base/format.js";

/** @typedef {import("./types.js").Waits} Waits */
/** @typedef {import("./types.js").Wait["waits_for"]} WaitsFor */

/**
 * The closed list: what each is called, how a sentence goes on with it, and what it means.
 * @type {Record<WaitsFor, {name: string, phrase: string, meaning: string}>}
 */
const KINDS = {
  userfaultfd: {
    name: "userfaultfd",
    phrase: "for userfaultfd",
    meaning: "Another process is to provide the page: a post-copy migration, or a handler of the VMM’s own",
  },
  swap: { name: "swap", phrase: "for swap", meaning: "The page is read from swap" },
  file: { name: "file", phrase: "for a file", meaning: "The page is read from a file, or written back" },
  reclaim: { name: "reclaim", phrase: "in reclaim", meaning: "The host is short of memory, and frees some" },
  compaction: {
    name: "compaction",
    phrase: "in compaction",
    meaning: "The host moves pages together to have a large one",
  },
  memcg: {
    name: "memory cgroup",
    phrase: "at the limit of its memory cgroup",
    meaning: "The VM’s memory cgroup is at its limit, and frees some of its own memory",
  },
  lock: { name: "lock", phrase: "for a lock", meaning: "A lock of the kernel, that others have" },
  numa: { name: "NUMA migration", phrase: "in NUMA migration", meaning: "The page is moved to another node" },
  guest_memfd: { name: "guest_memfd", phrase: "for guest_memfd", meaning: "The page comes from a guest_memfd" },
  huge_page: {
    name: "huge page",
    phrase: "for a huge page",
    meaning: "A huge page is split, or made of small ones",
  },
  other: { name: "other", phrase: "for something else", meaning: "None of the others" },
};

/** In the order of the closed list: a kind keeps its colour. */
export const PLACES = new Map(Object.keys(KINDS).map((kind, place) => [kind, place]));

/**
 * What it is called, and what it means.
 * @param {WaitsFor} kind
 */
export function waitText(kind) {
  const { name, meaning } = KINDS[kind] ?? { name: words(kind), meaning: "" };
  return { text: name, title: meaning };
}

/**
 * How long the guest stood still, and most of it for what.
 * @param {Pick<Waits, "blocked_s" | "totals">} waits
 */
export function waitsSentence({ blocked_s: blocked, totals }) {
  const [longest] = totals;
  if (blocked === null || longest === undefined) return "";
  const part = totals.length === 1 ? "all" : secondsText(longest.seconds);
  const phrase = KINDS[longest.waits_for]?.phrase ?? `for ${words(longest.waits_for)}`;
  return `The guest stood still for ${secondsText(blocked)}, ${part} of it ${phrase}.`;
}
