import type { Key, OffsetsOperation, Operation, Place } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'

/** Holds committed offsets and watermarks against what was told before. */
export function checkPromises(operations: readonly Operation[], findings: Findings): void {
  checkCommitted(operations, findings)
  checkWatermarks(operations, findings)
}

/**
 * Who asks for committed offsets after a commit was acknowledged gets that offset, a later one, or that of a commit whose outcome nobody
 * knows, which may take effect at any time after it was sent.
 */
function checkCommitted(operations: readonly Operation[], findings: Findings): void {
  const promised = new Map<string, number>()
  const unsure = new Map<string, Set<number>>()
  const inOrder = operations
    .filter((operation): operation is OffsetsOperation => operation.kind === 'commit' || operation.kind === 'committed')
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
        if (!isEnd) add(unsure, name, place.offset)
        else if (operation.outcome === 'ok') promised.set(name, Math.max(place.offset, promised.get(name) ?? -1))
      }
    } else if (!isEnd) floors.set(operation.id, new Map(promised))
    else if (operation.outcome === 'ok') {
      const told = new Map(operation.places.map((place) => [nameOf(operation.group, place), place.offset]))
      for (const [name, floor] of floors.get(operation.id) ?? []) {
        if (!name.startsWith(`${operation.group} `)) continue
        const offset = told.get(name) ?? -1
        if (offset >= floor) continue
        if (unsure.get(name)?.has(offset) && hasUnsureCommit(operations, operation.group, name, offset)) continue
        findings.add('offset-regress', `${name}: committed ${floor}, and later ${operation.process} was told ${offset}`)
      }
      floors.delete(operation.id)
    }
  }
}

function hasUnsureCommit(operations: readonly Operation[], group: string, name: string, offset: number): boolean {
  return operations.some(
    (operation) =>
      operation.kind === 'commit' &&
      operation.outcome === 'info' &&
      operation.group === group &&
      operation.places.some((place) => place.offset === offset && nameOf(group, place) === name),
  )
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
