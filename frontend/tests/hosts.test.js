// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { acknowledgeLosses, newLossesOf } from "../public/js/model/acknowledged.js";
import { readFinding } from "../public/js/model/findings.js";
import { hostHealth, overallHealth, waitingFor } from "../public/js/model/health.js";
import { concerns, readEvents, recordingSentence } from "../public/js/model/host-events.js";
import * as say from "../public/js/model/host-words.js";
import { lossSentence, spoiltBy } from "../public/js/model/losses.js";
import { missingSentence } from "../public/js/panels/ledger.js";
import { shareSentence } from "../public/js/panels/tables/faults.js";

const NOW = Date.parse("2026-07-01T12:00:00Z");
const HOST = {
  ...{ name: "h", arch: "x86_64", flavour: "svm", state: "attached", detail: "", age_s: 1, lost: {} },
  ...{ probes: [], checks: [], last_batch: "2026-07-01T11:59:59Z", recording: null, cost: null },
};
/** @param {string} name @param {string} state @param {string} [found] @param {string} [remedy] */
const check = (name, state, found = "", remedy = "") => ({ name, state, found, remedy });

test("a silent collector is stale, whatever it said last", () => {
  assert.deepEqual(hostHealth({ ...HOST, age_s: 90 }), { tone: "bad", text: "stale: silent for 1 min" });
  assert.equal(hostHealth({ ...HOST, state: "waiting", detail: "no BTF" }).text, "collector waiting: no BTF");
});

test("the worst host speaks for all, and what was lost is said", () => {
  const hosts = [
    HOST,
    { ...HOST, age_s: 60, lost: { keys_full: 3 } },
    { ...HOST, lost: { exit_records: 4 } },
  ];
  const health = overallHealth({ hosts, expects_collector: true }, 7);
  assert.deepEqual(
    [health.tone, health.text, health.lost],
    ["bad", "1 of 3 hosts: stale: silent for 1 min", 7],
  );
});

test("hosts are counted with those that are as they are", () => {
  const of = (/** @type {object[]} */ ...more) =>
    overallHealth({ hosts: more.map((one) => ({ ...HOST, ...one })), expects_collector: true }, 0).text;
  const waits = (/** @type {string} */ why) => ({ state: "waiting", checks: [check("btf", "missing", why)] });
  assert.equal(of({ state: "replay" }, { state: "stopped" }), "collector stopped");
  assert.equal(of({ state: "replay" }, { state: "replay" }), "2 of 2 hosts: replay of a recording");
  assert.equal(of(waits("no BTF"), {}), "1 of 2 hosts: collector waiting: no BTF");
  assert.equal(of(waits("no BTF"), waits("no KVM"), {}), "2 of 3 hosts: collector waiting");
  assert.equal(of({ age_s: 60 }, { age_s: 600 }, {}), "2 of 3 hosts: stale: silent for up to 10 min");
});

test("the header says what a collector waits for, whichever release it is of", () => {
  const checks = [check("btf", "missing", "no BTF", "configure it")];
  assert.equal(hostHealth({ ...HOST, state: "waiting", checks }).text, "collector waiting: no BTF");
});

test("a recording says where it came from and what it does not show", () => {
  const detail = "imported from a.txt, which does not show threads: what a CPU's events say may be of another vCPU";
  const said = say.stateSentence({ ...HOST, state: "replay", detail }, NOW);
  assert.ok(said.includes(detail));
  assert.ok(!say.stateSentence({ ...HOST, state: "replay" }, NOW).includes("Of it"));
});

test("new losses are no good state", () => {
  assert.equal(overallHealth({ hosts: [HOST], expects_collector: true }, 0).tone, "good");
  assert.equal(overallHealth({ hosts: [HOST], expects_collector: true }, 1).tone, "warn");
});

test("losses that were acknowledged are no news, and those after them are", () => {
  const lost = (/** @type {number} */ count) => ({ ...HOST, name: "acknowledged", lost: { keys_full: count } });
  assert.equal(newLossesOf(lost(42)), 42);
  acknowledgeLosses([lost(42)]);
  assert.equal(newLossesOf(lost(42)), 0);
  assert.equal(newLossesOf(lost(45)), 3);
  assert.equal(newLossesOf(lost(5)), 5);
});

test("a host that was stopped in order is no alarm", () => {
  const hosts = [HOST, { ...HOST, state: "stopped", age_s: 9000 }];
  assert.equal(overallHealth({ hosts, expects_collector: true }, 0).text, "collector attached, nothing lost");
  const lossy = [{ ...HOST, lost: { keys_full: 1 } }];
  assert.equal(overallHealth({ hosts: lossy, expects_collector: true }, 0).text, "collector attached");
});

