// SPDX-License-Identifier: Apache-2.0
/** Reads the address, makes the page, and asks the server again and again. The wiring is here and nowhere else. */

import { createThemeButton, listenToAppearance } from "./appearance.js";
import { el, setAttr, setChildren } from "./base/dom.js";
import { agoText, clockText, parseSpan } from "./base/time.js";
import { ApiError, now } from "./http.js";
import { listenToKeys } from "./keys.js";
import { createRefresh } from "./live.js";
import { createCollectors } from "./pages/collectors.js";
import { lostMessage, missingMessage, problemText } from "./pages/messages.js";
import { moved, rangeOf, resumedSpan } from "./pages/moving.js";
import { createDecoding } from "./pages/decoding.js";
import { createSigningIn, signOut } from "./pages/signing-in.js";
import { createOverview } from "./pages/overview/page.js";
import { createGuestPage } from "./pages/guest/page.js";
import { createVmPage } from "./pages/vm/page.js";
import { createHelp } from "./panels/help.js";
import { createNotice } from "./panels/notice.js";
import { createTimeRange } from "./panels/time-range.js";
import { loaded, readTokens } from "./plotly.js";
import { createState, formatView, viewOf } from "./state.js";

/** @typedef {import("./state.js").View} View */

const state = createState(onView);
const refresh = createRefresh({ work, onFailure, isLive: () => state.get().span !== null });
const notice = createNotice(refresh.now);
const { drawer, chip, load: loadCollectors } = createCollectors(
  refresh.now,
  () => void signOut(),
  (range) => context.open({ ...viewOf(state.get(), null), span: null, ...range }),
);
const help = createHelp();
const decoder = createDecoding();
const login = createSigningIn(refresh.now);
const timeRange = createTimeRange({
  onSpan: (span) => state.set({ span: parseSpan(span), from: 0, to: 0 }),
  onRange: (range) => state.set({ span: null, ...range }),
  onLive: switchLive,
});
const theme = createThemeButton(new URL(location.href).searchParams.get("theme") ?? "", showColours);

/** The live length that was paused, and where: to be resumed as it was. */
let paused = { span: 0, from: 0, to: 0 };
// How far down the page is to be scrolled once it is there again.
/** @type {number | null} */
let scrollTo = state.scrolled || null;
let tokens = readTokens();
/** @type {import("./pages/context.js").Context} */
const context = {
  state,
  tokens: () => tokens,
  hrefOf: formatView,
  refresh: refresh.now,
  showEvents: drawer.openEvents,
  open(view) {
    state.set(view);
    window.scrollTo(0, 0);
    // Where one was is gone: whoever uses keys goes on at the new page's beginning.
    main().focus({ preventScroll: true });
  },
};

/** @type {import("./pages/context.js").Page | null} */
let page = null;
/** Whose page is shown. */
let shownPath = "";
/** What was last asked for; a change of the rest of the view needs no new answer. */
let asked = "";
/** @type {number | null} */
let answeredAt = null;
let answered = /** @type {View | null} */ (null);
// Why the data on show is old, and what comes next.
/** @type {{what: string, next: string} | null} */
let failing = null;

function main() {
  return /** @type {HTMLElement} */ (document.getElementById("page"));
}

/** @param {AbortSignal} signal */
async function work(signal) {
  const view = state.get();
  const shown = page;
  setAttr(document.documentElement, "data-asking", view === answered ? null : true);
  const { range, stepMs } = rangeOf(view, now());
  const question = { view, range, stepMs, now: now(), signal };
  const asking = view.isLost ? null : shown;
  // What the collectors do is shown also where the page's own answer fails.
  const asked = asking?.ask?.(question);
  const status = loadCollectors(range, signal, asked);
  const loading = asking?.load({ ...question, status }, asked);
  await Promise.all([status, loading]);
  if (signal.aborted || shown !== page) return;
  answeredAt = now();
  answered = view;
  setAttr(document.documentElement, "data-asking", null);
  failing = null;
  timeRange.update(view.span, range, answeredAt);
  notice.update(problemText(view));
  if (scrollTo !== null) window.scrollTo(0, scrollTo);
  scrollTo = null;
  document.title = shown?.title() ?? "kvmfaults";
  const ready = String(Math.round(answeredAt));
  void loaded.then(() => setAttr(document.documentElement, "data-ready", ready));
}

/**
 * Show what went wrong.
 * @param {unknown} failure
 * @returns {boolean} whether asking again may help
 */
