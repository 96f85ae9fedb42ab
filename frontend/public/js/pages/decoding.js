// SPDX-License-Identifier: Apache-2.0
/** The decoder, and what it asks the server. */

import { decodeText } from "../api.js";
import { ApiError } from "../http.js";
import { createDecoder } from "../panels/decoder.js";

/** A dialog in which words are decoded. */
export function createDecoding() {
  return createDecoder(decode);
}

/** @param {string} text */
async function decode(text) {
  try {
    return await decodeText(text);
  } catch (error) {
    return error instanceof ApiError ? error.message : String(error);
  }
}