test("each state that a collector sends is said in a sentence", () => {
  const said = (/** @type {object} */ more) => say.stateSentence({ ...HOST, ...more }, NOW);
  const old = { last_batch: "2026-07-01T11:57:00Z", age_s: 180 };
  assert.match(said({}), /^Its probes are attached and being read; newest batch just now\.$/);
  assert.match(
    said({ state: "waiting" }),
    /^Nothing is counted now\. The collector tries again by itself\.$/,
  );
  assert.match(
    said({ state: "stopped", ...old }),
    /^Stopped in order .* \(3 min ago\)\. Nothing is counted since\.$/,
  );
  assert.match(said({ state: "replay", ...old }), /^A recording that was imported .* \(3 min ago\)/);
  assert.match(
    said(old),
    /^Silent since .* \(3 min ago\): .* nothing is counted since: the time is a gap\.$/,
  );
  assert.match(said({ ...old, checks: [check("pins", "ok")] }), /the kernel goes on counting/);
  assert.match(said({ state: "paused" }), /^The collector says “paused”/);
});

test("what a collector waits for stands apart from what to do about it", () => {
  const checks = [check("flavour", "missing", "KVM is loaded; no vendor's module is", "modprobe kvm_intel; wait")];
  assert.deepEqual(waitingFor({ ...HOST, state: "waiting", checks, detail: "as before" }), {
    reason: "KVM is loaded; no vendor's module is",
    remedy: "modprobe kvm_intel; wait",
  });
  const before = "flavour: KVM is loaded; modprobe kvm_intel";
  assert.deepEqual(waitingFor({ ...HOST, state: "waiting", detail: before }), { reason: before, remedy: "" });
  assert.equal(waitingFor(HOST), null);
});

test("whether counting outlives the collector is said, with the reason where it does not", () => {
  assert.match(say.pinsSentence({ ...HOST, checks: [check("pins", "ok")] }), /^outlives the collector/);
  const pins = check("pins", "lacking", "counting ends with the collector: no BPF file system", "mount it");
  assert.equal(
    say.pinsSentence({ ...HOST, checks: [pins] }),
    "counting ends with the collector: no BPF file system; mount it",
  );
  assert.equal(say.pinsSentence(HOST), "");
  const names = check("names", "lacking", "VMs have no names");
  assert.equal(say.lackingSentence({ ...HOST, checks: [pins, names] }), "Lacking: VMs have no names.");
  assert.equal(say.lackingSentence({ ...HOST, detail: "as before; twice" }), "Lacking: as before; twice.");
  const ends = check("ends", "lacking", "KVM's events cannot be received");
  assert.equal(
    say.lackingSentence({ ...HOST, checks: [check("pins", "ok"), ends] }),
    "Lacking: KVM's events cannot be received.",
  );
});

const RECORDED = {
  ...{ level: null, one_in: null, reason: null, per_second: null, used_percent: null, granted_percent: null },
  detail: "",
};
const BUDGET = { reason: "budget", used_percent: 2.4, granted_percent: 2 };

test("how faults are recorded is said, and why", () => {
  const said = (/** @type {object} */ more) => recordingSentence({ ...RECORDED, ...more });
  assert.equal(said({ level: "all" }), "every fault is recorded");
  assert.equal(
    said({ level: "none", ...BUDGET }),
    "no fault is recorded (2.40% of a core used, 2.00% granted)",
  );
  assert.equal(
    said({ level: "sample", per_second: 10 }),
    "a sample of the faults is recorded, at most 10 a second and VM",
  );
  assert.equal(said({ level: "sample", one_in: 16 }), "one fault of 16 is recorded");
  assert.equal(said({ level: "all", one_in: 1, detail: "records: every fault" }), "records: every fault");
});

/** @param {string} second @param {string} kind @param {object} [more] */
const event = (second, kind, more) => ({
  ...RECORDED,
  ...{ host: "h", kind, time: `2026-07-01T10:00:${second}Z`, vm: null, vm_name: null, since: null, until: null },
  ...{ clock_set_s: null, count: null, shift_s: null, moved: [], former_host: null, hook: null, ...more },
});

test("a step of the governor points the way that it went", () => {
  const events = readEvents([
    event("40", "records", { level: "sample", ...BUDGET }),
    event("20", "records", { level: "none", ...BUDGET }),
    event("00", "records", { level: "sample" }),
  ]);
  assert.deepEqual(
    events.map(({ glyph, tone }) => [glyph, tone]),
    [
      ["●", ""],
      ["▼", "warn"],
      ["▲", ""],
    ],
  );
});

