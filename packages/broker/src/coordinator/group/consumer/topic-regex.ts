import { assert } from '@millrace/base'

/** Longest text of a regular expression, in UTF-16 units. A topic's name has 249. */
const MAX_LENGTH = 2_000
/** Most instructions that one may come to, about: what it takes to match a name grows with them. */
const MAX_COMPLEXITY = 20_000
/** Most instructions of one that repeats something, compiled: each may be tried at each character of a name, some 20 ns every time. */
const MAX_REPEATING_SIZE = 1_000
/** `*`, `+`, `?` and `{n}`; not the `?` that follows the bracket of a group. */
const REPEATS = /[*+{]|[^(]\?/s
/** `\p{...}` and `\P{...}` are compiled to hundreds of ranges each, some 150 µs; no name of a topic needs them. */
const UNICODE_CLASS = /\\[pP]/g
/** The end of a range that may go far beyond ASCII: without regard to case each of its characters is looked up, 3 ms for all of them. */
const WIDE_RANGE = /-(?:[^\0-\x7f]|\\[x0-7])/g
const IGNORES_CASE = /\(\?[a-zA-Z-]*i/
const WIDE_RANGE_COST = 10
/** In Unicode classes: a compilation takes some milliseconds at most. */
const MAX_CLASS_COST = 20
/** `{n}`, `{n,}` and `{n,m}`, with what stands before. */
const REPETITION = /(.?)\{(\d{1,9})(?:,(\d{0,9}))?\}/gs

/** A regular expression that a whole name of a topic must match. */
export interface TopicRegex {
  /** Instructions of the compiled program. To match a name takes so many steps for each of its characters at most. */
  readonly size: number
  matches(topic: string): boolean
}

let engine: typeof import('re2js') | null = null

/** Reads the code of the engine, unless that was done: a broker that starts does not need it. Before anything is compiled. */
export async function loadTopicRegex(): Promise<void> {
  engine ??= await import('re2js')
}

export function isTopicRegexLoaded(): boolean {
  return engine !== null
}

/**
 * Compiles a regular expression of RE2's syntax, which is matched in time linear in the length of the name whatever it says. Null: it
 * is none, or it would take too long to compile and to match: `(?:[a-z]{100}){10}` over and over.
 */
export function compileTopicRegex(text: string): TopicRegex | null {
  assert(engine !== null, 'the engine of regular expressions was not loaded')
  if (text.length > MAX_LENGTH) return null
  if (complexityOf(text) > MAX_COMPLEXITY || classCostOf(text) > MAX_CLASS_COST) return null
  try {
    const compiled = engine.RE2JS.compile(text)
    const size = compiled.programSize()
    if (size > MAX_REPEATING_SIZE && REPEATS.test(text)) return null
    return { size, matches: (topic) => compiled.matches(topic) }
  } catch {
    // Whatever it throws, the text is a client's and is no expression that can be used.
    return null
  }
}

/** An upper bound of its instructions, from the repetitions alone: those of groups multiply, those of single characters add up. */
function complexityOf(text: string): number {
  let ofCharacters = 1
  let ofGroups = 1
  for (const [, before, least, most] of text.matchAll(REPETITION)) {
    const times = Math.max(1, Number(least), most === undefined || most === '' ? 0 : Number(most))
    if (before === ')') ofGroups *= times
    else ofCharacters += times
  }
  return text.length * ofCharacters * ofGroups
}

/** What its classes of characters take to compile, in Unicode classes, before anything is compiled: one that is refused costs as much. */
function classCostOf(text: string): number {
  const wideRanges = IGNORES_CASE.test(text) ? (text.match(WIDE_RANGE)?.length ?? 0) : 0
  return (text.match(UNICODE_CLASS)?.length ?? 0) + wideRanges * WIDE_RANGE_COST
}
