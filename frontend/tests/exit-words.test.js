// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { errnoText, exitsOf, kindText, reasonText } from "../public/js/model/exit-words.js";

test("a reason that a recording does not show has no number", () => {
  assert.equal(reasonText({ reason: 4294967295, reason_name: "not shown", errno: 14 }).text, "not shown");
});

test("a failed KVM_RUN without a reason has none set, and a run that succeeded has the reason unknown", () => {
  const unknown = { reason: 0, reason_name: "KVM_EXIT_UNKNOWN" };
  assert.equal(reasonText({ ...unknown, errno: 14 }).text, "not set");
  assert.equal(reasonText({ ...unknown, errno: 0 }).text, "KVM_EXIT_UNKNOWN (reason 0)");
});

test("reasons and errors say what their numbers are, so that these look like no counts", () => {
  assert.equal(reasonText({ reason: 2, reason_name: "KVM_EXIT_IO", errno: 0 }).text, "KVM_EXIT_IO (reason 2)");
  assert.equal(errnoText({ errno: 14, errno_name: "EFAULT" }), "EFAULT (errno 14)");
  assert.equal(errnoText({ errno: 0, errno_name: "none" }), "none");
});

test("an error that a recording does not show is not said to be none", () => {
  const left = { reason: 0, reason_name: "KVM_EXIT_UNKNOWN", errno: 4294967295, errno_name: "not shown" };
  assert.equal(errnoText(left), "not shown");
  assert.equal(reasonText(left).text, "not set");
});

test("every kind of exit counts", () => {
  assert.equal(exitsOf({ memory_fault_exits: 1, bare_error_exits: 10, unclassified_error_exits: 100 }), 111);
  assert.equal(kindText("unclassified_error"), "unclassified error");
  assert.equal(kindText("of_a_later_server"), "of a later server");
});
