// SPDX-License-Identifier: Apache-2.0
/** What the server found wrong with how hosts are traced, in words, and what to do. */

import { countText, forCount, significant, words } from "../base/format.js";
import { agoText } from "../base/time.js";

/** @typedef {import("./host-types.js").Finding} Finding */
/** @typedef {{title: string, text: string, isCurrent: boolean}} ReadFinding */

/** @type {Record<string, (finding: Finding) => [string, string]>} a short title, and what it means with a way out */
const KINDS = {
  counted_twice: () => [
    "counted twice",
    "Two collectors count on this machine under one name: each fault is there twice. Stop one of them.",
  ],
  two_names: () => [
    "one machine, two names",
    "One machine is counted under these names: its VMs are there twice. Stop one of its collectors.",
  ],
  two_machines: () => [
    "two machines, one name",
    "Two machines go by this name, so that the page shows now one of them, now the other. Give one of them another --host.",
  ],
  renamed: () => ["renamed", "A machine goes by another name than before; what it counted before is under the old one."],
  clock_ahead: ({ seconds }) => [
    "clock ahead",
    `The clock is ${significant(seconds ?? 0)} s ahead of the server’s: set it by NTP. Times are set back until then.`,
  ],
  clock_behind: ({ seconds }) => [
    "clock behind",
    `The clock is ${significant(seconds ?? 0)} s behind the server’s: set by NTP whichever of the two is wrong.`,
  ],
  server_clock_ahead: ({ seconds, detail }) => [
    "clock ahead",
    `It is ahead by ${significant(seconds ?? 0)} s: ${detail}. Batches are taken, and counts stay where hosts’ clocks put ` +
      "them: “the last 15 minutes” of this server are later than all of them.",
  ],
  server_clock: ({ detail }) => ["clock cannot be right", `No batch is taken: ${detail}. Collectors keep them until then.`],
  duplicate_guest: ({ guest }) => [
    "VMs that run at once go by one UUID or name",
    `VMs of guest ${guest} run at once for longer than a migration takes. Where they are different guests, give each ` +
      "its own UUID; until then figures by guest have the counts of all. Those of each VM are right.",
  ],
  job_failed: ({ job, detail }) => [`job ${job} failed`, `What the server does by itself is not done: ${detail}.`],
  refused: ({ times, reason, token, detail }) => [
    "batches refused",
    `${countText(times ?? 0)} ${forCount(times ?? 0, "batch", "batches")} refused: ${words(reason ?? "")}` +
      `${token ? `, token ${token}` : ""}${detail ? ` (${detail})` : ""}. What they hold is missing here.`,
  ],
  never_delivered: () => ["never heard of", "There is a token for this host, and no batch of it ever came."],
};

const OF_THE_SERVER = ["server_clock", "server_clock_ahead", "job_failed"];

/**
 * @param {Finding} finding
 * @param {number} now
 * @returns {ReadFinding}
 */
export function readFinding(finding, now) {
  const { code, hosts, last, is_current: isCurrent } = finding;
  const [title, text] = KINDS[code]?.(finding) ?? [words(code), finding.detail];
  const nobody = OF_THE_SERVER.includes(code) ? "the server" : "a sender that is not known";
  const who = hosts.length > 0 ? hosts.join(", ") : nobody;
  const when = isCurrent || last === null ? "" : ` Last ${agoText(Date.parse(last), now)}.`;
  return { title: `${who}: ${title}`, text: text + when, isCurrent };
}

/**
 * What goes on now, in a few words; "" where nothing does. Who was never heard of is no alarm.
 * @param {readonly Finding[]} findings
 */
export function findingsText(findings) {
  const current = findings.filter(({ is_current: goesOn, code }) => goesOn && code !== "never_delivered");
  const [first] = current;
  if (!first) return "";
  if (current.length > 1) return `${countText(current.length)} things are wrong with hosts`;
  return readFinding(first, 0).title;
}
