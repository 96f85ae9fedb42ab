// SPDX-License-Identifier: Apache-2.0
/** Whether somebody is reading a part of the page just now. */

/**
 * Tell whether the pointer, the focus or a selection is in an element: then it must not move.
 * @param {HTMLElement} element
 */
export function isBeingRead(element) {
  const selection = getSelection();
  const isSelected =
    selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
  return isSelected || element.matches(":hover") || element.contains(document.activeElement);
}
