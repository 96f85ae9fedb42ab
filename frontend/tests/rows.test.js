// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { rowsOf } from "../public/js/pages/overview/data.js";

test("only VMs of one name in one process are marked as twins", () => {
  const vm = { host: "h", pid: 7, name: "pair", uuid: "", vmm: "demo", trend: [] };
  const items = [
    { ...vm, id: "aaaa1" },
    { ...vm, id: "bbbb2" },
    { ...vm, id: "cccc3", pid: 8 },
    { ...vm, id: "dddd4", host: "i" },
    { ...vm, id: "eeee5", name: "other" },
  ];
  const rows = rowsOf({ vms: { items } }, (id) => `/vms/${id}`);
  assert.deepEqual(rows.map(({ isTwin }) => isTwin), [true, true, false, false, false]);
});
