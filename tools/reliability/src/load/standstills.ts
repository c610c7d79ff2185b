/** A stretch of time, in milliseconds of the system's monotonic clock. */
export interface Stretch {
  readonly startMs: number
  readonly endMs: number
}

/** The times in which at least one of the processors stood still, in order, none touching the next. Each list is in order. */
export function unionOf(lists: readonly (readonly Stretch[])[]): Stretch[] {
  const union: { startMs: number; endMs: number }[] = []
  for (const { startMs, endMs } of lists.flat().sort((a, b) => a.startMs - b.startMs)) {
    const last = union.at(-1)
    if (last !== undefined && startMs <= last.endMs) last.endMs = Math.max(last.endMs, endMs)
    else union.push({ startMs, endMs })
  }
  return union
}

/** How much of `[startMs, endMs)` lies in the stretches of {@link unionOf}. */
export function overlapMs(union: readonly Stretch[], startMs: number, endMs: number): number {
  let low = 0
  let high = union.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (union[middle]!.endMs <= startMs) low = middle + 1
    else high = middle
  }
  let sumMs = 0
  for (let slot = low; slot < union.length && union[slot]!.startMs < endMs; slot++) {
    const stretch = union[slot]!
    sumMs += Math.min(endMs, stretch.endMs) - Math.max(startMs, stretch.startMs)
  }
  return sumMs
}
