// SPDX-License-Identifier: Apache-2.0
/** Logging in and out, and what that asks the server. */

import { logIn, logOut } from "../api.js";
import { ApiError } from "../http.js";
import { createLogin } from "../panels/login.js";

/**
 * A dialog in which one logs in.
 * @param {() => void} onLoggedIn
 */
export function createSigningIn(onLoggedIn) {
  return createLogin(async (token) => {
    try {
      await logIn(token);
    } catch (failure) {
      return failure instanceof ApiError && failure.status === 401
        ? "This token is not known here."
        : String(failure);
    }
    onLoggedIn();
    return "";
  });
}

/** Log out, and show what is left to see. */
export async function signOut() {
  await logOut();
  location.reload();
}
