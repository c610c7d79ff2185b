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
