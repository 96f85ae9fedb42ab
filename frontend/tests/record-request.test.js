// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { isOpen, requestSentences } from "../public/js/model/record-request.js";

/** @type {import("../public/js/model/types.js").RecordRequest} */
const ASKED = {
  id: "5f0c1d2e3a4b5968",
  vm: "00000000000000a1",
  host: "host-1",
  state: "asked",
  end: null,
  is_final: false,
  asked_at: "2026-11-28T14:00:00Z",
  asked_by: null,
  seconds: 60,
  ends_at: "2026-11-28T14:01:00Z",
  left_s: 41.2,
  withdrawn_at: null,
  heard_at: "2026-11-28T14:00:00Z",
  began_at: null,
  to: null,
  time: null,
  level: null,
  seen: null,
  recorded: null,
  dropped: null,
  left_out: null,
  late: null,
  missed: null,
  dropped_batches: null,
  used_percent: null,
  granted_percent: null,
  cost: null,
};

test("a request says where it is", () => {
  assert.match(requestSentences(ASKED), /^Asked host-1 .* 42 s are left\.$/);
  assert.match(requestSentences({ ...ASKED, state: "waiting" }), /^Nothing is heard of host-1/);
  assert.match(requestSentences({ ...ASKED, state: "not_found" }), /has seen no fault of this VM yet/);
  assert.match(requestSentences({ ...ASKED, state: "recording", level: "all" }), /^Every fault of this VM is being/);
  assert.match(
    requestSentences({ ...ASKED, state: "recording", level: "none", used_percent: 3.1, granted_percent: 2 }),
    /does not allow .* \(3\.10 % of a core used, 2\.00 % granted\)/,
  );
  /** @type {const} */
  const over = { ...ASKED, state: "over", end: "withdrawn" };
  assert.match(requestSentences(over), /over: it was stopped\. host-1 has not said yet/);
  assert.equal(requestSentences({ ...over, is_final: true }), "The last recording is over: it was stopped.");
  assert.deepEqual([isOpen(ASKED), isOpen(over)], [true, false]);
});

test("what came of a request is said, and what may be missing from it", () => {
  const some = { ...ASKED, seen: 10, recorded: 7, dropped: 1, missed: 3, dropped_batches: 1 };
  assert.match(
    requestSentences(some),
    /7 of 10 faults \(70\.0 %\) recorded\. 1 record found .* 3 events .* dropped 1 batch: some may be/,
  );
  assert.match(requestSentences({ ...some, recorded: 10, dropped: 0, missed: 0, dropped_batches: 0 }), /10 of 10 faults recorded\.$/);
  assert.match(requestSentences({ ...ASKED, seen: 0, recorded: 0 }), /No fault of it was seen/);
  const cost = { cpu_s: 0.6, usual_cpu_s: 0.1 };
  assert.match(requestSentences({ ...ASKED, cost }), /used 500 ms of CPU time more/);
});