test("a step whose beginning lies before the range points its way where that is known", () => {
  const glyphs = (/** @type {any[]} */ ...events) => readEvents(events).map(({ glyph }) => glyph);
  assert.deepEqual(glyphs(event("00", "records", { level: "none", ...BUDGET })), ["▼"]);
  assert.deepEqual(glyphs(event("00", "records", { level: "none" })), ["●"]);
  const asked = event("10", "vm_records", { vm: "a1", vm_name: "web", level: "all", reason: "asked_for" });
  assert.deepEqual(glyphs(asked), ["▲"]);
  assert.deepEqual(glyphs(asked, event("00", "records", { level: "all" })), ["●", "●"]);
});

test("an event is of its VM, whatever that is called, and a kind that is not known is said as it came", () => {
  const asked = event("00", "vm_records", { vm: "a1", vm_name: "a: none left", level: "all" });
  assert.deepEqual([concerns(asked, "a1"), concerns(asked, "a2")], [true, false]);
  assert.ok(concerns(event("00", "records"), "a2"));
  const [first, second] = readEvents([event("10", "new_kind", { detail: "of a later version" }), asked]);
  assert.equal(first?.text, "a: none left: every fault is recorded");
  assert.equal(second?.text, "new kind: of a later version");
});

test("what ended a counting, and which VM ended unseen, is said from the fields", () => {
  const text = (/** @type {string} */ kind, /** @type {object} */ more) => readEvents([event("00", kind, more)])[0]?.text;
  assert.equal(
    text("replaced", { reason: "renamed", former_host: "old" }),
    "a counting was replaced by another: what is counted from here on, and since the last batch before, has this " +
      "host’s name; it was “old”",
  );
  assert.equal(
    text("attached", { reason: "not_pinned", detail: "no BPF file system" }),
    "a new counting began: it ends with the collector: no BPF file system",
  );
  const between = { since: "2026-07-01T09:00:00Z", until: "2026-07-01T09:30:00Z" };
  assert.match(text("ended_unseen", { vm: "a1", vm_name: "web", ...between }) ?? "", /^web: .*: between .* and /);
  assert.match(text("ended_unseen", { count: 50 }) ?? "", /: 50 more VMs$/);
  assert.match(text("clock_stepped", { shift_s: 3600 }) ?? "", /set back by 3.600 s$/);
  assert.match(text("times_moved", { moved: ["vm_starts", "costs"] }) ?? "", /: vm starts, costs$/);
  const hook = "sched:sched_switch";
  assert.match(
    text("shed", { hook, used_percent: 2.5, granted_percent: 1 }) ?? "",
    /: sched:sched_switch \(2\.50% of a core used, 1\.00% granted\); what vCPUs wait for, and pressure, are not measured/,
  );
  assert.match(text("shed", { hook }) ?? "", /: sched:sched_switch; what/);
  assert.equal(text("restored", { hook }), "a tracepoint is read again: sched:sched_switch");
});

test("nothing is said of what an event of an earlier release does not have", () => {
  const text = (/** @type {string} */ kind, /** @type {object} */ more) => readEvents([event("00", kind, more)])[0]?.text;
  const before = "times set back by 30 s";
  assert.equal(text("clock_stepped", { detail: before }), `the correction of its clock changed: ${before}`);
  assert.equal(text("clock_stepped", { shift_s: 0 }), "the correction of its clock changed: it is right again");
  assert.equal(text("clock_stepped", {}), "the correction of its clock changed");
  assert.equal(text("server_clock_was_ahead", {}), "the server’s clock was ahead");
  assert.equal(text("ended_unseen", {}), "ended while no collector ran");
  assert.match(text("userfaultfd_closed", { vm: "a1", vm_name: "web" }) ?? "", /^web: a userfaultfd was closed while /);
  assert.doesNotMatch(text("replaced", { reason: "renamed" }) ?? "", /it was/);
  assert.equal(text("records", { level: "other" }), "how faults are recorded is not known here");
});

test("a loss that is not known is taken for a loss of counts", () => {
  assert.equal(spoiltBy("exit_records"), "records");
  assert.equal(spoiltBy("of_a_later_version"), "counts");
  assert.equal(lossSentence("of_a_later_version", 1234), "1\u202f234 of a later version");
});

test("where batches are adds up in one line", () => {
  const batches = { shipped: 7, stored: 4, dropped: 2, under_way: 1 };
  assert.equal(say.batchesSentence(batches), "7 sent = 4 stored + 2 dropped from the collector’s full spool + 1 not here yet");
});

