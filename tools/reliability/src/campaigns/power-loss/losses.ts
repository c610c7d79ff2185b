/** What the checks say of acknowledged things that are gone, undone or elsewhere; see `e2e/crash`. */
const LOSSES: readonly RegExp[] = [
  /\blost: /,
  /\bmoved: /,
  /\bremoved: /,
  /\bconsumed and lost: /,
  / ends at -?\d+, acknowledged up to \d+/,
  /^.*group \S+ has \S+ of .*, acknowledged was \d+/,
  /topic \S+ was created and is gone/,
  /topic \S+ was deleted and is back/,
  /topic \S+ has \w+ .*, not /,
]

/** Whether a failure tells of a loss. A broker that would not start, or a client that gave up, shows nothing of the checks. */
export function isLoss(failure: string): boolean {
  return !failure.includes('the run ended: ') && LOSSES.some((pattern) => pattern.test(failure))
}

/** What the checks of clients' data must see gone, by what it is of. A broker that lost its topics shows none of it. */
const LOSSES_OF_DATA: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['ends of partitions', / ends at -?\d+, acknowledged up to \d+/],
  ['records that were acknowledged', /(?<!consumed and )\blost: /],
  ['records that were consumed', /\bconsumed and lost: /],
  ['committed offsets', /group \S+ has \S+ of .*, acknowledged was \d+/],
]

/** Of what no loss was found. */
export function unseenLosses(failures: readonly string[]): string[] {
  const losses = failures.filter(isLoss)
  return LOSSES_OF_DATA.filter(([, pattern]) => !losses.some((loss) => pattern.test(loss))).map(([what]) => what)
}
