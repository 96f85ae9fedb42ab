// SPDX-License-Identifier: Apache-2.0
/** What the page shows, kept in its address, so that back, reload and sharing work. */

import { readRange } from "./base/address.js";
import { spanText } from "./base/time.js";

/**
 * @typedef {object} View
 * @property {string | null} vm the VM whose page this is; null, and no guest either, for the overview
 * @property {string | null} guest the guest whose page this is
 * @property {boolean} isLost whether the address is that of no page
 * @property {number | null} span live: the newest so many milliseconds; null where from and to are fixed
 * @property {number} from fixed range, UTC ms
 * @property {number} to
 * @property {string} by what the fault chart is split by
 * @property {string} sort column of the VM table, with "-" in front where it descends
 * @property {string} filter text that VMs must contain
 * @property {string} state running, ended or "" for all
 * @property {string} rows how many VMs are listed
 * @property {string} kind kind of exits, "" for all
 * @property {string} hide keys of lines switched off, comma between
 * @property {string[]} problems what of the address cannot be used
 */

const DEFAULT_SPAN_MS = 15 * 60_000;
/** A filter of more characters than this is refused; the field takes no more. */
export const MOST_FILTER = 200;
const MOST_SAID = 40;
/** As many VMs as are listed at first, and at most. */
export const ROWS = { first: 50, most: 1000 };

/** Parameters that are plain text, with what they are where the address does not say. */
const TEXTS = /** @type {const} */ ({
  by: "",
  sort: "-rate_at_end",
  filter: "",
  state: "",
  rows: String(ROWS.first),
  kind: "",
  hide: "",
});

const SORTS = [
  ...["name", "host", "arch", "started", "rate_at_end", "fault_rate", "faults", "exit_rate"],
  ...["memory_fault_exits", "bare_error_exits", "unclassified_error_exits"],
];
// What a text may be; of those that are not here, anything.
/** @type {Record<string, (text: string) => boolean>} */
const IS_KNOWN = {
  by: (text) => ["", "vm", "guest", "access", "level", "arch", "vcpu", "flag"].includes(text),
  sort: (text) => SORTS.includes(text.replace(/^-/, "")),
  state: (text) => ["", "running", "ended"].includes(text),
  rows: (text) => /^[1-9]\d{0,3}$/.test(text) && Number(text) <= ROWS.most,
  kind: (text) => ["", "memory_fault", "bare_error", "unclassified_error"].includes(text),
  filter: (text) => text.length <= MOST_FILTER,
};
const OTHERS = ["range", "from", "to", "theme"];

/**
 * Read an address.
 * @param {URL} url
 * @param {number} [now]
 * @returns {View}
 */
export function parseView(url, now = Date.now()) {
  const query = url.searchParams;
  const { when, problem } = readRange(query, now, DEFAULT_SPAN_MS);
  const problems = problem ? [problem] : [];
  for (const name of new Set(query.keys())) {
    if (!(name in TEXTS) && !OTHERS.includes(name)) problems.push(`“${cut(name)}” is not known to this page`);
  }
  const text = (/** @type {keyof typeof TEXTS} */ name) => {
    const given = query.get(name);
    if (given === null) return TEXTS[name];
    if (IS_KNOWN[name]?.(given) ?? true) return given;
    problems.push(
      name === "filter"
        ? `filter has more than ${MOST_FILTER} characters`
        : `${name} “${cut(given)}” is not known to this page`,
    );
    return TEXTS[name];
  };
  const vm = /^\/vms\/([^/]+)$/.exec(url.pathname)?.[1] ?? null;
  const guest = /^\/guests\/([^/]+)$/.exec(url.pathname)?.[1] ?? null;
  return {
    vm,
    guest,
    isLost: vm === null && guest === null && !["/", "/index.html"].includes(url.pathname),
    ...when,
    by: text("by"),
    sort: text("sort"),
    filter: text("filter"),
    state: text("state"),
    rows: text("rows"),
    kind: text("kind"),
    hide: text("hide"),
    problems,
  };
}

/** @param {string} text as much of it as is worth saying */
function cut(text) {
  return text.length > MOST_SAID ? `${text.slice(0, MOST_SAID)}…` : text;
}

/**
 * Write an address: what is as it is by default is left out.
 * @param {View} view
 * @returns {string} path and query
 */
export function formatView(view) {
  const query = new URLSearchParams();
  if (view.span === null) {
    query.set("from", new Date(view.from).toISOString());
    query.set("to", new Date(view.to).toISOString());
  } else if (view.span !== DEFAULT_SPAN_MS) query.set("range", spanText(view.span));
  for (const name of /** @type {(keyof typeof TEXTS)[]} */ (Object.keys(TEXTS))) {
    if (view[name] !== TEXTS[name]) query.set(name, view[name]);
  }
  const ofOne = view.guest === null ? `/vms/${view.vm}` : `/guests/${view.guest}`;
  const path = view.vm === null && view.guest === null ? "/" : ofOne;
  // A colon may stand in a query as it is; times stay readable.
  const text = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `${path}?${text}` : path;
}

/**
 * The address of a VM's page, or of the overview (null), in the same range.
 * @param {View} view
 * @param {string | null} vm
 */
export function viewOf(view, vm) {
  return { ...view, vm, guest: null, isLost: false, by: "", hide: "", kind: "" };
}

/**
 * The address of a guest's page, in the same range.
 * @param {View} view
 * @param {string} guest
 */
export function viewOfGuest(view, guest) {
  return { ...viewOf(view, null), guest };
}

/**
 * Keep the view and the address equal.
 * @param {(view: View, how: {isBack: boolean, scroll: number}) => void} onChange called after every change, also by
 *   the browser's back, then with how far down the page was scrolled
 */
export function createState(onChange) {
  let view = parseView(new URL(location.href));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let noting;
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", (event) => {
    view = parseView(new URL(location.href));
    onChange(view, { isBack: true, scroll: Number(event.state?.scroll ?? 0) });
  });
  // The browser says too late where it left from.
  window.addEventListener("scroll", () => {
    clearTimeout(noting);
    noting = setTimeout(noteScroll, 100);
  });
  function noteScroll() {
    clearTimeout(noting);
    history.replaceState({ scroll: window.scrollY }, "");
  }
  return {
    get: () => view,
    scrolled: Number(history.state?.scroll ?? 0),
    /**
     * Change some of the view.
     * @param {Partial<View>} patch
     * @param {{replace?: boolean}} [how] replace: not a step of its own for the browser's back
     */
    set(patch, how) {
      view = { ...view, problems: [], ...patch };
      if (how?.replace) history.replaceState(history.state, "", formatView(view));
      else {
        noteScroll();
        history.pushState(null, "", formatView(view));
      }
      onChange(view, { isBack: false, scroll: 0 });
    },
  };
}

/** @typedef {ReturnType<typeof createState>} State */
