/** Reads the address, makes the page, and asks the server again and again. The wiring is here and nowhere else. */

import * as api from "./api.js";
import { NAMES, applyTheme, nextTheme, themeOf } from "./appearance.js";
import { el, setAttr, setChildren, setText } from "./base/dom.js";
import { alignRange, agoText, clockText, parseSpan, stepFor } from "./base/time.js";
import { listenToKeys } from "./keys.js";
import { createRefresh } from "./live.js";
import { createCollectors } from "./pages/collectors.js";
import { missingMessage } from "./pages/messages.js";
import { createOverview } from "./pages/overview.js";
import { createVmPage } from "./pages/vm.js";
import { createHelp } from "./panels/help.js";
import { createLogin } from "./panels/login.js";
import { createNotice } from "./panels/notice.js";
import { createTimeRange } from "./panels/time-range.js";
import { loaded, readTokens } from "./plotly.js";
import { createState, formatView, viewOf } from "./state.js";

/** @typedef {import("./state.js").View} View */

const state = createState(onView);
const refresh = createRefresh({ work, onFailure, isLive: () => state.get().span !== null });
const notice = createNotice(refresh.now);
const { drawer, chip, load: loadCollectors } = createCollectors(refresh.now);
const help = createHelp();
const login = createLogin(logIn);
const timeRange = createTimeRange({
  onSpan: (span) => state.set({ span: parseSpan(span), from: 0, to: 0 }),
  onRange: (range) => state.set({ span: null, ...range }),
  onLive: switchLive,
});
const themeButton = el("button", { type: "button", class: "quiet theme", click: switchTheme });

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
  },
};

/** @type {import("./pages/context.js").Page | null} */
let page = null;
/** @type {string | null | undefined} the VM whose page is shown, undefined before there is one */
let shownVm;
/** What was last asked for; a change of the rest of the view needs no new answer. */
let asked = "";
/** @type {number | null} */
let answeredAt = null;

/** @param {View} view @param {number} now */
function rangeOf(view, now) {
  if (view.span === null)
    return { range: { from: view.from, to: view.to }, stepMs: stepFor(view.to - view.from) };
  const stepMs = stepFor(view.span);
  return { range: alignRange({ from: now - view.span, to: now }, stepMs), stepMs };
}

/** @param {AbortSignal} signal */
async function work(signal) {
  const view = state.get();
  const shown = page;
  const { range, stepMs } = rangeOf(view, api.now());
  // What the collectors do is told also where the page's own answer fails.
  const collectors = loadCollectors(range, signal);
  await Promise.all([collectors, shown?.load({ view, range, stepMs, now: api.now(), signal })]);
  if (signal.aborted || shown !== page) return;
  answeredAt = api.now();
  timeRange.update(view.span, range, answeredAt);
  notice.update("");
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
  if (!(failure instanceof api.ApiError)) {
    console.error(failure);
    notice.update("The page failed to show the server’s answer. Reload it; the browser’s console says more.");
    return false;
  }
  const { vm } = state.get();
  if (failure.status === 401) {
    page?.tell({
      title: "Log in to see the data.",
      text: "This server asks for a read token.",
      actions: [{ label: "Log in", act: login.open }],
    });
    login.open();
  } else if (failure.status === 404 && vm !== null) {
    notice.update("");
    page?.tell(missingMessage(vm, () => context.open(viewOf(state.get(), null))));
  } else showFailure(failure);
  return failure.status === 0 || failure.status >= 500;
}

/** @param {api.ApiError} failure */
function showFailure(failure) {
  const isRefused = failure.status >= 400 && failure.status < 500;
  const what =
    failure.status === 0
      ? "The server does not answer"
      : `The server ${isRefused ? "refused this" : "failed"}: ${failure.message}`;
  if (!isRefused) chip.update({ tone: "bad", text: what.toLowerCase(), lost: 0 });
  const next = isRefused ? "Choose another range or view." : "The page asks again by itself.";
  if (answeredAt === null) {
    page?.tell({ title: `${what}.`, text: next, actions: [{ label: "Try again", act: refresh.now }] });
    return;
  }
  const age = `the data is as of ${clockText(answeredAt)}, ${agoText(answeredAt, api.now())}`;
  notice.update(`${what}; ${age}. ${next}`);
}

