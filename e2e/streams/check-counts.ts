/** A record of the output: how often a word has come so far. Records of one word are in the order of their partition. */
export interface Counted {
  readonly word: string
  readonly count: number
}

/** Problems that are told; more say no more. */
const MOST_PROBLEMS = 20

/**
 * What is wrong with the output of a word count that shows every step: of a word that the lines have n times it must say 1, 2, …, n,
 * each once and in this order. Nothing if each line was counted exactly once.
 */
export function checkCounts(lines: readonly string[], output: readonly Counted[]): string[] {
  const expected = countWords(lines)
  const told = new Map<string, number[]>()
  for (const { word, count } of output) {
    const counts = told.get(word)
    if (counts === undefined) told.set(word, [count])
    else counts.push(count)
  }
  const problems: string[] = []
  for (const [word, counts] of told) {
    const slot = counts.findIndex((count, before) => count !== before + 1)
    if (slot >= 0) problems.push(`${word}: ${slot === 0 ? 'first' : `after ${slot}`} came ${counts[slot]}`)
  }
  for (const word of new Set([...expected.keys(), ...told.keys()])) {
    const [wanted, found] = [expected.get(word) ?? 0, told.get(word)?.length ?? 0]
    if (wanted !== found) problems.push(`${word}: came ${wanted} times, and was counted ${found} times`)
  }
  return problems.length <= MOST_PROBLEMS
    ? problems
    : [...problems.slice(0, MOST_PROBLEMS), `and ${problems.length - MOST_PROBLEMS} more`]
}

function countWords(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines) for (const word of line.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}
