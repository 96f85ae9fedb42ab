/** States in words, and what to do about them. */

import { spanText, whenText } from "../base/time.js";

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
 * @returns {Message}
 */
export function uncoveredMessage(request, state) {
  return {
    title: `No collector was reading ${between(request)}.`,
    text:
      "Nothing is known of this time; that is not the same as no faults. Open the state in the header for what the " +
      "collectors say, run “kvmfaults-collector doctor” on the host, or look at another range.",
    actions: wider(request, state),
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
 * It was read, and there was nothing.
 * @param {string} title
 * @param {Request} request
 * @param {State} state
 * @returns {Message}
 */
export function emptyMessage(title, request, state) {
  return {
    title,
    text:
      `A collector was reading ${between(request)}, and there was nothing to count. Start a guest, or widen the range. ` +
      "Without a guest at hand, “script/server --demo” runs some that fault.",
    actions: wider(request, state),
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
