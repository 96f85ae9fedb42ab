// SPDX-License-Identifier: Apache-2.0
/** Keys that work everywhere on the page. */

/**
 * Run the action of a key. Keys typed into a field, and keys with Ctrl, Alt or Meta, are left alone;
 * so are all keys but Escape while a dialog is open.
 * @param {Record<string, () => void>} actions by KeyboardEvent.key
 */
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (target?.matches("input, textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const action = actions[event.key];
    if (!action || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    action();
  });
}
