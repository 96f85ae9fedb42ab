// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { causeText, evidenceTexts, whyText } from "../public/js/model/causes.js";
import { whenText } from "../public/js/pages/vm/causes-card.js";

test("a cause has a name, one of a later version as well", () => {
  assert.equal(causeText("prot_none"), "No access allowed (PROT_NONE)");
  assert.equal(causeText("read_only_memslot"), "Read only memslot");
});

test("what was found is said as it is, lists with all their parts", () => {
  const evidence = { memslot: 3, file: "mappings", not_seen: ["mappings", "of_later"] };
  assert.deepEqual(evidenceTexts(evidence), [
    ["memslot", "3"],
    ["file", "mappings"],
    ["not_seen", "the kernel does not show what processes have mapped; of_later"],
  ]);
});

test("one exit was at one time", () => {
  const at = "2026-01-31T12:00:00.000000001Z";
  assert.match(whenText({ count: 1, first_at: at, last_at: at }), /^1 exit; at 2026-01-31 [0-9:]+$/);
  const later = "2026-01-31T12:00:07.000000001Z";
  assert.match(whenText({ count: 9, first_at: at, last_at: later }), /^9 exits; first .*, last .*07$/);
});

test("of several causes of a VM each has its count", () => {
  const of = (/** @type {string} */ vm, /** @type {"not_mapped" | "prot_none"} */ cause, count = 1200) => ({ vm, cause, count });
  const causes = [of("a", "prot_none"), of("b", "not_mapped"), of("a", "not_mapped", 7)];
  assert.equal(whyText(causes, "a"), "No access allowed (PROT_NONE): 1\u202f200; Host address not mapped: 7");
  assert.equal(whyText(causes, "b"), "Host address not mapped");
  assert.equal(whyText(causes, "c"), "");
});
