/**
 * Whether reads and writes of one register could each have happened at one moment between its beginning and its end.
 *
 * All values are written once, so it is known which write a read has seen, and the question is decided by the zones of Gibbons and Korach
 * ("Testing shared memories", SIAM J. Comput. 1997): for each value, from the first end of any operation on it to the last beginning. A
 * zone that runs forward keeps the register at its value throughout. The history is atomic exactly if no read ends before its write
 * begins, no two forward zones overlap, and no backward zone lies within a forward one.
 */

export interface RegisterOperation {
  readonly kind: 'write' | 'read'
  /** Null: the value before all writes. */
  readonly value: string | null
  readonly invokedMs: number
  /** Infinity: it may have happened, at any time since. */
  readonly completedMs: number
}

interface Zone {
  readonly value: string | null
  firstEndMs: number
  lastBeginMs: number
}

/** What is wrong; nothing if the history is atomic. */
export function checkRegister(operations: readonly RegisterOperation[]): string[] {
  const problems: string[] = []
  const writes = new Map<string | null, RegisterOperation>([
    [null, { kind: 'write', value: null, invokedMs: Number.NEGATIVE_INFINITY, completedMs: Number.NEGATIVE_INFINITY }],
  ])
  for (const operation of operations) if (operation.kind === 'write') writes.set(operation.value, operation)
  const read = new Set<string | null>()
  const zones = new Map<string | null, Zone>()
  for (const operation of operations) {
    // A read without an end was answered to nobody.
    if (operation.kind !== 'read' || !Number.isFinite(operation.completedMs)) continue
    const write = writes.get(operation.value)
    if (write === undefined) problems.push(`${operation.value} was read and never written`)
    else if (operation.completedMs < write.invokedMs) problems.push(`${operation.value} was read before it was written`)
    else {
      read.add(operation.value)
      widen(zones, operation)
    }
  }
  // A write of unknown outcome that nobody read may be taken to happen after everything else.
  for (const write of writes.values())
    if (Number.isFinite(write.completedMs) || write.value === null || read.has(write.value)) widen(zones, write)
  problems.push(...compare([...zones.values()]))
  return problems
}

function widen(zones: Map<string | null, Zone>, { value, invokedMs, completedMs }: RegisterOperation): void {
  const zone = zones.get(value)
  if (zone === undefined) zones.set(value, { value, firstEndMs: completedMs, lastBeginMs: invokedMs })
  else {
    zone.firstEndMs = Math.min(zone.firstEndMs, completedMs)
    zone.lastBeginMs = Math.max(zone.lastBeginMs, invokedMs)
  }
}

function compare(zones: readonly Zone[]): string[] {
  const problems: string[] = []
  const forward = zones
    .filter((zone) => zone.firstEndMs < zone.lastBeginMs)
    .sort((left, right) => left.firstEndMs - right.firstEndMs)
  for (const [slot, zone] of forward.entries()) {
    const before = forward[slot - 1]
    if (before !== undefined && zone.firstEndMs < before.lastBeginMs)
      problems.push(
        `${before.value} and ${zone.value} were both the newest value between ${zone.firstEndMs} and ${before.lastBeginMs} ms`,
      )
  }
  for (const { value, firstEndMs, lastBeginMs } of zones) {
    if (firstEndMs < lastBeginMs) continue
    const around = lastStartingBefore(forward, lastBeginMs)
    if (around !== null && firstEndMs < around.lastBeginMs)
      problems.push(`${value} came and went while ${around.value} was the newest value, at ${lastBeginMs} ms`)
  }
  return problems
}

/** Forward zones do not overlap in a good history, so the last that starts before is the only one that can hold it. */
function lastStartingBefore(forward: readonly Zone[], ms: number): Zone | null {
  let low = 0
  let high = forward.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (forward[middle]!.firstEndMs < ms) low = middle + 1
    else high = middle
  }
  return forward[low - 1] ?? null
}
