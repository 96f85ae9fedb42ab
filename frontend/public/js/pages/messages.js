// SPDX-License-Identifier: Apache-2.0
/** States in words, and what to do about them. */

import { plural } from "../base/format.js";
import { spanText, whenText } from "../base/time.js";
import { isRecording, lifeOf, newestData, timeOf } from "./newest.js";

/** @typedef {import("../panels/message.js").Message} Message */
/** @typedef {import("./context.js").Request} Request */
/** @typedef {import("../state.js").State} State */

/** @param {Request} request */
function between({ range, now }) {
  return `between ${whenText(range.from, now)} and ${whenText(Math.min(range.to, now), now)}`;
}

/** @param {Request} request @param {State} state @returns {NonNullable<Message["actions"]>} */
function wider({ view }, state) {
  const day = 86_400_000;
  const label = (/** @type {number} */ span) => `Show the last ${span === day ? "24h" : spanText(span)}`;
  const act = (/** @type {number} */ span) => () => state.set({ span, from: 0, to: 0 });
  return [3_600_000, day, 7 * day]
    .filter((span) => view.span === null || span > view.span)
    .slice(0, 2)
    .map((span) => ({ label: label(span), act: act(span) }));
}

/**
 * Nobody was reading in the whole range.
 * @param {Request} request
 * @param {State} state
 * @param {Elsewhere} elsewhere
 * @returns {Message}
 */
export function uncoveredMessage(request, state, { text, actions, isLive }) {
  return {
    title: `No collector was reading ${between(request)}.`,
    text: [
      "Nothing is known of this time; that is not the same as no faults.",
      text,
      isLive
        ? "Open the state in the header for what the collectors say, run “kvmfaults-collector doctor” on the host, " +
          "or look at another range."
        : "",
    ]
      .filter(Boolean)
      .join(" "),
    actions: [...actions, ...wider(request, state)],
  };
}

/**
 * Where there is something to see.
 * @typedef {object} Elsewhere
 * @property {string} text
 * @property {NonNullable<Message["actions"]>} actions
 * @property {boolean} isLive whether anything is traced, or is to be: then a collector may say why there is nothing
 */

/**
 * Where the server's newest data is.
 * @param {Request} request
 * @param {State} state
 * @param {import("../model/host-types.js").Status} status
 * @returns {Elsewhere}
 */
export function newestElsewhere({ now }, state, status) {
  const { host, endsAt, recordings } = newestData(status);
  const isLive = status.hosts.length === 0 || status.hosts.some((one) => !isRecording(one));
  const has = recordings > 0 ? `This server has ${plural(recordings, "recording")}. ` : "";
  if (!host || host.is_covering) return { text: has.trim(), actions: [], isLive };
  const what = isRecording(host) ? "a recording, and" : "a host whose data";
  const show = async () => state.set({ span: null, ...(await timeOf(host)) });
  return {
    text: `${has}The newest data is of ${host.name}, ${what} ends at ${whenText(endsAt, now)}.`,
    actions: [{ label: isRecording(host) ? "Show the newest recording" : "Show the newest data", act: () => void show() }],
    isLive,
  };
}

/**
 * Where a VM's data is.
 * @param {Request} request
 * @param {State} state
 * @param {import("../model/types.js").Vm} vm
 * @param {boolean} isLive
 * @returns {Elsewhere}
 */
export function lifeElsewhere({ range, now }, state, vm, isLive) {
  const [first, last] = [Date.parse(vm.first_seen), Date.parse(vm.last_seen)];
  if (last >= range.from && first < range.to) return { text: "", actions: [], isLive };
  return {
    text: `This VM was seen from ${whenText(first, now)} to ${whenText(last, now)}.`,
    actions: [{ label: "Show the VM’s time", act: () => state.set({ span: null, ...lifeOf(vm) }) }],
    isLive,
  };
}

/**
 * The whole range is yet to come.
 * @param {State} state
 * @returns {Message}
 */
export function aheadMessage(state) {
  return {
    title: "This range lies ahead of now.",
    text: "Nothing can be known of it yet. Look at the present, or at a range that has begun.",
    actions: [{ label: "Show the last 15m", act: () => state.set({ span: 900_000, from: 0, to: 0 }) }],
  };
}

/**
 * It was read, or a part of it, and there was nothing.
 * @param {string} title
 * @param {Request} request
 * @param {State} state
 * @param {boolean} isWhole whether all of it was read
 * @param {Elsewhere} elsewhere
 * @returns {Message}
 */
export function emptyMessage(title, request, state, isWhole, { text, actions }) {
  const read = isWhole
    ? `A collector was reading ${between(request)}, and there was nothing to count.`
    : `What was read ${between(request)} held nothing to count; the hatched time was not read.`;
  return {
    title,
    text:
      `${read} ${text ? `${text} ` : ""}Start a guest, or widen the range. ` +
      "Without a guest at hand, “script/server --demo” runs some that fault.",
    actions: [...actions, ...wider(request, state)],
  };
}

/**
 * There is no such VM.
 * @param {string} vm
 * @param {() => void} goBack
 * @returns {Message}
 */
export function missingMessage(vm, goBack) {
  return {
    title: "There is no such VM.",
    text: `The server knows no VM with the id ${vm}. It may have been on another server, or the address was cut short.`,
    actions: [{ label: "All VMs", act: goBack }],
  };
}

/**
 * What of an address cannot be used, and what is shown instead; "" where all of it can.
 * @param {import("../state.js").View} view
 */
export function problemText({ problems, span }) {
  if (problems.length === 0) return "";
  const shown = span === null ? "" : ` The last ${spanText(span)} are shown.`;
  return `This address cannot be used as it is: ${problems.join("; ")}.${shown}`;
}

/**
 * There is no such page.
 * @param {() => void} goBack
 * @returns {Message}
 */
export function lostMessage(goBack) {
  return {
    title: "There is no such page.",
    text: `Nothing is at ${location.pathname}. The address may have been cut short, or have something too much.`,
    actions: [{ label: "All VMs", act: goBack }],
  };
}

/**
 * What the newest value of a series is called: of a range that stands still it is not of now.
 * @param {string} what
 * @param {import("../state.js").View} view
 */
export function latestLabel(what, { span }) {
  return span === null ? `${what} at end` : `${what} now`;
}
