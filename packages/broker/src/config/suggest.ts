/**
 * The known name that an unknown one most likely means: fewest edits (insert, drop, replace, swap neighbours), at most a third of
 * its length. Null if nothing is near. For messages; cost grows with the number of names.
 */
export function suggest(unknown: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let bestEdits = Math.floor(unknown.length / 3) + 1
  for (const name of known) {
    if (Math.abs(name.length - unknown.length) >= bestEdits) continue
    const edits = editDistance(unknown, name)
    if (edits < bestEdits) {
      best = name
      bestEdits = edits
    }
  }
  return best
}

/** `; did you mean x?` or nothing. */
export function suggestion(unknown: string, known: Iterable<string>): string {
  const name = suggest(unknown, known)
  return name === null ? '' : `; did you mean ${name}?`
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
