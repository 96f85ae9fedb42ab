// SPDX-License-Identifier: Apache-2.0
/** Light or dark: the system's choice, the viewer's, or what the address says. */

import { el, setAttr, setText } from "./base/dom.js";

const KEY = "kvmfaults-theme";
const ORDER = ["", "light", "dark"];

const NAMES = /** @type {Record<string, string>} */ ({ "": "system", light: "light", dark: "dark" });

// Storage may be forbidden; then the choice lives in the address only.
/** @param {string} [theme] */
function stored(theme) {
  try {
    if (theme !== undefined) localStorage.setItem(KEY, theme);
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

// The address wins over what was chosen before.
/** @param {string} asked */
function themeOf(asked) {
  const theme = asked || stored();
  return ORDER.includes(theme) ? theme : "";
}

/** @param {string} theme */
function nextTheme(theme) {
  const next = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "";
  stored(next);
  return next;
}

/** @param {string} theme */
function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/**
 * The button that goes from theme to theme. What the address asked for is not written there again: a link that is
 * shared brings no theme with it.
 * @param {string} asked by the address when the page was opened
 * @param {() => void} onChange
 */
export function createThemeButton(asked, onChange) {
  const root = el("button", { type: "button", class: "quiet theme", click: next });
  let theme = themeOf(asked);
  show();

  function show() {
    applyTheme(theme);
    setText(root, theme === "dark" ? "☾" : theme === "light" ? "☀" : "◐");
    setAttr(root, "aria-label", `Theme: ${NAMES[theme]}`);
    setAttr(root, "title", `Theme: ${NAMES[theme]} (t)`);
  }

  function next() {
    theme = nextTheme(theme);
    show();
    onChange();
  }
  return { root, next };
}

/**
 * Tell when the system's colours change, and be as wide and as light as paper while the page is printed: charts
 * are drawn for a width.
 * @param {() => void} onChange
 */
export function listenToAppearance(onChange) {
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", onChange);
  }
  const set = (/** @type {boolean} */ isPrinting) => {
    document.documentElement.classList.toggle("printing", isPrinting);
    onChange();
  };
  window.addEventListener("beforeprint", () => set(true));
  window.addEventListener("afterprint", () => set(false));
}
