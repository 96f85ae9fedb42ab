// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { adviceText, handlerText, outstandingSentence } from "../public/js/model/outstanding.js";
import { countText } from "../public/js/base/format.js";
import { stalledFigure } from "../public/js/pages/overview/data.js";
import { OUTSTANDING_CARD, agedBy, outstandingRows } from "../public/js/pages/vm/outstanding-card.js";

/** @typedef {import("../public/js/model/types.js").Outstanding} Outstanding */

/** @type {Outstanding} */
const FAULT = {
  ...{ vm: "a", name: "web", host: "kvm-a1", vcpu: 3, gpa: "0x1000", gva: "0x7f00", age_s: 3.2, detail: "" },
  ...{ waits_for: "userfaultfd", handler: "dead", handler_pid: null, seen_at: "2026-01-31T12:00:00Z", is_stale: false },
};
/** @type {Outstanding} */
const CLOSED = { ...FAULT, vcpu: 1, handler: "closed", age_s: 30 };
/** @type {Outstanding} */
const SWAP = { ...FAULT, vcpu: 0, waits_for: "swap", handler: null, age_s: 70, gpa: null };

test("a handler is said in a word, with its process, and only of userfaultfds", () => {
  assert.equal(handlerText(FAULT).text, "dead");
  assert.equal(handlerText({ ...FAULT, handler: "alive", handler_pid: 42 }).text, "alive, pid 42");
  assert.equal(handlerText({ ...FAULT, handler: null }).text, "not known");
  assert.equal(handlerText(SWAP).text, "");
});

test("what is to be done is said once of each state, the worst first", () => {
  assert.equal(adviceText([SWAP]), "");
  assert.match(adviceText([FAULT, { ...FAULT, vcpu: 4 }, CLOSED]), /^A userfaultfd was closed .* The userfaultfd handler has ended/);
});

test("the sentence counts vCPUs that stand still", () => {
  assert.equal(outstandingSentence([FAULT]), "1 vCPU stands still, for 3 s.");
  assert.equal(outstandingSentence([FAULT, SWAP, CLOSED]), "2 vCPUs stand still, for 1 min the longest.");
  assert.equal(outstandingSentence([CLOSED]), "No vCPU stands still.");
  assert.match(outstandingSentence([{ ...FAULT, is_stale: true }]), /may have ended\.$/);
});

test("where the host does not show any now, none is not taken for none", () => {
  /** @type {import("../api-types.js").RangeWarning} */
  const warning = { code: "sleep_not_measured", host: "kvm-a1", from_ms: 1795381190000, to_ms: 1795381200000, lacking_ms: 10000 };
  assert.match(outstandingSentence([], [warning]), /^Whether a vCPU stands still is not known since /);
  assert.equal(OUTSTANDING_CARD.isEmpty(/** @type {any} */ ({ items: [], warnings: [warning] })), false);
  assert.equal(OUTSTANDING_CARD.isEmpty(/** @type {any} */ ({ items: [], warnings: [] })), true);
  const none = { outstanding: 0, vms: 0, oldest_s: null };
  const [known, unknown] = [0, 2].map((hosts) => stalledFigure({ ...none, hosts_not_shown: hosts }));
  assert.deepEqual([known?.value, known?.note], ["0", ""]);
  assert.deepEqual([unknown?.value, unknown?.note], [countText(null), "not known of 2 hosts"]);
  const some = stalledFigure({ outstanding: 3, vms: 1, oldest_s: 2, hosts_not_shown: 1 });
  assert.deepEqual([some.value, some.note], ["3", "1 VM, for up to 2 s, not known of 1 host"]);
});

test("ages go on, but for a host that is not heard of", () => {
  const aged = agedBy([FAULT, { ...SWAP, is_stale: true }], 2000);
  assert.deepEqual(aged.map(({ age_s: age }) => Math.round(age)), [5, 70]);
});

test("a row says where, for how long and what for", () => {
  const rows = outstandingRows([FAULT, CLOSED, SWAP]);
  assert.deepEqual(rows.map(({ cells }) => cells[2]?.text), ["3 s", "30 s ago", "1 min"]);
  assert.deepEqual(rows.map(({ cells }) => cells[1]?.text), ["0x1000", "0x1000", "0x7f00 (guest-virtual)"]);
  assert.deepEqual(rows[2]?.cells.slice(3).map(({ text }) => text), ["swap", ""]);
});
