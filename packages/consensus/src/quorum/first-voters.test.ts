import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { VoterSet } from '../raft/types.ts'
import { MemoryNetwork } from '../transport/testing/memory-network.ts'
import { FirstVoters } from './first-voters.ts'
import { decodeFirstVoters, encodeFirstVoters } from './first-voters-codec.ts'

const directoryOf = (number: number) => Buffer.alloc(16, number).toString('base64url') as Uuid

class Nodes {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly network = new MemoryNetwork(this.timers)
  /** What each node's disk keeps. */
  readonly disks = new Map<number, { directoryId: Uuid; voters: VoterSet | null }>()
  readonly running = new Map<number, FirstVoters>()
  readonly waiting: unknown[] = []

  start(id: number, { named = [1, 2, 3], directory = id }: { named?: readonly number[]; directory?: number } = {}) {
    const disk = this.disks.get(id) ?? { directoryId: directoryOf(directory), voters: null }
    this.disks.set(id, disk)
    let target: FirstVoters | null = null
    const transport = this.network.join(id, {
      onMessage: (from, channel, payload) => target?.onMessage(from, channel, payload),
      onConnected: (peer) => target?.onConnected(peer),
      onLost: (peer) => target?.onLost(peer),
      onWritable: () => undefined,
    })
    target = new FirstVoters({
      self: { id, directoryId: disk.directoryId },
      named: named.map((other) => ({ id: other, host: '127.0.0.1', port: 9000 + other })),
      known: disk.voters,
      transport,
      timers: this.timers,
      onKnown: (voters) => {
        expect(disk.voters).toBeNull()
        disk.voters = voters
      },
      onWaiting: (missing, disagreeing) => this.waiting.push({ id, missing, disagreeing }),
    })
    this.running.set(id, target)
    // Whoever knows them starts the quorum, which connects the node.
    if (disk.voters !== null) {
      transport.setPeers(new Map(disk.voters.map((voter) => [voter.id, { host: voter.host, port: voter.port }])))
    }
  }

  kill(id: number): void {
    this.running.get(id)!.close()
    this.network.leave(id)
  }

  /** All of its disks are lost. */
  wipe(id: number): void {
    this.disks.delete(id)
  }

  run(ms = 3000): void {
    this.timers.advance(ms)
  }

  directories(id: number): (readonly [number, Uuid])[] | null {
    return this.disks.get(id)?.voters?.map((voter) => [voter.id, voter.directoryId] as const) ?? null
  }
}

