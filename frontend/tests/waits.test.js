// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { endNote, sleepNote } from "../public/js/model/shed.js";
import { PLACES, waitText, waitsSentence } from "../public/js/model/waits.js";

const total = (/** @type {"reclaim" | "swap"} */ kind, /** @type {number} */ seconds) => ({
  waits_for: kind,
  count: 1,
  seconds,
});

test("a sentence says how long the guest stood still, and for what most of it", () => {
  const totals = [total("reclaim", 2.9), total("swap", 0.2)];
  assert.equal(
    waitsSentence({ blocked_s: 3.1, totals }),
    "The guest stood still for 3.10 s, 2.90 s of it in reclaim.",
  );
  assert.equal(
    waitsSentence({ blocked_s: 0.0112, totals: [total("swap", 0.0112)] }),
    "The guest stood still for 11.2 ms, all of it for swap.",
  );
});

test("where nothing is known there is no sentence", () => {
  assert.equal(waitsSentence({ blocked_s: null, totals: [] }), "");
  assert.equal(waitsSentence({ blocked_s: 0, totals: [] }), "");
});

test("each kind has a name, a meaning and a place of its own", () => {
  assert.equal(PLACES.size, 11);
  assert.equal(new Set(PLACES.values()).size, 11);
  assert.deepEqual(waitText("memcg").text, "memory cgroup");
  for (const kind of PLACES.keys()) assert.ok(waitText(/** @type {any} */ (kind)).title);
});

test("for how long what was shed was not measured is said once, of all hosts together", () => {
  const range = { host: "a", from_ms: 0, to_ms: 9000 };
  /** @type {import("../api-types.js").RangeWarning[]} */
  const warnings = [
    { ...range, code: "not_covered", lacking_ms: 5000 },
    { ...range, code: "sleep_not_measured", lacking_ms: 2000 },
    { ...range, code: "sleep_not_measured", lacking_ms: 1500 },
    { ...range, code: "end_not_measured", lacking_ms: 4000 },
  ];
  assert.match(sleepNote(warnings), /^For 3\.5\d* s of this range it was not measured /);
  assert.match(endNote(warnings), /^For 4\.0* s of this range it was not measured when guests went on/);
  for (const note of [sleepNote, endNote]) assert.equal(note(warnings.slice(0, 1)), "");
});
