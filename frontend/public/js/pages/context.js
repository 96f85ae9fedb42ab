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
 * @typedef {object} Question
 * @property {import("../state.js").View} view
 * @property {import("../model/types.js").Range} range
 * @property {number} stepMs
 * @property {number} now the server's
 * @property {AbortSignal} signal
 */

/** @typedef {Question & {status: Promise<import("../model/host-types.js").Status>}} Request */

/**
 * @typedef {object} Page
 * @property {HTMLElement} root
 * @property {(question: Question) => Promise<import("../model/types.js").Overview>} [ask] asks what the server answers at
 *   once with the status
 * @property {(request: Request, asked?: Promise<import("../model/types.js").Overview>) => Promise<void>} load asks the
 *   server what ask() did not, and shows the answers
 * @property {() => void} show shows the newest answer again: the view or the theme has changed
 * @property {(message: import("../panels/message.js").Message | null) => void} showMessage in place of data that there is not
 * @property {() => string} title
 * @property {() => void} destroy
 */

export {};
