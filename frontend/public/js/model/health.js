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

/**
 * Everything that a host lost, of whatever kind.
 * @param {Host} host
 */
export function lostBy(host) {
  return Object.values(host.lost).reduce((sum, count) => sum + count, 0);
}

/**
 * One host in a few words.
 * @param {Host} host
 * @returns {{tone: Tone, text: string}}
 */
export function hostHealth(host) {
  if (host.state === "replay") return { tone: "idle", text: "replay of a recording" };
  if (host.state === "stopped") return { tone: "idle", text: "collector stopped" };
  if (host.age_s > STALE_S)
    return { tone: "bad", text: `stale: silent for ${durationText(host.age_s * 1000)}` };
  if (host.state === "waiting")
    return { tone: "warn", text: `collector waiting: ${host.detail || "no reason given"}` };
  if (host.state === "attached") return { tone: "good", text: "collector attached" };
  return { tone: "warn", text: host.state };
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
  // A host that was stopped in order is no news where others are at work.
  const states = hosts.map(hostHealth);
  const active = states.filter((state) => state.tone !== "idle");
  const counted = active.length > 0 ? active : states;
  const worst = counted.reduce((a, b) => (RANK[b.tone] > RANK[a.tone] ? b : a));
  if (counted.length === 1) return { ...worst, lost };
  const alike = counted.filter((state) => state.tone === worst.tone).length;
  if (worst.tone === "good") return { tone: "good", text: `${plural(alike, "collector")} attached`, lost };
  return {
    tone: worst.tone,
    text: `${countText(alike)} of ${plural(counted.length, "host")}: ${worst.text}`,
    lost,
  };
}
