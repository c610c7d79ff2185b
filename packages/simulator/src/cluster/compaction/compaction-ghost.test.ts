import { beforeEach, describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { CompactionGhost, type Pass } from './compaction-ghost.ts'

let world: World
let ghost: CompactionGhost

beforeEach(() => {
  world = new World(1)
  ghost = new CompactionGhost(world, [
    { name: 'stock', isDeleted: false, deleteRetentionMs: 1_000, minCompactionLagMs: 0 },
    { name: 'prices', isDeleted: false, deleteRetentionMs: 1_000, minCompactionLagMs: 500 },
    { name: 'sessions', isDeleted: true, deleteRetentionMs: 1_000, minCompactionLagMs: 0 },
  ])
})

function passTime(durationMs: number): void {
  world.schedule(durationMs, 'test', -1, () => undefined)
  world.step()
}

function send(id: string, key: string, value: string | null, topic = 'stock'): void {
  ghost.onSend({ topic, id, key, value })
}

/** Sends a record that is stored at the offset. */
function store(offset: number, key: string, value: string | null, topic = 'stock'): void {
  send(`0-${offset}`, key, value, topic)
  ghost.onStored(`0-${offset}`, offset)
}

/** Reads records, each an offset with its key and value, from the beginning to an end. */
function read(endOffset: number, records: readonly [number, string, string | null][], topic = 'stock'): Pass {
  const pass = ghost.beginPass(topic, 0)
  for (const [offset, key, value] of records) ghost.onRead(pass, { offset, id: `0-${offset}`, key, value }, 0)
  ghost.checkPass(pass, endOffset)
  return pass
}

describe('a reader of a compacted topic', () => {
  it('need not be given what a newer record replaces, and must be given the newest of each key (K6)', () => {
    store(0, 'a', '1')
    store(1, 'b', '1')
    store(2, 'a', '2')
    expect(() =>
      read(3, [
        [1, 'b', '1'],
        [2, 'a', '2'],
      ]),
    ).not.toThrow()
    expect(() =>
      read(3, [
        [0, 'a', '1'],
        [1, 'b', '1'],
      ]),
    ).toThrow('K6')
    expect(() => read(3, [[2, 'a', '2']])).toThrow(/K6.*key b/)
    // What lies above the end of the reading may have been compacted with it.
    expect(() => read(2, [[1, 'b', '1']])).not.toThrow()
  })

  it('may miss what one whose end nobody knows may have replaced, but not for ever after', () => {
    store(0, 'a', '1')
    send('1-0', 'a', '2')
    expect(() => read(1, [])).not.toThrow()
    ghost.onUnknown('1-0')
    expect(() => read(1, [])).not.toThrow()
    passTime(30_000)
    store(1, 'a', '3')
    expect(() => read(2, [])).toThrow(/K6.*0-1/)
  })

  it('need not miss what was aborted, and must not be given it (T2)', () => {
    store(0, 'a', '1')
    send('0-1', 'a', '2')
    ghost.onPlaced('0-1', 1)
    ghost.onAborted('0-1')
    expect(() => read(2, [])).toThrow('K6')
    expect(() =>
      read(2, [
        [0, 'a', '1'],
        [1, 'a', '2'],
      ]),
    ).toThrow('T2')
  })

  it('is told of a deletion for as long as it was promised (K6)', () => {
    store(0, 'a', '1')
    store(1, 'a', null)
    passTime(999)
    expect(() => read(2, [])).toThrow('K6')
    expect(() => read(2, [[1, 'a', null]])).not.toThrow()
    passTime(1)
    expect(() => read(2, [])).not.toThrow()
  })

  it('is given what is replaced by young records only (K6)', () => {
    store(0, 'a', '1', 'prices')
    store(1, 'a', '2', 'prices')
    passTime(499)
    expect(() => read(2, [[1, 'a', '2']], 'prices')).toThrow('K6')
    passTime(1)
    expect(() => read(2, [[1, 'a', '2']], 'prices')).not.toThrow()
  })

  it('need not be given what lies below the beginning of the log, which moves only where old segments are deleted (R15)', () => {
    store(0, 'a', '1', 'sessions')
    store(1, 'b', '1', 'sessions')
    const pass = ghost.beginPass('sessions', 0)
    ghost.onRead(pass, { offset: 1, id: '0-1', key: 'b', value: '1' }, 1)
    expect(() => ghost.checkPass(pass, 2)).not.toThrow()
    // Or below where that of an earlier leader began.
    const later = ghost.beginPass('sessions', 0)
    expect(() => ghost.checkPass(later, 2)).toThrow('K6')
    ghost.onReplicaStart('sessions', 2)
    expect(() => ghost.checkPass(later, 2)).not.toThrow()
    expect(() => ghost.onLogStart(ghost.beginPass('stock', 0), 1)).toThrow('R15')
  })

  it('is given nothing that is made up, changed, moved, or out of order', () => {
    store(0, 'a', '1')
    store(1, 'b', '1')
    expect(() => read(2, [[0, 'a', '9']])).toThrow('S2')
    expect(() => read(2, [[7, 'a', '1']])).toThrow('S2')
    expect(() =>
      read(2, [
        [1, 'b', '1'],
        [0, 'a', '1'],
      ]),
    ).toThrow('K6')
    const pass = ghost.beginPass('stock', 0)
    expect(() => ghost.onRead(pass, { offset: 5, id: '0-0', key: 'a', value: '1' }, 0)).toThrow('R14')
    expect(() => ghost.onRead(ghost.beginPass('stock', 0), { offset: 1, id: '0-0', key: 'a', value: '1' }, 0)).toThrow(
      'R3',
    )
  })
})

describe('the deletions that a ghost knows', () => {
  it('are the newest records of their keys, for certain', () => {
    store(0, 'a', null)
    store(1, 'b', null)
    store(2, 'b', '2')
    store(3, 'c', null)
    send('1-0', 'c', '9')
    expect([...ghost.deletions('stock')]).toEqual([{ key: 'a', offset: 0, sentMs: 0 }])
    expect(ghost.keyAt('stock', 3)).toBe('c')
  })
})
