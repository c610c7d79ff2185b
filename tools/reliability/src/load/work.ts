/** How much of something a run did, and the least of it that tells anything. */
export interface Work {
  readonly what: string
  readonly count: number
  readonly least: number
}

/** One line for each kind of work of which too little was done: checks of what did not happen hold, and are worth nothing. */
export function tooLittle(works: readonly Work[]): string[] {
  return (
    works
      // A count that is no number is too little as well.
      .filter(({ count, least }) => !(count >= least))
      .map(({ what, count, least }) => `${count} ${what}, where fewer than ${Math.ceil(least)} tell nothing`)
  )
}
