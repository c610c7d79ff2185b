import { isData, type Key, type OffsetsOperation, type Operation, type Place } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'

/** Holds committed offsets and watermarks against what was told before. */
export function checkPromises(operations: readonly Operation[], findings: Findings): void {
  checkCommitted(operations, findings)
  checkWatermarks(operations, findings)
}

/** Offsets that a group was told: by a commit, or with a transaction. */
type Commit = OffsetsOperation & { readonly kind: 'commit' }

/**
 * Who asks for committed offsets after a commit was acknowledged gets that offset, a later one, or that of a commit whose outcome nobody
 * knows, which may take effect at any time after it was sent. He never gets one that nobody committed, that of an aborted transaction among
 * them.
 */
function checkCommitted(operations: readonly Operation[], findings: Findings): void {
  const promised = new Map<string, number>()
  const possible = new Map<string, Set<number>>()
  const commits = operations.flatMap(commitOf)
  const unsure = new Set(
    commits
      .filter(({ outcome }) => outcome === 'info')
      .flatMap(({ group, places }) => places.map((place) => `${nameOf(group, place)} ${place.offset}`)),
  )
  const questions = operations.filter((operation): operation is OffsetsOperation => operation.kind === 'committed')
  const inOrder = [...commits, ...questions]
    .flatMap((operation) => [
      { ms: operation.invokedMs, isEnd: false, operation },
      { ms: operation.completedMs, isEnd: true, operation },
    ])
    .sort((left, right) => left.ms - right.ms)
  /** What each question must be answered with at least: what was promised when it was asked. */
  const floors = new Map<number, Map<string, number>>()
  for (const { isEnd, operation } of inOrder) {
    if (operation.kind === 'commit') {
      for (const place of operation.places) {
        const name = nameOf(operation.group, place)
        // Until it ends it may have taken effect, and one that does not end stays so.
        if (!isEnd) add(possible, name, place.offset)
        else if (operation.outcome === 'ok') promised.set(name, Math.max(place.offset, promised.get(name) ?? -1))
      }
    } else if (!isEnd) floors.set(operation.id, new Map(promised))
    else if (operation.outcome === 'ok') {
      checkTold(operation, floors.get(operation.id) ?? new Map(), possible, unsure, findings)
      floors.delete(operation.id)
    }
  }
}

/** Those that certainly did not happen are none. */
function commitOf(operation: Operation): Commit[] {
  if (operation.outcome === 'fail') return []
  if (operation.kind === 'commit') return [operation as Commit]
  if (!isData(operation) || operation.consumed === undefined) return []
  const { id, process, outcome, invokedMs, completedMs, consumed } = operation
  const { group, places } = consumed
  return [{ id, process, outcome, invokedMs, completedMs, kind: 'commit', group, places }]
}

/** `possible`: offsets by group and log that may have been committed by now; `unsure`: those of which nobody knows. */
function checkTold(
  { group, places, process }: OffsetsOperation,
  floors: ReadonlyMap<string, number>,
  possible: ReadonlyMap<string, ReadonlySet<number>>,
  unsure: ReadonlySet<string>,
  findings: Findings,
): void {
  const told = new Map(places.map((place) => [nameOf(group, place), place.offset]))
  for (const [name, offset] of told)
    if (!possible.get(name)?.has(offset))
      findings.add('invented-offset', `${name}: ${process} was told ${offset}, which nobody had committed`)
  for (const [name, floor] of floors) {
    if (!name.startsWith(`${group} `)) continue
    const offset = told.get(name) ?? -1
    if (offset >= floor || unsure.has(`${name} ${offset}`)) continue
    findings.add('offset-regress', `${name}: committed ${floor}, and later ${process} was told ${offset}`)
  }
}

function nameOf(group: string, { key }: Place): string {
  return `${group} ${key}`
}

function add(map: Map<string, Set<number>>, name: string, offset: number): void {
  const set = map.get(name)
  if (set === undefined) map.set(name, new Set([offset]))
  else set.add(offset)
}

/** One client that asks again after it was answered sees no end move back: its metadata never leads it to an older leader. */
function checkWatermarks(operations: readonly Operation[], findings: Findings): void {
  const newest = new Map<string, Map<Key, { offset: number; completedMs: number }>>()
  for (const operation of operations) {
    if (operation.kind !== 'ends' || operation.outcome !== 'ok') continue
    const { process, isolation, places, invokedMs, completedMs } = operation
    const observer = `${process} ${isolation}`
    const seen = newest.get(observer) ?? new Map<Key, { offset: number; completedMs: number }>()
    newest.set(observer, seen)
    for (const { key, offset } of places) {
      const before = seen.get(key)
      if (before !== undefined && before.completedMs <= invokedMs && offset < before.offset)
        findings.add('watermark-regress', `${process} ${key}: ${before.offset}, then ${offset} (${isolation})`)
      if (before === undefined || offset >= before.offset) seen.set(key, { offset, completedMs })
    }
  }
}
