/** Words to decode: whether a text names one by itself, and its readings in the form of words found in a text. */

/** @typedef {import("./types.js").FoundWord} FoundWord */

const NAMED = /^(x86_64|amd64|aarch64|arm64|riscv64)(?::(\w+))?\s+(\w+)$/;

/**
 * "x86_64:ept 0x181" names an architecture, perhaps a format, and a word; null where the text is another.
 * @param {string} text
 */
export function namedWord(text) {
  const found = NAMED.exec(text);
  return found && { arch: String(found[1]), format: found[2], word: String(found[3]) };
}

/**
 * @param {string} arch
 * @param {readonly {format: string, title: string, word: string, base: string, decoded: import("./types.js").DecodedWord}[]} readings
 * @returns {FoundWord[]}
 */
export function wordsOf(arch, readings) {
  return readings.map(({ format, title, word, base, decoded }) => ({
    where: base ? `${title}, read as ${base}` : title,
    target: `${arch}:${format}`,
    word,
    summary: decoded.summary,
    decoded,
  }));
}
