// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyList, nameOfExit, withNewest, withOlder } from "../public/js/base/paged-list.js";

/** @param {string} time @param {object} [more] */
const exit = (time, more = {}) => ({
  time,
  vm: "a",
  vcpu: 0,
  kind: "memory_fault",
  gpa: "0x1000",
  errno: 14,
  ...more,
});
const NONE = emptyList();
const newestOf = (/** @type {any} */ known, /** @type {any} */ page) => withNewest(known, page, nameOfExit);
const olderOf = (/** @type {any} */ known, /** @type {any} */ page) => withOlder(known, page, nameOfExit);

test("a newest page replaces a list that was not extended", () => {
  const first = newestOf(NONE, { items: [exit("2"), exit("1")], next_cursor: "c1" });
  const second = newestOf(first, { items: [exit("3"), exit("2")], next_cursor: "c2" });
  assert.deepEqual(
    second.items.map((item) => item.time),
    ["3", "2"],
  );
  assert.equal(second.next, "c2");
});

test("older pages stay under the newest one, and their cursor with them", () => {
  const first = newestOf(NONE, { items: [exit("5"), exit("4")], next_cursor: "c1" });
  const longer = olderOf(first, { items: [exit("3"), exit("2")], next_cursor: "c2" });
  const live = newestOf(longer, { items: [exit("6"), exit("5")], next_cursor: "c3" });
  assert.deepEqual(
    live.items.map((item) => item.time),
    ["6", "5", "4", "3", "2"],
  );
  assert.equal(live.next, "c2");
});

test("where there may be exits between the pages the list starts anew", () => {
  const longer = olderOf(newestOf(NONE, { items: [exit("2")], next_cursor: "c" }), {
    items: [exit("1")],
    next_cursor: "d",
  });
  const live = newestOf(longer, { items: [exit("9"), exit("8")], next_cursor: "e" });
  assert.deepEqual(
    live.items.map((item) => item.time),
    ["9", "8"],
  );
  assert.equal(live.next, "e");
});

test("two equal exits have keys of their own, which a newer one does not change", () => {
  const before = newestOf(NONE, { items: [exit("1"), exit("1")], next_cursor: null });
  const after = newestOf(before, { items: [exit("1"), exit("1"), exit("1")], next_cursor: null });
  assert.equal(new Set(after.items.map((item) => item.key)).size, 3);
  assert.deepEqual(
    after.items.slice(1).map((item) => item.key),
    before.items.map((item) => item.key),
  );
});
