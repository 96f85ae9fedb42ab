// SPDX-License-Identifier: Apache-2.0
/** What happened to a guest, in words and as marks on the time line. */

import { plural } from "../base/format.js";
import { clockText, durationText } from "../base/time.js";

/** @typedef {import("./types.js").GuestEvent} GuestEvent */
/** @typedef {import("./types.js").VmsAtOnce} VmsAtOnce */

const GLYPHS = { start: "▷", restart: "↻", host_change: "⇢", move: "→", end: "□" };

/** Migrations take no longer than this on one host, and on several. */
const LONG_MS = { one: 60_000, several: 3_600_000 };

/**
 * @param {GuestEvent} event
 */
export function guestEventText({ kind, host, from_host: from, end_seen: isSeen }) {
  const late = isSeen ? "" : " or later: its end was not seen";
  switch (kind) {
    case "start":
      return `started on ${host}`;
    case "restart":
      return `restarted on ${host}`;
    case "host_change":
      return `started on ${host}, after it had run on ${from}`;
    case "move":
      return `migrated from ${from} to ${host}${late}`;
    case "end":
      return `ended on ${host}${late}`;
  }
}

/**
 * @param {readonly GuestEvent[]} events
 * @returns {import("./marks.js").Mark[]} in order of time
 */
export function guestMarks(events) {
  return events.map((event) => {
    const time = Date.parse(event.time);
    const text = `${clockText(time)} the guest ${guestEventText(event)}`;
    return { time, to: time, glyph: GLYPHS[event.kind], tone: event.end_seen ? "" : "warn", text };
  });
}

/**
 * When several VMs of a guest ran at once, and what is to be thought of it; what goes on first.
 * @param {readonly VmsAtOnce[]} all
 * @param {number} now
 * @returns {{text: string, isWrong: boolean}[]}
 */
export function atOnceTexts(all, now) {
  return [...all].reverse().map(({ since, until, vms, hosts }) => {
    const from = Date.parse(since);
    const lasted = (until === null ? now : Date.parse(until)) - from;
    const isWrong = lasted > (hosts.length > 1 ? LONG_MS.several : LONG_MS.one);
    const when = until === null ? `since ${clockText(from)}` : `from ${clockText(from)} for ${durationText(lasted)}`;
    const what = `${plural(vms.length, "VM")} ${until === null ? "run" : "ran"} at once on ${hosts.join(" and ")}, ${when}`;
    const why = isWrong
      ? "That is longer than a migration takes: they have one UUID, or one name on a host, and may be different guests."
      : "That is so while a guest migrates.";
    return { text: `${what}. ${why}`, isWrong };
  });
}