/** @param {string} token */
async function logIn(token) {
  try {
    await api.logIn(token);
  } catch (failure) {
    return failure instanceof api.ApiError && failure.status === 401
      ? "This token is not known here."
      : String(failure);
  }
  refresh.now();
  return "";
}

/** @param {View} view */
function onView(view) {
  const theme = themeOf(view.theme);
  applyTheme(theme);
  tokens = readTokens();
  setText(themeButton, theme === "dark" ? "☾" : theme === "light" ? "☀" : "◐");
  setAttr(themeButton, "aria-label", `Theme: ${NAMES[theme]}`);
  setAttr(themeButton, "title", `Theme: ${NAMES[theme]} (t)`);
  if (view.vm !== shownVm || page === null) makePage(view);
  const { range } = rangeOf(view, api.now());
  timeRange.update(view.span, range, api.now());
  const next = JSON.stringify([view.vm, view.span, view.from, view.to, view.by, view.kind]);
  if (next !== asked) refresh.now();
  else page?.show();
  asked = next;
}

/** @param {View} view */
function makePage(view) {
  page?.destroy();
  shownVm = view.vm;
  answeredAt = null;
  page = view.vm === null ? createOverview(context) : createVmPage(context, view.vm);
  page.tell({ title: "Loading …", text: "Asking the server." });
  setChildren(/** @type {HTMLElement} */ (document.getElementById("page")), notice.root, page.root);
}

function switchTheme() {
  state.set({ theme: nextTheme(themeOf(state.get().theme)) }, { replace: true });
}

function switchLive() {
  const view = state.get();
  if (view.span === null) return state.set({ span: Math.max(60_000, view.to - view.from), from: 0, to: 0 });
  const { range } = rangeOf(view, api.now());
  return state.set({ span: null, ...range });
}

/**
 * Move or scale the range: standing still, but for a wider live one.
 * @param {number} shift in lengths of the range
 * @param {number} scale
 */
function moveRange(shift, scale) {
  const view = state.get();
  const { range } = rangeOf(view, api.now());
  const length = range.to - range.from;
  if (view.span !== null && shift === 0)
    return state.set({ span: Math.max(10_000, Math.round((view.span * scale) / 1000) * 1000) });
  const middle = (range.from + range.to) / 2 + shift * length;
  const half = Math.max(1000, Math.round((length * scale) / 2000) * 1000);
  const from = Math.round(middle / 1000) * 1000 - half;
  return state.set({ span: null, from, to: from + 2 * half });
}

function start() {
  const logo = /** @type {HTMLAnchorElement} */ (document.getElementById("home"));
  const goHome = () => context.open(viewOf(state.get(), null));
  logo.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goHome();
  });
  const helpButton = el(
    "button",
    { type: "button", class: "quiet", "aria-label": "Help", title: "Help (?)", click: help.open },
    "?",
  );
  document.getElementById("controls")?.append(chip.root, timeRange.root, themeButton, helpButton);
  document.body.append(drawer.root, help.root, login.root);
  listenToKeys({
    "/": () => document.getElementById("filter")?.focus(),
    "?": help.open,
    s: drawer.open,
    t: switchTheme,
    l: switchLive,
    g: goHome,
    "[": () => moveRange(-0.5, 1),
    "]": () => moveRange(0.5, 1),
    "-": () => moveRange(0, 2),
    "=": () => moveRange(0, 0.5),
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => onView(state.get()));
  onView(state.get());
  void loaded.then(() => page?.show());
}

start();
