import type { Partition } from '@millrace/broker'
import { beforeEach, describe, expect, it } from 'vitest'
import { World } from '../world/world.ts'
import { MoveGhost } from './move-ghost.ts'

/** Bad histories of replicas that are moved: the ghost must object to each, and to nothing else. */

class FakeLog {
  directory: string
  failed = false
  logStartOffset = 0
  logEndOffset: number
  durableOffset: number
  /** Of each offset from the first on; those beyond are of the last one. */
  epochs: readonly number[]

  constructor(directory: string, endOffset: number, epochs: readonly number[] = [1]) {
    this.directory = directory
    this.logEndOffset = endOffset
    this.durableOffset = endOffset
    this.epochs = epochs
  }

  epochOf(offset: number): number {
    return this.epochs[offset] ?? this.epochs.at(-1)!
  }
}

class FakeNode {
  readonly id = 0
  lifeCount = 1
  serves = true
  onlineDirectories = ['/a', '/b']
  /** Directories of logs that have files. */
  paths = new Set(['/a/orders-0'])
  hosted: { topic: string; partition: number; log: FakeLog }[] = []
  readonly disk = {
    stat: (path: string) => (this.paths.has(path) ? { isDirectory: true } : null),
    listDirectory: () => ['00000000000000000000.log'],
  }

  get broker(): { partitions(): Iterable<Partition> } | null {
    return this.serves ? { partitions: () => this.hosted as unknown as Partition[] } : null
  }

  host(log: FakeLog): void {
    this.hosted = [{ topic: 'orders', partition: 0, log }]
  }

  /** The partition goes on with another log. */
  exchange(log: FakeLog): void {
    this.hosted[0]!.log = log
    this.paths = new Set([`${log.directory}/orders-0`])
  }

  /** Killed and started again. */
  restart(log: FakeLog): void {
    this.lifeCount++
    this.host(log)
    this.paths = new Set([`${log.directory}/orders-0`])
  }
}

const EPOCHS = [1, 1, 1, 1, 1, 2]

let node: FakeNode
let ghost: MoveGhost
let committedOffset: number

beforeEach(() => {
  node = new FakeNode()
  node.host(new FakeLog('/a', 10, EPOCHS))
  committedOffset = 8
  ghost = new MoveGhost(new World(1), 'orders', () => [node], {
    committedOffset: () => committedOffset,
    committedEpochs: () => [
      { offset: 0, epoch: 1 },
      { offset: 5, epoch: 2 },
    ],
  })
  ghost.observe()
})

function looks(): () => void {
  return () => {
    ghost.onRenamed(0)
    ghost.afterEvent()
    ghost.observe()
  }
}

describe('MoveGhost', () => {
  it('is content with a move and a start after which nothing is missing that was committed', () => {
    node.exchange(new FakeLog('/b', 8, EPOCHS))
    expect(looks()).not.toThrow()
    node.restart(new FakeLog('/a', 8, EPOCHS))
    expect(looks()).not.toThrow()
  })

  it('M1: objects to two directories that have a log of the partition, and to a log that is not where it is served from', () => {
    node.paths.add('/b/orders-0')
    expect(looks()).toThrow('M1')
    node.paths = new Set()
    expect(looks()).toThrow('M1')
  })

  it('lets a directory that fails have whatever it has', () => {
    node.paths.add('/b/orders-0')
    node.onlineDirectories = ['/a']
    expect(looks()).not.toThrow()
  })

  it('M2: objects to a log that lacks what was durable and committed in the one whose place it takes', () => {
    node.exchange(new FakeLog('/b', 7, EPOCHS))
    expect(looks()).toThrow('M2: after a move node 0 has partition 0 up to 7')
  })

  it('M2: objects to the same after a start', () => {
    node.restart(new FakeLog('/a', 0))
    expect(looks()).toThrow('M2: after a start')
  })

  it('M2: objects to committed records of another epoch', () => {
    node.exchange(new FakeLog('/b', 10, [1, 1, 1, 1, 1, 3]))
    expect(looks()).toThrow('M2')
  })

  it('expects of a log only what was durable in the one before, and committed then', () => {
    node.hosted[0]!.log.durableOffset = 4
    ghost.observe()
    committedOffset = 10
    node.restart(new FakeLog('/b', 4))
    expect(looks()).not.toThrow()
  })

  it('expects nothing of records that were durable and never committed, since others of a later epoch were', () => {
    node.hosted[0]!.log.epochs = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    ghost.observe()
    node.restart(new FakeLog('/a', 5))
    expect(looks()).not.toThrow()
    node.restart(new FakeLog('/a', 4))
    expect(looks()).toThrow('M2')
  })

  it('expects nothing of a replica that went and came again, of another disk, or of one with damaged records', () => {
    node.host(new FakeLog('/a', 0))
    expect(looks()).not.toThrow()
    node.host(new FakeLog('/a', 10, EPOCHS))
    ghost.observe()
    ghost.forget(0)
    node.restart(new FakeLog('/a', 0))
    expect(looks()).not.toThrow()
    node.hosted[0]!.log.logEndOffset = 10
    node.hosted[0]!.log.durableOffset = 10
    ghost.observe()
    ghost.onRotten(0)
    node.restart(new FakeLog('/a', 3))
    expect(looks()).not.toThrow()
  })

  it('forgets a replica that a serving node does not host', () => {
    node.hosted = []
    ghost.observe()
    node.restart(new FakeLog('/a', 0))
    expect(looks()).not.toThrow()
  })
})
