// SPDX-License-Identifier: Apache-2.0
/** What the hosts' states come to: one word for the header, and whether it is good. */

import { countText, plural } from "../base/format.js";
import { findingsText } from "./findings.js";
import { durationText } from "../base/time.js";

/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").Status} Status */
/** @typedef {"good" | "warn" | "bad" | "idle"} Tone */
/** @typedef {{tone: Tone, text: string, lost: number}} Health */

/** A collector sends each second; after so long without a batch something is wrong. */
export const STALE_S = 15;
const STOPPED = "collector stopped";
const STALE = "stale";

/**
 * Everything that a host lost, of whatever kind.
 * @param {Host} host
 */
export function lostBy(host) {
  return Object.values(host.lost).reduce((sum, count) => sum + count, 0);
}

/**
 * Why a host waits and what to do, apart.
 * @param {Host} host
 * @returns {{reason: string, remedy: string} | null} null where it does not wait
 */
export function waitingFor({ state, checks, detail }) {
  if (state !== "waiting") return null;
  const missing = checks.find((check) => check.state === "missing");
  // A collector of an earlier release said both in a line.
  return { reason: missing?.found || detail || "no reason was given", remedy: missing?.remedy ?? "" };
}

/**
 * One host in a few words: what it is, and more of it.
 * @param {Host} host
 * @returns {{tone: Tone, kind: string, more: string}} kind: the same for all hosts that are alike
 */
function stateOf(host) {
  if (host.state === "replay") return { tone: "idle", kind: "replay of a recording", more: "" };
  if (host.state === "stopped") return { tone: "idle", kind: STOPPED, more: "" };
  if (host.age_s > STALE_S) return { tone: "bad", kind: STALE, more: `silent for ${durationText(host.age_s * 1000)}` };
  const waiting = waitingFor(host);
  if (waiting) return { tone: "warn", kind: "collector waiting", more: waiting.reason };
  if (host.state === "attached") return { tone: "good", kind: "collector attached", more: "" };
  return { tone: "warn", kind: host.state, more: "" };
}

/** @param {string} kind @param {string} more */
const withMore = (kind, more) => (more ? `${kind}: ${more}` : kind);

/**
 * One host in a few words.
 * @param {Host} host
 * @returns {{tone: Tone, text: string}}
 */
export function hostHealth(host) {
  const { tone, kind, more } = stateOf(host);
  return { tone, text: withMore(kind, more) };
}

const RANK = { bad: 3, warn: 2, idle: 1, good: 0 };

/**
 * All hosts in a few words: the worst says it. New losses are no good state.
 * @param {Status} status
 * @param {number} lost what was lost and not acknowledged yet
 * @returns {Health}
 */
export function overallHealth(status, lost) {
  const found = findingsText(status.findings ?? []);
  const worst = worstOf(status, lost);
  const health = found && worst.tone !== "bad" ? { tone: /** @type {Tone} */ ("bad"), text: found, lost } : worst;
  return lost > 0 && RANK[health.tone] < RANK.warn ? { ...health, tone: "warn" } : health;
}

/** @param {Status} status @param {number} lost @returns {Health} */
function worstOf(status, lost) {
  const { hosts } = status;
  if (hosts.length === 0) {
    return { tone: status.expects_collector ? "warn" : "idle", text: "no collector yet", lost };
  }
  // A host that was stopped in order is no news where others are at work, nor is a recording beside a host.
  const states = hosts.map(stateOf);
  const active = states.filter((state) => state.tone !== "idle");
  const stopped = states.filter((state) => state.kind === STOPPED);
  const counted = active.length > 0 ? active : stopped.length > 0 ? stopped : states;
  const worst = counted.reduce((a, b) => (RANK[b.tone] > RANK[a.tone] ? b : a));
  const { tone, kind } = worst;
  const calm = tone === "good" && hosts.every((host) => lostBy(host) === 0) ? ", nothing lost" : "";
  if (counted.length === 1) return { tone, text: withMore(kind, worst.more) + calm, lost };
  const alike = counted.filter((state) => state.kind === kind);
  if (tone === "good") return { tone, text: `${plural(alike.length, "collector")} attached${calm}`, lost };
  const more = moreOf(alike, hosts);
  return { tone, text: `${countText(alike.length)} of ${plural(counted.length, "host")}: ${withMore(kind, more)}`, lost };
}

/**
 * What is true of all hosts that are alike.
 * @param {ReturnType<typeof stateOf>[]} alike
 * @param {Host[]} hosts all of them
 */
function moreOf(alike, hosts) {
  const [first] = alike;
  if (!first || alike.every(({ more }) => more === first.more)) return first?.more ?? "";
  return first.kind === STALE ? `silent for up to ${durationText(Math.max(...hosts.map(silenceOf)))}` : "";
}

/** @param {Host} host @returns {number} ms, 0 of one that is not silent */
const silenceOf = (host) => (stateOf(host).kind === STALE ? host.age_s * 1000 : 0);
