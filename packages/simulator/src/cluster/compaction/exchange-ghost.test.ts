import type { Partition } from '@millrace/broker'
import { describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { type CompactingNode, ExchangeGhost } from './exchange-ghost.ts'
import type { StoredBatch } from './stored-batches.ts'
import { encodeSegment } from './testing/encode-segment.ts'
import { batch, thinned } from './testing/stored-log.ts'

const DIRECTORY = '/disk-0/stock-0'
const name = (offset: number, suffix: string) => `${String(offset).padStart(20, '0')}.log${suffix}`
const LIMITS = new Map([['stock', { deleteRetentionMs: 1_000, minCompactionLagMs: 0 }]])

interface Replica {
  /** Contents by the name of the file. */
  readonly files: Readonly<Record<string, Buffer>>
  readonly faultyRanges?: readonly { startOffset: number; endOffset: number }[]
  readonly highWatermark?: number
}

function node(id: number, { files, faultyRanges = [], highWatermark = 4 }: Replica): CompactingNode {
  const log = { path: DIRECTORY, directory: '/disk-0', highWatermark, writtenOffset: 100, failed: false, faultyRanges }
  const hosted = { topic: 'stock', partition: 0, isLeader: true, log } as unknown as Partition
  return {
    id,
    loop: { wallMs: () => 100_000 },
    onlineDirectories: ['/disk-0'],
    broker: { partitions: () => [hosted] },
    disk: { listDirectory: () => Object.keys(files), peek: (path) => files[path.slice(DIRECTORY.length + 1)]! },
  }
}

const FIRST = batch(0, [
  ['a', '1'],
  ['b', '1'],
])
const SECOND = batch(2, [
  ['a', '2'],
  ['c', '1'],
])
const CLOSED = { [name(0, '')]: encodeSegment(FIRST), [name(2, '')]: encodeSegment(SECOND) }
const FILES = { ...CLOSED, [name(4, '')]: encodeSegment(batch(4, [['d', '1']])) }

/** What the ghost has to say when a new segment of these batches is announced. */
function announced(...made: StoredBatch[]): { world: World; look: () => void } {
  const world = new World(1)
  const node0 = node(0, { files: { ...FILES, [name(0, '.cleaned')]: encodeSegment(...made) } })
  const ghost = new ExchangeGhost(world, () => [node0], LIMITS)
  return { world, look: () => ghost.beforeRename(node0, `${DIRECTORY}/${name(0, '.cleaned')}`) }
}

describe('the ghost of exchanges', () => {
  it('holds an announced segment against the log as it is', () => {
    const { world, look } = announced(thinned(FIRST, 1), SECOND)
    look()
    expect([...world.marks.keys()]).toEqual(['log compacted', 'log compacted by its leader'])
    expect(announced(thinned(FIRST, 0), SECOND).look).toThrow(/K1.*key b/)
    expect(announced(thinned(FIRST, 1)).look).not.toThrow()
  })

  it('leaves other names alone', () => {
    const world = new World(1)
    const ghost = new ExchangeGhost(world, () => [], LIMITS)
    for (const path of [
      `${DIRECTORY}/${name(0, '')}`,
      '/disk-0/stock-0',
      `/disk-0/stock-0.0a-future/${name(0, '.cleaned')}`,
    ]) {
      ghost.beforeRename(node(0, { files: FILES }), path)
    }
    expect(world.judged.size).toBe(0)
  })

  it('finds replicas that do not agree (K7)', () => {
    const agreement = (other: Replica) => () => {
      const nodes = [node(0, { files: FILES }), node(1, other)]
      new ExchangeGhost(new World(1), () => nodes, LIMITS).checkAgreement('stock', 0)
    }
    const compacted = { [name(0, '')]: encodeSegment(thinned(FIRST, 1), SECOND) }
    expect(agreement({ files: compacted })).not.toThrow()
    const changed = {
      [name(0, '')]: encodeSegment(
        batch(0, [
          ['a', '1'],
          ['b', '9'],
        ]),
      ),
    }
    expect(agreement({ files: changed })).toThrow(/K7.*offset 1/)
    expect(agreement({ files: { [name(0, '')]: encodeSegment({ ...FIRST, leaderEpoch: 2 }) } })).toThrow('K7')
    // What is not committed may still go.
    expect(agreement({ files: changed, highWatermark: 1 })).not.toThrow()
  })

  it('finds damage that no disk did (S1)', () => {
    const damaged = node(0, { files: FILES, faultyRanges: [{ startOffset: 2, endOffset: 4 }] })
    const world = new World(1)
    const ghost = new ExchangeGhost(world, () => [damaged], LIMITS)
    expect(() => ghost.checkSound()).toThrow('S1')
    world.fault('rot of records', 0)
    expect(() => ghost.checkSound()).not.toThrow()
  })
})
