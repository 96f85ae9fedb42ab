/** The decoder, and what it asks the server. */

import { decodeText, decodeWord } from "../api.js";
import { namedWord, wordsOf } from "../base/found-words.js";
import { ApiError } from "../http.js";
import { createDecoder } from "../panels/decoder.js";

/** A dialog in which words are decoded. */
export function createDecoding() {
  return createDecoder(decode);
}

/** @param {string} text */
async function decode(text) {
  const named = namedWord(text);
  try {
    if (named) return wordsOf(named.arch, (await decodeWord(named)).readings);
    return (await decodeText(text)).items;
  } catch (error) {
    return error instanceof ApiError ? error.message : String(error);
  }
}