function onFailure(failure) {
  setAttr(document.documentElement, "data-ready", "failed");
  if (!(failure instanceof ApiError)) {
    console.error(failure);
    notice.update("The page failed to show the server’s answer. Reload it; the browser’s console says more.");
    return false;
  }
  const { vm, guest } = state.get();
  if (failure.status === 401) {
    chip.update({ tone: "idle", text: "log in to see the collectors", lost: 0 });
    page?.showMessage({
      title: "Log in to see the data.",
      text: "This server asks for a read token.",
      actions: [{ label: "Log in", act: login.open }],
    });
    login.open();
  } else if (failure.status === 404 && (vm ?? guest) !== null) {
    notice.update("");
    const what = vm === null ? "guest" : "VM";
    page?.showMessage(missingMessage(what, vm ?? guest ?? "", () => context.open(viewOf(state.get(), null))));
  } else showFailure(failure);
  return failure.status === 0 || failure.status >= 500;
}

/** @param {ApiError} failure */
function showFailure(failure) {
  const isRefused = failure.status >= 400 && failure.status < 500;
  const what =
    failure.status === 0
      ? "The server does not answer"
      : `The server ${isRefused ? "refused this" : "failed"}: ${failure.message}`;
  if (!isRefused) chip.update({ tone: "bad", text: what.toLowerCase(), lost: 0 });
  const next = isRefused ? "Choose another range or view." : "The page asks again by itself.";
  if (answeredAt === null) {
    page?.showMessage({ title: `${what}.`, text: next, actions: [{ label: "Try again", act: refresh.now }] });
    return;
  }
  failing = { what, next };
  showAge();
}

function showAge() {
  if (!failing || answeredAt === null) return;
  const age = `the data is as of ${clockText(answeredAt)}, ${agoText(answeredAt, now())}`;
  notice.update(`${failing.what}; ${age}. ${failing.next}`);
}

/** @param {View} view @param {{isBack: boolean, scroll: number}} how */
function onView(view, how) {
  if (how.isBack) scrollTo = how.scroll;
  if (pathOf(view) !== shownPath || page === null) makePage(view);
  const { range } = rangeOf(view, now());
  timeRange.update(view.span, range, now());
  const { vm, guest, span, from, to, by, kind, sort, filter, state: life, rows } = view;
  const next = JSON.stringify([vm, guest, span, from, to, by, kind, sort, filter, life, rows]);
  if (next !== asked) refresh.now();
  else page?.show();
  asked = next;
  if (view.isLost) page?.showMessage(lostMessage(() => context.open(viewOf(state.get(), null))));
}

function showColours() {
  tokens = readTokens();
  page?.show();
}

/** @param {View} view */
function pathOf({ vm, guest }) {
  return `${vm} ${guest}`;
}

/** @param {View} view */
function makePage(view) {
  page?.destroy();
  shownPath = pathOf(view);
  answeredAt = null;
  if (view.guest !== null) page = createGuestPage(context, view.guest);
  else page = view.vm === null ? createOverview(context) : createVmPage(context, view.vm);
  page.showMessage({ title: "Loading …", text: "Asking the server." });
  notice.update(problemText(view));
  setChildren(main(), notice.root, page.root);
}

function switchLive() {
  const view = state.get();
  if (view.span === null) {
    const isPaused = view.from === paused.from && view.to === paused.to;
    return state.set({ span: isPaused ? paused.span : resumedSpan(view), from: 0, to: 0 });
  }
  const { range } = rangeOf(view, now());
  paused = { span: view.span, ...range };
  return state.set({ span: null, ...range });
}

/** @param {number} shift @param {number} scale */
function moveRange(shift, scale) {
  state.set(moved(state.get(), now(), shift, scale));
}

function start() {
  const logo = /** @type {HTMLAnchorElement} */ (document.getElementById("home"));
  const goHome = () => context.open(viewOf(state.get(), null));
  logo.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goHome();
  });
  const quiet = { type: "button", class: "quiet" };
  const decode = { "aria-label": "0x: decode a word", title: "Decode (d)", click: decoder.open };
  const decodeButton = el("button", { ...quiet, ...decode }, "0x");
  const helpButton = el("button", { ...quiet, "aria-label": "Help", title: "Help (?)", click: help.open }, "?");
  document.getElementById("controls")?.append(chip.root, timeRange.root, theme.root, decodeButton, helpButton);
  document.body.append(drawer.root, help.root, decoder.root, login.root);
  listenToKeys({
    "/": () => document.getElementById("filter")?.focus(),
    "?": help.open,
    d: decoder.open,
    s: drawer.open,
    t: theme.next,
    l: switchLive,
    g: goHome,
    "[": () => moveRange(-0.5, 1),
    "]": () => moveRange(0.5, 1),
    "-": () => moveRange(0, 2),
    "=": () => moveRange(0, 0.5),
  });
  listenToAppearance(showColours);
  setInterval(showAge, 1000);
  onView(state.get(), { isBack: false, scroll: 0 });
  void loaded.then(() => page?.show());
}

start();
