// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { atOnceTexts, guestEventText, guestMarks } from "../public/js/model/guest-events.js";

const SINCE = "2026-07-01T10:00:00.000Z";

/** @param {Partial<import("../public/js/model/types.js").GuestEvent>} changes */
const event = (changes) => ({
  ...{ time: SINCE, kind: /** @type {const} */ ("start"), vm: "b", host: "h2", from_vm: "a", from_host: "h1", end_seen: true },
  ...changes,
});

test("what happened to a guest is said with the hosts that it happened on", () => {
  assert.equal(guestEventText(event({})), "started on h2");
  assert.equal(guestEventText(event({ kind: "restart" })), "restarted on h2");
  assert.equal(guestEventText(event({ kind: "host_change" })), "started on h2, after it had run on h1");
  assert.equal(guestEventText(event({ kind: "move" })), "migrated from h1 to h2");
  assert.equal(guestEventText(event({ kind: "end" })), "ended on h2");
  assert.match(guestEventText(event({ kind: "end", end_seen: false })), /or later: its end was not seen/);
});

test("each event is a mark at its time", () => {
  const [first, second] = guestMarks([event({}), event({ kind: "move", end_seen: false })]);
  assert.deepEqual([first?.time, first?.glyph, first?.tone], [Date.parse(SINCE), "▷", ""]);
  assert.deepEqual([second?.glyph, second?.tone], ["→", "warn"]);
  assert.match(second?.text ?? "", /the guest migrated from h1 to h2/);
});

test("two VMs at once are a migration, or not, as long as that takes", () => {
  /** @param {string[]} hosts @param {number} seconds */
  const text = (hosts, seconds) => {
    const until = new Date(Date.parse(SINCE) + seconds * 1000).toISOString();
    return atOnceTexts([{ since: SINCE, until, vms: ["a", "b"], hosts }], 0)[0];
  };
  assert.equal(text(["h1", "h2"], 90)?.isWrong, false);
  assert.match(text(["h1", "h2"], 90)?.text ?? "", /^2 VMs ran at once on h1 and h2, .*while a guest migrates/);
  assert.equal(text(["h1"], 90)?.isWrong, true);
  assert.equal(text(["h1", "h2"], 4000)?.isWrong, true);
  const now = Date.parse(SINCE) + 90_000;
  const [current] = atOnceTexts([{ since: SINCE, until: null, vms: ["a", "b"], hosts: ["h1"] }], now);
  assert.match(current?.text ?? "", /^2 VMs run at once on h1, since .*different guests/);
});