test("costs that were not measured are left out", () => {
  const cost = {
    cpu_percent: 0.812,
    program_cpu_percent: null,
    program_ns_per_fault: null,
    resident_bytes: 2 ** 26,
  };
  assert.deepEqual(say.costFigures({ ...HOST, cost }), [
    ["Collector CPU", "0.81 % of a core"],
    ["Collector memory", "64.0 MiB"],
  ]);
  assert.deepEqual(say.costFigures(HOST), []);
});

test("what no tracepoint shows is said for each kind of host", () => {
  assert.match(say.blindSpots({ ...HOST, flavour: "vmx" }).join(" "), /EPT misconfigurations/);
  assert.doesNotMatch(say.blindSpots(HOST).join(" "), /EPT/);
  assert.match(say.blindSpots({ ...HOST, arch: "aarch64" }).join(" "), /level of a mapping/);
  assert.match(say.blindSpots({ ...HOST, flavour: "pvm" }).join(" "), /retried before it reaches the mapping/);
});

/** @param {number} total */
const sum = (total) => ({ total, values: [] });
/** @param {number} recorded @param {number} dropped @param {number} uncounted */
const ledger = (recorded, dropped, uncounted) => ({
  ...{ seen: sum(1000), counted: sum(1000 - uncounted), uncounted: sum(uncounted) },
  ...{ recorded: sum(recorded), sampled_out: sum(1000 - recorded - dropped), dropped: sum(dropped) },
});

test("the share of the faults that is recorded is said, and where the others are", () => {
  assert.equal(
    shareSentence(ledger(62, 0, 0)),
    "62 of 1\u202f000 faults that were seen in this range are recorded (6.2 %); 938 were left out by sampling. " +
      "All of them are in the counts.",
  );
  assert.equal(shareSentence(ledger(1000, 0, 0)), "All 1\u202f000 faults that were seen in this range are recorded.");
  assert.match(shareSentence(ledger(0, 0, 0)), /^None of the 1\u202f000 faults that were seen in this range is recorded\./);
  assert.doesNotMatch(shareSentence(ledger(0, 37, 5)), /in the counts/);
  assert.match(shareSentence(ledger(0, 37, 0)), /37 records were lost/);
});

test("what is missing is said, and that figures contradict one another", () => {
  assert.match(missingSentence({ missing: 0, balanced: true }), /^Nothing is missing/);
  assert.match(missingSentence({ missing: 6000, balanced: true }), /^6\u202f000 faults are missing/);
  assert.match(missingSentence({ missing: 0, balanced: false }), /^Figures in the database contradict/);
});

const FINDING = {
  ...{ code: "two_machines", hosts: ["a"], since: null, last: "2026-07-01T11:57:00Z", is_current: true },
  ...{ seconds: null, token: null, reason: null, times: null, detail: "" },
};

test("what is found wrong and goes on is said before what is well", () => {
  const said = (/** @type {object[]} */ findings) =>
    overallHealth({ hosts: [HOST], expects_collector: true, findings }, 0);
  assert.deepEqual([said([FINDING]).tone, said([FINDING]).text], ["bad", "a: two machines, one name"]);
  assert.equal(said([{ ...FINDING, is_current: false }]).tone, "good");
  assert.equal(said([{ ...FINDING, code: "never_delivered" }]).tone, "good");
  assert.equal(said([FINDING, { ...FINDING, hosts: ["b"] }]).text, "2 things are wrong with hosts");
});

test("a finding says whom it is about, what it means and when it was", () => {
  const over = readFinding({ ...FINDING, is_current: false }, NOW);
  assert.match(over.text, /^Two machines go by this name.* Last 3 min ago\.$/);
  const refused = { ...FINDING, code: "refused", hosts: [], times: 2, reason: "token_unknown", token: "ab12" };
  assert.equal(readFinding(refused, NOW).title, "a sender that is not known: batches refused");
  assert.match(readFinding(refused, NOW).text, /^2 batches refused: token unknown, token ab12\./);
  const failed = { ...FINDING, code: "job_failed", hosts: [], job: "sessions", detail: "the disk is full" };
  assert.equal(readFinding(failed, NOW).title, "the server: job sessions failed");
  assert.match(readFinding(failed, NOW).text, /is not done: the disk is full\./);
  const ahead = { ...FINDING, code: "server_clock_ahead", hosts: [], seconds: 7200, detail: "set it" };
  assert.equal(readFinding(ahead, NOW).title, "the server: clock ahead");
  assert.match(readFinding(ahead, NOW).text, /^It is ahead by 7200 s: set it\. Batches are taken/);
  assert.equal(readFinding({ ...FINDING, code: "of_a_later_server", detail: "x" }, NOW).text, "x");
});
