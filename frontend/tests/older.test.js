// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyList, withNewest } from "../public/js/base/paged-list.js";
import { bringOlder } from "../public/js/pages/older.js";

const nameOf = (/** @type {{at: number}} */ { at }) => String(at);
/** @param {number} newest @param {number} oldest */
const page = (newest, oldest) => ({
  items: Array.from({ length: newest - oldest + 1 }, (_, index) => ({ at: newest - index })),
  next_cursor: oldest > 1 ? String(oldest) : null,
});
/** @param {string} cursor */
const before = (cursor) => page(Number(cursor) - 1, Math.max(1, Number(cursor) - 5));
/** @param {{items: {at: number}[]} | null} list */
const places = (list) => list?.items.map(({ at }) => at);

test("an older page goes under the newest", async () => {
  const list = withNewest(emptyList(), page(20, 16), nameOf);
  const found = await bringOlder({ onShow: () => ({ list, question: "a" }), ask: async (at) => before(at), nameOf });
  assert.deepEqual(places(found), [20, 19, 18, 17, 16, 15, 14, 13, 12, 11]);
});

test("records that came meanwhile stay on top, and none between is left out", async () => {
  let list = withNewest(emptyList(), page(20, 16), nameOf);
  const found = await bringOlder({
    onShow: () => ({ list, question: "a" }),
    async ask(at) {
      list = withNewest(list, page(22, 18), nameOf);
      return before(at);
    },
    nameOf,
  });
  assert.deepEqual(places(found), [22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11]);
});

test("a page of an older question goes under no other answer", async () => {
  let shown = { list: withNewest(emptyList(), page(20, 16), nameOf), question: "a" };
  const found = await bringOlder({
    onShow: () => shown,
    async ask(at) {
      shown = { list: withNewest(emptyList(), page(9, 5), nameOf), question: "b" };
      return before(at);
    },
    nameOf,
  });
  assert.equal(found, null);
});

test("where newer records come too fast, it is said", async () => {
  let newest = 20;
  let list = withNewest(emptyList(), page(20, 16), nameOf);
  const asking = bringOlder({
    onShow: () => ({ list, question: "a" }),
    async ask(at) {
      newest += 50;
      list = withNewest(list, page(newest, newest - 4), nameOf);
      return before(at);
    },
    nameOf,
  });
  await assert.rejects(asking, /newer records come faster/);
});