describe('First voters', () => {
  const all = [1, 2, 3].map((id) => [id, directoryOf(id)])

  it('are known to all once all were heard, in whatever order they start', () => {
    for (const order of [
      [1, 2, 3],
      [3, 2, 1],
      [2, 3, 1],
    ]) {
      const nodes = new Nodes()
      for (const id of order.slice(0, 2)) nodes.start(id)
      nodes.run()
      for (const id of [1, 2, 3]) expect(nodes.directories(id)).toBeNull()
      nodes.start(order[2]!)
      nodes.run()
      for (const id of [1, 2, 3]) expect(nodes.directories(id)).toEqual(all)
    }
  })

  it('are the node itself where it is the only one', () => {
    const nodes = new Nodes()
    nodes.start(4, { named: [4] })
    nodes.run(0)
    expect(nodes.directories(4)).toEqual([[4, directoryOf(4)]])
  })

  it('do not change when two of three lose all they had: these find that they are not among them', () => {
    const nodes = new Nodes()
    for (const id of [1, 2, 3]) nodes.start(id)
    nodes.run()
    for (const id of [1, 2, 3]) nodes.kill(id)
    nodes.wipe(1)
    nodes.wipe(2)
    nodes.start(1, { directory: 11 })
    nodes.start(2, { directory: 12 })
    nodes.run(60_000)
    expect([nodes.directories(1), nodes.directories(2)]).toEqual([null, null])
    nodes.start(3)
    nodes.run()
    expect([nodes.directories(1), nodes.directories(2)]).toEqual([all, all])
  })

  it('come from any node that knows them, if the one that made the list is gone', () => {
    const nodes = new Nodes()
    for (const id of [1, 2, 3]) nodes.start(id)
    nodes.run()
    nodes.kill(1)
    nodes.kill(3)
    nodes.wipe(3)
    nodes.start(3, { directory: 13 })
    nodes.run()
    expect(nodes.directories(3)).toEqual(all)
  })

  it('are those that were heard last: a node that was wiped meanwhile counts with its new directory', () => {
    const nodes = new Nodes()
    nodes.start(1)
    nodes.start(3)
    nodes.run()
    nodes.kill(3)
    nodes.wipe(3)
    nodes.run()
    nodes.start(2)
    nodes.run()
    expect(nodes.directories(1)).toBeNull()
    nodes.start(3, { directory: 13 })
    nodes.run()
    for (const id of [1, 2, 3]) expect(nodes.directories(id)?.[2]).toEqual([3, directoryOf(13)])
  })

  it('are not made up while settings contradict each other, and somebody is told', () => {
    const nodes = new Nodes()
    nodes.start(1, { named: [1, 2] })
    nodes.start(2, { named: [1, 2, 3] })
    nodes.run(10_500)
    expect([nodes.directories(1), nodes.directories(2)]).toEqual([null, null])
    expect(nodes.waiting).toEqual([
      { id: 1, missing: [], disagreeing: [2] },
      { id: 2, missing: [3], disagreeing: [1] },
    ])
    expect(nodes.running.get(2)!.waitsFor).toEqual({ missing: [3], disagreeing: [1] })
    nodes.kill(1)
    nodes.run()
    expect(nodes.running.get(2)!.waitsFor).toEqual({ missing: [1, 3], disagreeing: [] })
  })

  it('differ never, whoever dies, loses its disks or comes back while they are found', () => {
    const steps = fc.array(
      fc.record({
        id: fc.integer({ min: 1, max: 3 }),
        what: fc.constantFrom('start', 'kill', 'wipe', 'cut', 'heal'),
        ms: fc.integer({ min: 0, max: 4 }),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(steps, (script) => {
        const nodes = new Nodes()
        const up = new Set<number>()
        let directory = 20
        for (const { id, what, ms } of script) {
          if (what === 'start' && !up.has(id)) {
            nodes.start(id, { directory: directory++ })
            up.add(id)
          } else if (what === 'kill' && up.delete(id)) {
            nodes.kill(id)
          } else if (what === 'wipe' && !up.has(id)) {
            // With no other that knows the list everything is lost: there is nothing to split from.
            const others = [1, 2, 3].filter((other) => other !== id && nodes.directories(other) !== null)
            if (others.length > 0) nodes.wipe(id)
          } else if (what === 'cut') {
            nodes.network.cut(id, (id % 3) + 1)
          } else if (what === 'heal') {
            nodes.network.heal(id, (id % 3) + 1)
          }
          nodes.run(ms)
          const lists = [1, 2, 3].map((other) => nodes.directories(other)).filter((list) => list !== null)
          for (const list of lists) expect(list).toEqual(lists[0])
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('The frame about first voters', () => {
  it('is read as it was written', () => {
    const voters: VoterSet = [{ id: 1, host: 'ä.example', port: 9093, directoryId: directoryOf(1) }]
    for (const known of [null, voters]) {
      for (const isQuestion of [true, false]) {
        const frame = { isQuestion, directoryId: directoryOf(2), named: [0, 2, 0x7fffffff], voters: known }
        expect(decodeFirstVoters(encodeFirstVoters(frame))).toEqual(frame)
      }
    }
  })

  it('is refused where it is anything else', () => {
    const bytes = encodeFirstVoters({ isQuestion: true, directoryId: directoryOf(2), named: [1, 2], voters: null })
    const changed = (position: number, value: number) => {
      const copy = Buffer.from(bytes)
      copy[position] = value
      return copy
    }
    const bad = [
      Buffer.alloc(0),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.from([0])]),
      changed(0, 2),
      changed(1, 4),
      changed(2, 1),
      changed(19, 64),
      changed(20, 0x80),
      changed(23, 9),
    ]
    for (const candidate of bad) expect(decodeFirstVoters(candidate)).toBeNull()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (random) => {
        const frame = decodeFirstVoters(Buffer.from(random))
        if (frame !== null) expect(encodeFirstVoters(frame)).toEqual(Buffer.from(random))
      }),
    )
  })
})
