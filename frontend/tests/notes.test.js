// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { causesOf } from "../public/js/model/exit-causes.js";
import { lossText } from "../public/js/model/losses.js";
import { leftOutNotes, recordingsNote, shortNote } from "../public/js/pages/chart-notes.js";
import { exactness, shortRecordings, shortSpan } from "../public/js/pages/exactness.js";
import { missingSentence } from "../public/js/panels/ledger.js";
import { leftText } from "../public/js/panels/tables/syndromes.js";

const range = { from: 0, to: 10_000 };
const request = { range, now: 100_000, stepMs: 1000 };
const nothing = { step_ms: 1000, times_ms: [], vms: [], hosts: [], recordings_left_out: 0 };
/** @param {number} from @param {number} to @param {string} [host] */
const span = (from, to, host = "h") => ({ host, from_ms: from, to_ms: to });

test("counts are exact where the whole range was covered and nothing was lost, and nowhere else", () => {
  const of = (/** @type {any[]} */ coverage, ledger = nothing) => exactness({ coverage, ledger, request }, "all faults");
  assert.deepEqual(of([span(0, 10_000)]), { note: "", title: "In the range, exact" });
  const part = of([span(0, 7_000)]);
  assert.equal(part.note, "while covered");
  assert.match(part.title, /for 3 s of the range nobody was reading/);
  assert.match(of([span(0, 10_000), span(0, 9_000, "i")]).title, /for 1 s of the range not every host was read/);
  assert.match(of([]).title, /nothing is known/);
  const lost = { keys_full: { total: 3, values: [3] } };
  const lossy = { ...nothing, times_ms: [0], hosts: [{ host: "h", lost }] };
  const low = exactness({ coverage: [span(0, 10_000)], ledger: lossy, request }, "all faults");
  assert.equal(low.note, "not exact");
  assert.match(low.title, /3 faults or exits that found the map of counts full/);
});

test("what was covered for less than a step is one bar, and says so", () => {
  const found = shortSpan([span(2_010, 2_112)], request);
  assert.deepEqual(found, { from: 2_010, to: 2_112 });
  assert.match(shortNote(found, 1000), /took 102 ms, less than a step of 1 s/);
  assert.equal(shortSpan([span(2_010, 3_112)], request), null);
  assert.equal(shortSpan([span(9_500, 10_000)], { ...request, now: 10_000 }), null);
  assert.equal(shortSpan([], request), null);
});

test("a recording that is shorter than a step is pointed out among what else was read", () => {
  const night = { ...span(2_010, 2_112, "night"), is_recording: true };
  const day = { ...span(5_000, 5_100, "day"), is_recording: true };
  const long = { ...span(0, 4_000, "long"), is_recording: true };
  const of = (/** @type {any[]} */ ...coverage) => recordingsNote(shortRecordings(coverage, request), 1000);
  assert.match(of(span(0, 10_000), night), /^The recording night took 102 ms, less than a step of 1 s/);
  assert.match(of(span(0, 10_000), day, night), /^2 recordings took less than a step of 1 s each/);
  assert.equal(of(span(0, 10_000), long), "");
  assert.equal(of(span(0, 100)), "");
});

test("what a chart leaves out is said under it, in the singular where it is one", () => {
  assert.deepEqual(leftOutNotes({ hasMoreEvents: false }), []);
  const counted = { from_ms: Date.UTC(2026, 10, 22), to_ms: null };
  assert.match(leftOutNotes({ hasMoreEvents: false, counted })[0] ?? "", /^Totals are from 2026-11-2\d .*kept in longer/);
  const [vms, events, recordings] = leftOutNotes({ hasMoreEvents: true, recordings: 1, vms: 2 });
  assert.match(vms, /^And 2 more VMs .* they are in no figure/);
  assert.match(events, /newest 500 events/);
  assert.match(recordings, /^And 1 more recording,/);
});

test("words that are not listed are counted with their faults", () => {
  assert.equal(leftText({ items: [{ count: 5 }], words: 3, count: 9 }), "and 2 more words, together with 4 faults");
  assert.equal(leftText({ items: [{ count: 5 }], words: 2, count: 6 }), "and 1 more word, with 1 fault");
  assert.equal(leftText({ items: [{ count: 5 }], words: 1, count: 5 }), "");
});

test("a count of one has the singular", () => {
  assert.match(lossText("keys_full", 1), /^fault or exit /);
  assert.match(missingSentence({ missing: 1, balanced: true }), /^1 fault is missing/);
});

test("an exit says the usual causes of its error and where to look", () => {
  const [text, ...others] = causesOf([{ errno: 14, errno_name: "EFAULT", flags: [] }], 4242);
  assert.deepEqual(others, []);
  for (const word of ["munmap", "MADV_DONTNEED", "hugetlb", "truncated", "/proc/4242/smaps"]) assert.ok(text?.includes(word));
  assert.match(causesOf([{ errno: 133, errno_name: "EHWPOISON", flags: [] }], 1)[0] ?? "", /memory error/);
  assert.match(causesOf([{ errno: 14, errno_name: "EFAULT", flags: ["private"] }], 1)[0] ?? "", /private or shared/);
  const unclassified = { errno: 4294967295, errno_name: "not shown", flags: [] };
  assert.match(causesOf([unclassified], 1).join(), /does not show with which error.*no fault led to/);
  assert.deepEqual(causesOf([], 1), []);
});
