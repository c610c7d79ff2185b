import { beforeEach, describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { type GhostLife, type GhostRecord, type GhostTransaction, TransactionGhost } from './transaction-ghost.ts'

let world: World
let ghost: TransactionGhost

beforeEach(() => {
  world = new World(1)
  ghost = new TransactionGhost(world)
})

/** Virtual time passes. */
function passTo(ms: number): void {
  world.schedule(ms - world.nowMs, 'test', -1, () => undefined)
  world.step()
}

function producerAt(ms: number, transactionalId = 'a'): GhostLife {
  passTo(ms)
  const life = ghost.onIdentityAsked(transactionalId)
  passTo(ms + 1)
  ghost.onIdentified(life)
  return life
}

/** A transaction with a record in each of the partitions, of which it is told that they are stored at these offsets. */
function written(
  life: GhostLife,
  offsets: readonly number[],
): { transaction: GhostTransaction; records: GhostRecord[] } {
  const transaction = ghost.begin(life, 1_000)
  const records = offsets.map((offset, partition) => {
    const record = ghost.onSend(transaction, 't', partition)
    ghost.onStored(record, offset)
    return record
  })
  return { transaction, records }
}

function contents(...entries: [number, GhostRecord][]): Map<number, string> {
  return new Map(entries.map(([offset, { value }]) => [offset, value]))
}

describe('TransactionGhost', () => {
  it('has nothing against transactions of which all is visible, or nothing', () => {
    const life = producerAt(1)
    const one = written(life, [0, 0])
    ghost.onCommitting(one.transaction)
    ghost.onCommitted(one.transaction)
    const other = written(life, [2, 2])
    ghost.onAborting(other.transaction)
    ghost.onAborted(other.transaction)
    for (const partition of [0, 1]) {
      const visible = contents([0, one.records[partition]!])
      ghost.checkPartition(
        't',
        partition,
        visible,
        contents([0, one.records[partition]!], [2, other.records[partition]!]),
      )
    }
    expect(() => ghost.checkOutcomes()).not.toThrow()
  })

  it('finds a committed transaction of which something is lacking (T1)', () => {
    const { transaction, records } = written(producerAt(1), [0, 0])
    ghost.onCommitting(transaction)
    ghost.onCommitted(transaction)
    ghost.checkPartition('t', 0, contents([0, records[0]!]), contents([0, records[0]!]))
    ghost.checkPartition('t', 1, contents(), contents([0, records[1]!]))
    expect(() => ghost.checkOutcomes()).toThrow('T1')
  })

  it.each([
    ['all', 2, 'commit of unknown outcome took effect'],
    ['nothing', 0, 'commit of unknown outcome had no effect'],
  ])('bears with %s of a transaction whose commit nobody heard of', (_, count, mark) => {
    const { transaction, records } = written(producerAt(1), [0, 0])
    ghost.onCommitting(transaction)
    for (const partition of [0, 1]) {
      const stored = contents([0, records[partition]!])
      ghost.checkPartition('t', partition, partition < count ? stored : contents(), stored)
    }
    expect(() => ghost.checkOutcomes()).not.toThrow()
    expect(world.marks.has(mark)).toBe(true)
  })

  it('finds a part of one whose commit nobody heard of (T1)', () => {
    const { transaction, records } = written(producerAt(1), [0, 0])
    ghost.onCommitting(transaction)
    ghost.checkPartition('t', 0, contents([0, records[0]!]), contents([0, records[0]!]))
    ghost.checkPartition('t', 1, contents(), contents([0, records[1]!]))
    expect(() => ghost.checkOutcomes()).toThrow('T1')
  })

  it('finds that what was seen of one is not there in the end (T1)', () => {
    const { transaction, records } = written(producerAt(1), [0])
    ghost.onCommitting(transaction)
    ghost.onSeen(transaction, 'an offset')
    ghost.checkPartition('t', 0, contents(), contents([0, records[0]!]))
    expect(() => ghost.checkOutcomes()).toThrow('T1')
  })

  it('finds records of a transaction that was aborted, or never to be committed (T2)', () => {
    const { records } = written(producerAt(1), [0])
    ghost.checkPartition('t', 0, contents([0, records[0]!]), contents([0, records[0]!]))
    expect(() => ghost.checkOutcomes()).toThrow('T2')
  })

  it('finds a record that is read as committed before its commit was asked for, and after its abort was (T2)', () => {
    const { transaction, records } = written(producerAt(1), [0])
    const read = () => ghost.onRead(ghost.openReading('t', 0, 0, true), 0, records[0]!.value)
    expect(read).toThrow('T2')
    ghost.onRead(ghost.openReading('t', 0, 0, false), 0, records[0]!.value)
    ghost.onCommitting(transaction)
    expect(read).not.toThrow()
    const other = written(producerAt(5, 'b'), [1])
    ghost.onCommitting(other.transaction)
    ghost.onAborting(other.transaction)
    expect(() => ghost.onRead(ghost.openReading('t', 0, 0, true), 1, other.records[0]!.value)).toThrow('T2')
  })

  it('finds an abort of what was seen (T2)', () => {
    const { transaction } = written(producerAt(1), [0])
    ghost.onCommitting(transaction)
    ghost.onSeen(transaction, 'a record')
    expect(() => ghost.onAborting(transaction)).toThrow('T2')
  })

  it('finds what is visible and not stored (T2)', () => {
    const { records } = written(producerAt(1), [0])
    expect(() => ghost.checkPartition('t', 0, contents([0, records[0]!]), contents())).toThrow('T2')
  })

  it('finds a commit that was asked for after a successor had its identity, and bears with one before (T3)', () => {
    const life = producerAt(1)
    const early = written(life, [0])
    passTo(3)
    ghost.onCommitting(early.transaction)
    producerAt(5)
    expect(() => ghost.onCommitted(early.transaction)).not.toThrow()
    passTo(8)
    const late = ghost.begin(life, 1_000)
    ghost.onCommitting(late)
    expect(() => ghost.onCommitted(late)).toThrow('T3')
  })

  it('finds a record that was sent after a successor had its identity, however it shows (T3)', () => {
    const life = producerAt(1)
    producerAt(5)
    passTo(8)
    const record = ghost.onSend(ghost.begin(life, 1_000), 't', 0)
    expect(() => ghost.onStored(record, 0)).toThrow('T3')
    expect(() => ghost.onRead(ghost.openReading('t', 0, 0, false), 0, record.value)).toThrow('T3')
    expect(() => ghost.checkPartition('t', 0, contents(), contents([0, record]))).toThrow('T3')
  })

  it('does not take those who got their identities beside each other for successors', () => {
    const one = ghost.onIdentityAsked('a')
    passTo(2)
    const other = ghost.onIdentityAsked('a')
    passTo(3)
    ghost.onIdentified(other)
    passTo(4)
    ghost.onIdentified(one)
    expect(ghost.fencedMs(one)).toBe(Number.POSITIVE_INFINITY)
    expect(ghost.fencedMs(other)).toBe(Number.POSITIVE_INFINITY)
  })

  it('finds what is there twice (R14), changed (R3), in another order (R14) or made up (S2)', () => {
    const { records, transaction } = written(producerAt(1), [0])
    const second = ghost.onSend(transaction, 't', 0)
    expect(() => ghost.onStored(records[0]!, 4)).toThrow('R14')
    expect(() => ghost.onStored(second, 0)).toThrow('R3')
    expect(() => ghost.checkPartition('t', 0, contents(), contents([0, second], [1, records[0]!]))).toThrow('R14')
    expect(() => ghost.onRead(ghost.openReading('t', 0, 0, false), 7, 'x')).toThrow('S2')
    expect(() => ghost.onRead(ghost.openReading('t', 1, 0, false), 7, second.value)).toThrow('S2')
  })

  it('finds a reader who passed over something committed (T1), or over something stored (R3)', () => {
    const { transaction } = written(producerAt(1), [])
    const [one, other] = [ghost.onSend(transaction, 't', 0), ghost.onSend(transaction, 't', 0)]
    ghost.onCommitting(transaction)
    const all = contents([0, one], [1, other])
    for (const isCommittedOnly of [true, false]) {
      const reading = ghost.openReading('t', 0, 0, isCommittedOnly)
      ghost.onRead(reading, 1, other.value)
      reading.nextOffset = 2
      expect(() => ghost.checkPartition('t', 0, all, all)).toThrow(isCommittedOnly ? 'T1' : 'R3')
      reading.offsets.unshift(0)
      expect(() => ghost.checkPartition('t', 0, all, all)).not.toThrow()
    }
  })

  it('knows where the oldest transaction begins that is certainly open', () => {
    const life = producerAt(1)
    const { transaction } = written(life, [7, 3])
    expect(ghost.firstOpenOffset('t', 0)).toBe(7)
    expect(ghost.firstOpenOffset('t', 1)).toBe(3)
    expect(ghost.firstOpenOffset('t', 2)).toBe(Number.POSITIVE_INFINITY)
    ghost.onCommitting(transaction)
    expect(ghost.firstOpenOffset('t', 0)).toBe(Number.POSITIVE_INFINITY)
  })

  it('does not take one for open whose time is over, or whose producer may have been fenced', () => {
    written(producerAt(1), [7])
    passTo(1_000)
    expect(ghost.firstOpenOffset('t', 0)).toBe(Number.POSITIVE_INFINITY)
    written(producerAt(1_001), [9])
    expect(ghost.firstOpenOffset('t', 0)).toBe(9)
    ghost.onIdentityAsked('a')
    expect(ghost.firstOpenOffset('t', 0)).toBe(Number.POSITIVE_INFINITY)
  })

  it('takes whoever asked before and got it later for a successor', () => {
    passTo(1)
    const slow = ghost.onIdentityAsked('a')
    const life = producerAt(2)
    expect(ghost.isSucceeded(life)).toBe(true)
    ghost.onIdentityNotHeard(slow)
    passTo(10_000)
    expect(ghost.isSucceeded(life)).toBe(true)
    passTo(20_000)
    expect(ghost.isSucceeded(life)).toBe(false)
    ghost.onIdentified(slow)
    expect(ghost.isSucceeded(life)).toBe(true)
  })

  it('bears with a request that a producer gave up and that comes late, also if it is its own', () => {
    passTo(1)
    const life = ghost.onIdentityAsked('a')
    ghost.onIdentityNotHeard(life)
    ghost.onIdentified(life)
    expect(ghost.isSucceeded(life)).toBe(true)
    passTo(20_000)
    expect(ghost.isSucceeded(life)).toBe(false)
  })
})
