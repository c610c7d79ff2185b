/**
 * The known names that an unknown one may mean, nearest first: few edits (insert, drop, replace, swap neighbours), at most a third of
 * its length and at most twice as many as the nearest needs. For messages; cost grows with the number of names.
 */
export function nearestNames(unknown: string, known: Iterable<string>, limit: number): string[] {
  const tooMany = Math.floor(unknown.length / 3) + 1
  const near: { name: string; edits: number }[] = []
  for (const name of known) {
    if (Math.abs(name.length - unknown.length) >= tooMany) continue
    const edits = editDistance(unknown, name)
    if (edits < tooMany) near.push({ name, edits })
  }
  near.sort((a, b) => a.edits - b.edits)
  return near
    .filter(({ edits }) => edits <= 2 * near[0]!.edits)
    .slice(0, limit)
    .map(({ name }) => name)
}

/** `; did you mean x?`, with up to `limit` names, or nothing. */
export function suggestion(unknown: string, known: Iterable<string>, limit = 1): string {
  const names = nearestNames(unknown, known, limit)
  return names.length === 0 ? '' : `; did you mean ${names.join(' or ')}?`
}

/** Optimal string alignment distance over the last three rows of the table. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1
      let edits = Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + cost)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        edits = Math.min(edits, beforePrevious[column - 2]! + 1)
      }
      current.push(edits)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length]!
}
