// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { adviceOf } from "../public/js/pages/messages.js";

const now = 10_000_000;
const request = { range: { from: now - 900_000, to: now }, now };
const HOST = { name: "hv-1", state: "attached", is_covering: false };
/** @param {...object} hosts */
const said = (...hosts) => adviceOf(request, hosts.map((more) => ({ ...HOST, ...more })));
const RECORDING = { name: "night.trace", state: "replay" };

test("where a recording is all there is, no collector is to be looked at", () => {
  assert.equal(said(RECORDING), "");
});

test("a collector that was stopped is to be started, not examined", () => {
  const stopped = { state: "stopped" };
  assert.equal(said(RECORDING, stopped), "The collector of hv-1 was stopped: started again, it goes on counting.");
  assert.equal(said(stopped, stopped), "The collectors were stopped: started again, they go on counting.");
});

test("a collector that is silent or waits is to be examined, and so is one that was never there", () => {
  assert.match(said(RECORDING, {}), /kvmfaults-collector doctor/);
  assert.match(said({ state: "waiting" }, { state: "stopped" }), /kvmfaults-collector doctor/);
  assert.match(said(), /kvmfaults-collector doctor/);
});

test("of a range that is over, a collector that reads now says nothing", () => {
  const before = { ...request, range: { from: 0, to: now - 3_600_000 } };
  assert.equal(adviceOf(before, [{ ...HOST, is_covering: true }]), "");
});
