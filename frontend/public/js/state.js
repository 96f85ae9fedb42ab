/** What the page shows, kept in its address, so that back, reload and sharing work. */

import { parseSpan, spanText } from "./base/time.js";

/**
 * @typedef {object} View
 * @property {string | null} vm the VM whose page this is, null for the overview
 * @property {number | null} span live: the newest so many milliseconds; null where from and to are fixed
 * @property {number} from fixed range, UTC ms
 * @property {number} to
 * @property {string} by what the fault chart is split by
 * @property {string} sort column of the VM table, with "-" in front where it descends
 * @property {string} filter text that VMs must contain
 * @property {string} kind kind of exits, "" for all
 * @property {string} hide keys of lines switched off, comma between
 * @property {string} theme light, dark or "" for the system's
 */

const DEFAULT_SPAN_MS = 15 * 60_000;

/** Parameters that are plain text, with what they are where the address does not say. */
const TEXTS = /** @type {const} */ ({ by: "", sort: "-latest", filter: "", kind: "", hide: "", theme: "" });

/**
 * Read an address.
 * @param {URL} url
 * @returns {View}
 */
export function parseView(url) {
  const query = url.searchParams;
  const from = Date.parse(query.get("from") ?? "");
  const to = Date.parse(query.get("to") ?? "");
  const isFixed = from < to;
  const text = (/** @type {keyof typeof TEXTS} */ name) => query.get(name) ?? TEXTS[name];
  return {
    vm: /^\/vms\/([^/]+)$/.exec(url.pathname)?.[1] ?? null,
    span: isFixed ? null : (parseSpan(query.get("range")) ?? DEFAULT_SPAN_MS),
    from: isFixed ? from : 0,
    to: isFixed ? to : 0,
    by: text("by"),
    sort: text("sort"),
    filter: text("filter"),
    kind: text("kind"),
    hide: text("hide"),
    theme: text("theme"),
  };
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
  const path = view.vm === null ? "/" : `/vms/${view.vm}`;
  // A colon may stand in a query as it is; times stay readable.
  const text = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `${path}?${text}` : path;
}

/**
 * The address of a VM's page, or of the overview (null), in the same range and theme.
 * @param {View} view
 * @param {string | null} vm
 */
export function viewOf(view, vm) {
  return { ...view, vm, by: "", hide: "", kind: "" };
}

/**
 * Keep the view and the address equal.
 * @param {(view: View) => void} onChange called after every change, also by the browser's back
 */
export function createState(onChange) {
  let view = parseView(new URL(location.href));
  window.addEventListener("popstate", () => {
    view = parseView(new URL(location.href));
    onChange(view);
  });
  return {
    get: () => view,
    /**
     * Change some of the view.
     * @param {Partial<View>} patch
     * @param {{replace?: boolean}} [how] replace: not a step of its own for the browser's back
     */
    set(patch, how) {
      view = { ...view, ...patch };
      if (how?.replace) history.replaceState(null, "", formatView(view));
      else history.pushState(null, "", formatView(view));
      onChange(view);
    },
  };
}

/** @typedef {ReturnType<typeof createState>} State */
