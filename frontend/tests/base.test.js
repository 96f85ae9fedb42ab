// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { contrast, looksOf, stickyPlaces } from "../public/js/base/color.js";
import { recordCommand, recordNote, recordPlace } from "../public/js/model/record-command.js";
import { selectedRange, stepAt, timeScale } from "../public/js/base/scale.js";
import { parseSort } from "../public/js/base/sort.js";
import { newest, sumOf } from "../public/js/base/values.js";
import { vmTitle } from "../public/js/model/vm.js";

const tokens = readFileSync(new URL("../public/css/tokens.css", import.meta.url), "utf8");

/** @param {string} name @returns {[string, string]} light and dark */
function token(name) {
  const match = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(tokens);
  assert.ok(match, name);
  return [match[1], match[2]];
}

test("text has a contrast of 4.5 to 1 on everything it stands on, in both themes", () => {
  const pairs = [
    ["text", "surface"],
    ["text", "background"],
    ["text", "hover"],
    ["text", "accent-soft"],
    ["text-muted", "surface"],
    ["text-muted", "background"],
    ["text-muted", "surface-sunken"],
    ["text-muted", "hover"],
    ["accent", "surface"],
    ["accent", "background"],
    ["on-accent", "accent"],
    ["brand", "surface"],
    ["brand", "hover"],
    ["good", "good-soft"],
    ["warn", "warn-soft"],
    ["bad", "bad-soft"],
    ["warn", "surface"],
    ["bad", "surface"],
    ["bad", "good-soft"],
    ["good", "surface-raised"],
    ["bad", "surface-raised"],
    ["text-muted", "surface-raised"],
  ];
  for (const [text, ground] of pairs) {
    for (const theme of [0, 1]) {
      const found = contrast(token(text)[theme], token(ground)[theme]);
      assert.ok(found >= 4.5, `${text} on ${ground}, ${theme ? "dark" : "light"}: ${found.toFixed(2)}`);
    }
  }
});

test("every series has a contrast of 3 to 1 on the surface, in both themes", () => {
  for (const name of ["1", "2", "3", "4", "5", "6", "7", "8", "rest"]) {
    for (const theme of [0, 1]) {
      assert.ok(contrast(token(`series-${name}`)[theme], token("surface")[theme]) >= 3, name);
    }
  }
});

test("a key that stays listed keeps its place when others come and go", () => {
  const places = stickyPlaces();
  assert.deepEqual(
    [...places(["a", "b", "c"])],
    [
      ["a", 0],
      ["b", 1],
      ["c", 2],
    ],
  );
  assert.deepEqual(
    [...places(["c", "a"])],
    [
      ["a", 0],
      ["c", 2],
    ],
  );
  assert.equal(places(["d", "c", "a"]).get("d"), 1);
});

test("no two series of a chart look alike", () => {
  const keys = ["write", "read", "execute", ...Array.from({ length: 17 }, (_, at) => `flag-${at}`)];
  const looks = looksOf(new Map(keys.map((key, at) => [key, at])));
  assert.equal(new Set([...looks.values()].map((look) => `${look.colour} ${look.dash}`)).size, keys.length);
});

test("write looks the same in every chart", () => {
  assert.deepEqual(
    looksOf(new Map([["write", 5]])).get("write"),
    looksOf(
      new Map([
        ["x", 0],
        ["write", 1],
      ]),
    ).get("write"),
  );
});

test("a sort is a column, with a minus where it descends", () => {
  assert.deepEqual(parseSort("-faults"), { column: "faults", descending: true });
  assert.deepEqual(parseSort("name"), { column: "name", descending: false });
});

test("place and time are each other's inverse inside the plot", () => {
  const scale = timeScale({ from: 1000, to: 2000 }, 1062, { l: 52, r: 10 });
  assert.equal(scale.xOf(1500), 552);
  assert.equal(scale.timeAt(552), 1500);
  assert.equal(scale.timeAt(-5), 1000);
  assert.equal(stepAt([0, 10, 20], 10, 19), 1);
  assert.equal(stepAt([0, 10, 20], 10, 30), -1);
});

test("a selection is whole seconds, two at least", () => {
  assert.deepEqual(selectedRange(5700, 3200), { from: 3000, to: 6000 });
  assert.deepEqual(selectedRange(5100, 5200), { from: 5000, to: 7000 });
});

test("null is nothing known, and no zero", () => {
  assert.equal(sumOf([null, null]), null);
  assert.equal(sumOf([null, 2, 3]), 5);
  assert.equal(newest([1, 2, null]), 2);
  assert.equal(newest([null]), null);
});

test("a VM without a name is called by its UUID, else by its process", () => {
  assert.equal(vmTitle({ name: "web", uuid: "u", vmm: "qemu", pid: 1 }), "web");
  assert.equal(vmTitle({ name: "", uuid: "u", vmm: "qemu", pid: 1 }), "u");
  assert.equal(vmTitle({ name: "", uuid: "", vmm: "crosvm", pid: 7 }), "crosvm 7");
});

const COLLECTOR = {
  program: "/opt/k/kvmfaults-collector",
  data_dir: "/var/lib/kvmfaults",
  in_container: false,
  capabilities: ["PERFMON", "BPF"],
};

/** @param {string} name @param {string} [vmm] */
function commandOf(name, vmm = "qemu") {
  return recordCommand({ name, vmm, reported_id: "a1" }, COLLECTOR);
}

test("the command that records a VM works where it is pasted", () => {
  assert.equal(
    commandOf("web-1"),
    "/opt/k/kvmfaults-collector record web-1 --for 60 --data-dir /var/lib/kvmfaults",
  );
  const spaced = { ...COLLECTOR, program: "/opt/my k/kvmfaults-collector", data_dir: "/srv/it's" };
  assert.equal(
    recordCommand({ name: "web", vmm: "qemu", reported_id: "a1" }, spaced),
    "'/opt/my k/kvmfaults-collector' record web --for 60 --data-dir '/srv/it'\\''s'",
  );
});

test("a VM's name is one word in the command that records it, whatever is in it", () => {
  assert.match(commandOf("it's $x `id`"), / record 'it'\\''s \$x `id`' --for 60/);
  assert.match(commandOf("größe 東京"), / record 'größe 東京' --for 60/);
});

test("a VM without a name of its own that reads as it is goes by its id on its host", () => {
  for (const name of ["", "-x", "--for", "a\u001b[201~b", "a\nb", "we\u200bb", "a\u202eb", "a\u2028b", "a\ufffdb"]) {
    assert.match(commandOf(name), / record a1 --for 60/, JSON.stringify(name));
  }
  assert.match(commandOf("python", "python"), / record a1 --for 60/);
});

test("what is not known of a collector is said beside the command", () => {
  const vm = { name: "web", vmm: "qemu", reported_id: "a1" };
  assert.equal(recordCommand(vm, null), "kvmfaults-collector record web --for 60");
  assert.match(recordNote(null), /add the program's path, and its --data-dir/);
  assert.match(recordNote({ ...COLLECTOR, program: "" }), /add it/);
  assert.equal(recordNote(COLLECTOR), "");
  assert.match(recordPlace({ ...COLLECTOR, in_container: true }), /in the container/);
  assert.match(recordPlace(COLLECTOR), /on its host/);
});
