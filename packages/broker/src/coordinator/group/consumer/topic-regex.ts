import { assert } from '@millrace/base'

/** Longest text of a regular expression, in UTF-16 units. A topic's name has 249. */
const MAX_LENGTH = 2_000
/** Most instructions that one may come to, about: what it takes to match a name grows with them. */
const MAX_COMPLEXITY = 20_000
/** `{n}`, `{n,}` and `{n,m}`, with what stands before. */
const REPETITION = /(.?)\{(\d{1,9})(?:,(\d{0,9}))?\}/gs

/** A regular expression that a whole name of a topic must match. */
export interface TopicRegex {
  /** How much work it is to match one name, about: 1 for a short expression. */
  readonly cost: number
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
  const complexity = complexityOf(text)
  if (complexity > MAX_COMPLEXITY) return null
  try {
    const compiled = engine.RE2JS.compile(text)
    return { cost: 1 + complexity / 50, matches: (topic) => compiled.matches(topic) }
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
