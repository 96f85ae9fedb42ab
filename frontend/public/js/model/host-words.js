// SPDX-License-Identifier: Apache-2.0
/** What a host's collector says of itself, in sentences: its state, its pins, its records, its costs, its blind spots. */

import { recordingSentence } from "./host-events.js";
import { countText, significant } from "../base/format.js";
import { STALE_S } from "./health.js";
import { agoText, whenText } from "../base/time.js";

/** @typedef {import("./host-types.js").Host} Host */

const PINS = "pins";

/** @param {Host} host @param {string} name */
function checkOf({ checks }, name) {
  return checks.find((check) => check.name === name);
}

// Whether counting goes on without the collector.
/** @param {Host} host */
function isPinned(host) {
  return checkOf(host, PINS)?.state === "ok";
}

/**
 * What a host's state means, in a sentence or two.
 * @param {Host} host
 * @param {number} now
 */
export function stateSentence(host, now) {
  const last = Date.parse(host.last_batch);
  const when = `${whenText(last, now)} (${agoText(last, now)})`;
  if (host.state === "replay")
    return `A recording that was imported ${when}. Nothing is being read.${host.detail ? ` Of it: ${host.detail}.` : ""}`;
  if (host.state === "stopped") return `Stopped in order ${when}. Nothing is counted since.`;
  if (host.age_s > STALE_S) {
    const counting = isPinned(host)
      ? "If only the collector ended, the kernel goes on counting, and the next one brings what was counted."
      : "If the collector ended, nothing is counted since: the time is a gap.";
    return `Silent since ${when}: the collector, the host or the network is down. ${counting}`;
  }
  if (host.state === "waiting") return "Nothing is counted now. The collector tries again by itself.";
  if (host.state === "attached")
    return `Its probes are attached and being read; newest batch ${agoText(last, now)}.`;
  return `The collector says “${host.state}”; newest batch ${agoText(last, now)}.`;
}

/**
 * What an attached host lacks, "" where it lacks nothing. What it says of its pins is said by their own sentence.
 * @param {Host} host
 */
export function lackingSentence({ state, checks, detail }) {
  if (state !== "attached") return "";
  // A collector of an earlier release makes no such check: it says in a line what it lacks, and the server adds
  // what else it found lacking.
  if (detail && !checks.some((check) => check.name === "names")) return `Lacking: ${detail}.`;
  const lacking = checks.filter(({ name, state: found }) => found === "lacking" && name !== PINS);
  const texts = lacking.map(({ found, remedy }) => [found, remedy].filter(Boolean).join("; "));
  return texts.length > 0 ? `Lacking: ${texts.join("; ")}.` : "";
}

/**
 * Whether counting outlives the collector, "" where the host does not say.
 * @param {Host} host
 */
export function pinsSentence(host) {
  const pins = checkOf(host, PINS);
  if (!pins) return "";
  return pins.state === "ok"
    ? "outlives the collector: one that is killed or started anew loses nothing"
    : [pins.found || "counting ends with the collector", pins.remedy].filter(Boolean).join("; ");
}

/**
 * How guest faults are recorded one by one, and why, "" where the host does not say.
 * @param {Host} host
 * @param {number} now
 */
export function recordsSentence({ recording, state }, now) {
  if (!recording || state !== "attached") return "";
  return `${recordingSentence(recording)}; since ${whenText(Date.parse(recording.since), now)}`;
}

/**
 * What tracing cost in the last minute: what, how much. What was not measured is left out.
 * @param {Host} host
 * @returns {[string, string][]}
 */
export function costFigures({ cost }) {
  if (!cost) return [];
  /** @type {[string, string][]} */
  const figures = [
    ["Collector CPU", `${significant(cost.cpu_percent)} % of a core`],
    ["Collector memory", `${significant(cost.resident_bytes / 2 ** 20)} MiB`],
  ];
  if (cost.program_ns_per_fault !== null)
    figures.push(["BPF programs", `${significant(cost.program_ns_per_fault)} ns for each fault`]);
  if (cost.program_cpu_percent !== null)
    figures.push([
      "BPF programs’ CPU",
      `${significant(cost.program_cpu_percent)} % of a core, in the vCPUs’ time`,
    ]);
  return figures;
}

/**
 * Where a host's batches are.
 * @param {import("./host-types.js").HostBatches} batches
 */
export function batchesSentence({ shipped, stored, dropped, under_way: underWay }) {
  const parts = [
    `${countText(shipped)} sent`,
    `${countText(stored)} stored`,
    `${countText(dropped)} dropped from the collector’s full spool`,
    `${countText(underWay)} not here yet`,
  ];
  return `${parts[0]} = ${parts.slice(1).join(" + ")}`;
}

/**
 * What this host's kernel does not show of its guests' faults.
 * @param {Host} host
 * @returns {string[]}
 */
export function blindSpots({ arch, flavour }) {
  const spots = [
    "Prefaults (KVM_PRE_FAULT_MEMORY) are no guest faults; they are shown as an outcome of their own.",
  ];
  if (arch !== "x86_64") {
    if (["aarch64", "riscv64"].includes(arch))
      spots.push("The level of a mapping: this architecture’s kernels do not show it.");
    return spots;
  }
  if (flavour.startsWith("vmx") || flavour === "")
    spots.unshift(
      "EPT misconfigurations, the fast path for MMIO: no fault tracepoint fires for them, so they are not counted.",
    );
  if (flavour === "pvm")
    spots.push("A fault that is retried before it reaches the mapping.");
  return spots;
}
