// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { moved, rangeOf } from "../public/js/pages/moving.js";
import { formatView, parseView, viewOf } from "../public/js/state.js";

/** @param {string} path */
const parse = (path) => parseView(new URL(path, "http://localhost"));

test("without anything said the newest 15 minutes of all VMs are shown", () => {
  const view = parse("/");
  assert.equal(view.vm, null);
  assert.equal(view.span, 900_000);
  assert.equal(formatView(view), "/");
});

test("an address comes back as it was", () => {
  for (const path of [
    "/?range=6h&by=access&sort=name&filter=web",
    "/guests/f427c24233487b35?by=vm",
    "/?by=guest",
    "/vms/00000000000000a1?from=2026-07-01T10:00:00.000Z&to=2026-07-01T11:00:00.000Z&by=flag&kind=bare_error&hide=read,write",
  ]) {
    assert.equal(formatView(parse(path)), path);
  }
});

test("what of an address cannot be used is said, and the last 15 minutes are shown", () => {
  for (const [path, said] of [
    ["/?range=banana", /range “banana” is no length of time/],
    ["/?from=yesterday&to=now", /from “yesterday” is no time/],
    ["/?from=now-1h&to=2026-07-32T10:00:00Z", /to “2026-07-32T10:00:00Z” is no time/],
    ["/?from=2026-07-01T11:00:00Z&to=2026-07-01T10:00:00Z", /from is not before to/],
    ["/?sort=-colour", /sort “-colour” is not known/],
    ["/?by=banana", /by “banana” is not known/],
    ["/?kind=banana", /kind “banana” is not known/],
    ["/?state=banana", /state “banana” is not known/],
    ["/?rnage=1h", /“rnage” is not known/],
  ]) {
    const view = parse(String(path));
    assert.equal(view.span, 900_000, String(path));
    assert.match(view.problems.join(), /** @type {RegExp} */ (said));
  }
  assert.deepEqual(parse("/?range=6h&by=vm&theme=dark").problems, []);
});

test("every form of a time that the API takes is read", () => {
  assert.equal(parse("/?range=1w").span, 604_800_000);
  assert.equal(parse("/?from=now-1h&to=now").span, 3_600_000);
  assert.equal(parse("/?from=now-1h").span, 3_600_000);
  const [from, to] = [Date.UTC(2026, 6, 1, 10), Date.UTC(2026, 6, 1, 11)];
  for (const path of [
    `/?from=${from}&to=${to}`,
    "/?from=2026-07-01T10:00:00Z&to=2026-07-01T13:00:00+02:00",
    "/?from=2026-07-01T10:00:00Z&to=2026-07-01T13:00:00%2B02:00",
  ]) {
    const { span, ...view } = parse(path);
    assert.deepEqual([span, view.from, view.to], [null, from, to], path);
  }
  const before = parse("/?from=now-2h&to=now-1h");
  assert.deepEqual([before.span, before.to - before.from], [null, 3_600_000]);
});

test("a range as long as one likes is none that the server refuses", () => {
  assert.equal(parse("/?range=401d").span, 401 * 86_400_000);
  const { range } = rangeOf(parse("/?range=999999w"), Date.UTC(2026, 6, 1));
  assert.ok(range.from >= 0);
  for (const path of ["/?from=0&to=253402300800000", "/?from=1960-01-01T00:00:00Z&to=1961-01-01T00:00:00Z"]) {
    const view = parse(path);
    assert.equal(view.span, 900_000, path);
    assert.match(view.problems.join(), /to is (after|before) the year/);
  }
});

test("a range that is widened again and again stays within the years that there are", () => {
  let live = parse("/?range=999999w");
  live = { ...live, ...moved(live, Date.UTC(2026, 6, 1), 0, 2) };
  assert.ok(rangeOf(live, Date.UTC(2026, 6, 1)).range.from >= 0);
  const fixed = parse("/?from=9999-01-01T00:00:00Z&to=9999-12-31T00:00:00Z");
  assert.match(String(moved(fixed, 0, 3, 4).to), /^\d{15}$/);
  assert.ok(Number(moved(fixed, 0, 3, 4).to) <= 253_402_300_799_999);
});

test("a filter that the server would refuse is not asked for, and what is said of it is short", () => {
  const view = parse(`/?filter=${"x".repeat(300)}&sort=${"y".repeat(300)}`);
  assert.equal(view.filter, "");
  assert.equal(view.problems.length, 2);
  assert.ok(view.problems.every((text) => text.length < 100));
});

test("an address below a VM's is that of no page", () => {
  assert.equal(parse("/vms/00000000000000a1/extra").isLost, true);
  assert.equal(parse("/nope").isLost, true);
  assert.equal(parse("/vms/00000000000000a1").isLost, false);
});

test("another page keeps range and sort, and nothing of the chart", () => {
  const view = viewOf(parse("/?range=1h&by=vm&hide=x&theme=dark&sort=name"), "00000000000000a1");
  assert.equal(formatView(view), "/vms/00000000000000a1?range=1h&sort=name");
});
