/** Why a broker may close a connection, as it says in its log (`reliability.md`, 6.1). */
const DOCUMENTED: readonly RegExp[] = [
  /^frame of -?\d+ bytes; allowed are 8 to \d+ \(socket\.request\.max\.bytes\)$/,
  /^.{1,60} version -?\d+ is not served$/,
  // Decoding: what the bytes lack or have too much of.
  /^\w+ version \d+: \d+ bytes left after the message$/,
  /^\w+ version \d+: \d+ bytes expected, \d+ left$/,
  /^\w+ version \d+: \d+ elements announced, \d+ bytes left$/,
  /^\w+ version \d+: more than \d+ elements$/,
  /^\w+ version \d+: varint (?:ends beyond the message|is longer than (?:five|ten) bytes)$/,
  /^\w+ version \d+: (?:string|bytes|array|struct) (?:is|are) null where null is forbidden$/,
  /^\w+ version \d+: \w+ (?:is|are) null where null is forbidden$/,
  /^\w+ version \d+: negative length -\d+$/,
  /^\w+ version \d+: tag \d+ follows tag -?\d+$/,
  /^\w+ version \d+: tagged field (?:ends beyond the message|does not fill its size)$/,
  /^\w+ version \d+: unknown tagged field of \d+ bytes$/,
  /^\w+ version \d+: string (?:of \d+ bytes, at most \d+ are taken|is not valid UTF-8)$/,
]

/** What may close a connection that has sent nothing wrong: an answer that would quote too much, or more elements or longer names than are taken. */
const OF_SOUND: readonly RegExp[] = [
  /^A string of \d+ bytes cannot be sent: at most \d+ are allowed$/,
  /^\w+ version \d+: more than \d+ elements$/,
  /^\w+ version \d+: string of \d+ bytes, at most \d+ are taken$/,
]

/**
 * Whether a connection may have been closed for this. `sound`: it sent only whole requests in served versions, so that little is left.
 */
export function isDocumentedReason(reason: string, sound: boolean): boolean {
  if (OF_SOUND.some((pattern) => pattern.test(reason))) return true
  return !sound && DOCUMENTED.some((pattern) => pattern.test(reason))
}
