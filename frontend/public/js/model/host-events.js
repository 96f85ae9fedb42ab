/** What changed how a host is read, in words, and which way it went. */

/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/**
 * @typedef {object} ReadEvent
 * @property {number} time UTC ms
 * @property {string} exact RFC 3339 with nanoseconds
 * @property {string} host
 * @property {string} text
 * @property {string} glyph
 * @property {"" | "warn"} tone
 */

/** @type {Record<string, {glyph: string, text: string}>} */
const KINDS = {
  attached: { glyph: "▶", text: "a new counting began" },
  taken_over: { glyph: "◆", text: "a collector took over what an earlier one had left counting" },
  replaced: { glyph: "◆", text: "a counting of another version was ended" },
  stopped: { glyph: "■", text: "the collector was stopped in order, and counting with it" },
};

/**
 * How faults are recorded, in words.
 * @param {number | null} oneIn 1: every fault; N: one of N; 0: none; null: a sample of no fixed rate
 */
export function recordingText(oneIn) {
  if (oneIn === null) return "a sample of the faults is recorded";
  if (oneIn === 0) return "no fault is recorded";
  return oneIn === 1 ? "every fault is recorded" : `one fault of ${oneIn} is recorded`;
}

/** What the collector writes before its reasons; the same is said by `one_in`. */
const SAID = /^records(?: of (.+?))?: (?:(?:every fault|none|a sample,?) ?|(?=as of the others))/;

/**
 * The name of the VM that an event is of, "" where it is of the whole host.
 * @param {HostEvent} event
 */
export function vmOf({ kind, detail }) {
  return kind === "vm_records" ? (SAID.exec(detail)?.[1] ?? "") : "";
}

/**
 * How faults are recorded and why.
 * @param {number | null} oneIn
 * @param {string} detail as the collector wrote it
 */
export function recordingSentence(oneIn, detail) {
  const rest = detail.replace(SAID, "");
  return recordingText(oneIn) + (rest ? `${rest.startsWith("(") ? " " : ", "}${rest}` : "");
}

/** @param {HostEvent} event */
function textOf(event) {
  const { kind, detail } = event;
  if (isRecording(event)) {
    const vm = vmOf(event);
    return (vm ? `${vm}: ` : "") + recordingSentence(event.one_in, detail);
  }
  const text = KINDS[kind]?.text ?? kind.replaceAll("_", " ");
  return detail ? `${text}: ${detail}` : text;
}

/** @param {HostEvent} event */
function isRecording({ kind }) {
  return kind === "records" || kind === "vm_records";
}

// How much is recorded: none, some, all.
/** @param {number | null} oneIn */
function levelOf(oneIn) {
  return oneIn === 1 ? 2 : oneIn === 0 ? 0 : 1;
}

/**
 * Read events into words, in order of time. A step of the governor points the way that it went, where the step
 * before it is known.
 * @param {readonly HostEvent[]} events newest first
 * @returns {ReadEvent[]} oldest first
 */
export function readEvents(events) {
  /** @type {Map<string, number>} */
  const levels = new Map();
  return [...events].reverse().map((event) => {
    const { host, kind, time } = event;
    const about = { time: Date.parse(time), exact: time, host, text: textOf(event) };
    if (!isRecording(event)) return { ...about, glyph: KINDS[kind]?.glyph ?? "●", tone: "" };
    const level = levelOf(event.one_in);
    // What was asked for begins and ends without a reason; the governor gives one.
    const isStep = event.detail.endsWith(")");
    const [ofHost, own] = [`${host} `, `${host} ${vmOf(event)}`];
    // A VM that was asked for was recorded as the others. Of what lies before the range only so much is known that
    // a step to none or to all came from a sample.
    const before = levels.get(own) ?? levels.get(ofHost) ?? (isStep || own !== ofHost ? 1 : level);
    levels.set(own, level);
    const glyph = level === before ? "●" : level < before ? "▼" : "▲";
    return { ...about, glyph, tone: level < before && isStep ? "warn" : "" };
  });
}
