import assert from "node:assert/strict";
import { test } from "node:test";

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
    "/?range=6h&by=access&sort=name&filter=web&theme=dark",
    "/vms/00000000000000a1?from=2026-07-01T10:00:00.000Z&to=2026-07-01T11:00:00.000Z&by=flag&kind=bare_error&hide=read,write",
  ]) {
    assert.equal(formatView(parse(path)), path);
  }
});

test("a range that cannot be is as if it were not said", () => {
  assert.equal(parse("/?range=yesterday").span, 900_000);
  assert.equal(parse("/?from=2026-07-01T11:00:00Z&to=2026-07-01T10:00:00Z").span, 900_000);
});

test("another page keeps range, sort and theme, and nothing of the chart", () => {
  const view = viewOf(parse("/?range=1h&by=vm&hide=x&theme=dark&sort=name"), "00000000000000a1");
  assert.equal(formatView(view), "/vms/00000000000000a1?range=1h&sort=name&theme=dark");
});
