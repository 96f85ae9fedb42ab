// SPDX-License-Identifier: Apache-2.0
/**
 * What main.js gives to a page.
 *
 * @typedef {object} Context
 * @property {import("../state.js").State} state
 * @property {() => import("../charts/rate.js").Tokens} tokens
 * @property {(view: import("../state.js").View) => void} open goes to another view
 * @property {(view: import("../state.js").View) => string} hrefOf
 * @property {() => void} refresh asks the server again at once
 * @property {() => void} showEvents opens the list of what changed how hosts are read
 */

/**
 * What a page is asked for at each refresh.
 *
 * @typedef {object} Request
 * @property {import("../state.js").View} view
 * @property {import("../model/types.js").Range} range
 * @property {number} stepMs
 * @property {number} now the server's
 * @property {Promise<import("../model/host-types.js").Status>} status
 * @property {AbortSignal} signal
 */

/**
 * @typedef {object} Page
 * @property {HTMLElement} root
 * @property {(request: Request) => Promise<void>} load asks the server and shows the answer
 * @property {() => void} show shows the newest answer again: the view or the theme has changed
 * @property {(message: import("../panels/message.js").Message | null) => void} showMessage in place of data that there is not
 * @property {() => string} title
 * @property {() => void} destroy
 */

export {};
