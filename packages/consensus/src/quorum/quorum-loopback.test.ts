import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealClock, RealRandom, RealTimers } from '@millrace/base'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LmdbStore } from '../log/lmdb-store.ts'
import { entryKey } from '../log/record-format.ts'
import { changeRecord } from '../log/testing/log-fixture.ts'
import type { VoterSet } from '../raft/types.ts'
import { PeerRouter } from '../transport/peer-router.ts'
import { PeerChannel } from '../transport/peer-transport.ts'
import { WsTransport } from '../transport/ws-transport.ts'
import { QuorumNode } from './quorum-node.ts'
import { directoryOf, RecordingListener } from './testing/quorum-cluster.ts'

interface Member {
  readonly id: number
  readonly router: PeerRouter
  readonly listener: AwaitingListener
  readonly transport: WsTransport
  store: LmdbStore | null
  node: QuorumNode | null
}

/** Tells when something has changed, so that tests wait for events and not for time. */
class AwaitingListener extends RecordingListener {
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    super()
    this.#onChange = onChange
  }

  override onCommitted(entries: Parameters<RecordingListener['onCommitted']>[0]): void {
    super.onCommitted(entries)
    this.#onChange()
  }

  override onSnapshot(index: number, data: Buffer): void {
    super.onSnapshot(index, data)
    this.#onChange()
  }

  override onElected(term: number): void {
    super.onElected(term)
    this.#onChange()
  }

  override onDeposed(): void {
    super.onDeposed()
    this.#onChange()
  }
}

/** Goal: the real parts fit together. Method: three nodes in one process, LMDB in temporary directories, WebSockets over loopback. */
describe('A quorum over loopback with LMDB', () => {
  let directory: string
  let voters: VoterSet
  const members = new Map<number, Member>()
  let waiting: { holds: () => boolean; resolve(): void }[] = []

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'quorum-'))
    const opened = await Promise.all([1, 2, 3].map((id) => openTransport(id, 0)))
    voters = opened.map(({ transport }, slot) => ({
      id: slot + 1,
      directoryId: directoryOf(slot + 1),
      host: '127.0.0.1',
      port: transport.port,
    }))
    for (const { transport, router } of opened)
      await start(opened.findIndex((one) => one.transport === transport) + 1, transport, router)
  })

  afterEach(async () => {
    for (const id of members.keys()) await stop(id)
    members.clear()
    rmSync(directory, { recursive: true, force: true })
  })

  async function openTransport(id: number, port: number): Promise<{ transport: WsTransport; router: PeerRouter }> {
    const router = new PeerRouter()
    const transport = await WsTransport.open(
      {
        identity: { clusterId: 'cluster', nodeId: id, directoryId: directoryOf(id) },
        listen: { host: '127.0.0.1', port },
        secret: Buffer.from('a secret of the cluster'),
        tls: null,
        timers: new RealTimers(),
        clock: new RealClock(),
        random: new RealRandom(),
      },
      router,
    )
    return { transport, router }
  }

  const pathOf = (id: number) => join(directory, `${id}.mdb`)

  async function start(id: number, transport: WsTransport, router: PeerRouter): Promise<void> {
    const create = !members.has(id)
    const store = await LmdbStore.open({
      path: pathOf(id),
      clusterId: 'cluster',
      nodeId: id,
      directoryId: directoryOf(id),
      create,
    })
    const listener = new AwaitingListener(() => wake())
    const node = new QuorumNode({
      self: { id, directoryId: directoryOf(id) },
      store,
      transport,
      listener,
      bootstrapVoters: voters,
      bootstrapEndpoints: new Map(),
      clock: new RealClock(),
      timers: new RealTimers(),
      random: new RealRandom(),
      onFatal: (error) => {
        throw error
      },
      limits: { keptEntryCount: 3 },
    })
    router.attach(PeerChannel.RAFT, node)
    members.set(id, { id, router, listener, transport, store, node })
  }

  async function restart(id: number): Promise<void> {
    const { transport, router } = await openTransport(id, voters[id - 1]!.port)
    await start(id, transport, router)
  }

  async function stop(id: number): Promise<void> {
    const member = members.get(id)!
    const { node, store } = member
    if (node === null || store === null) return
    member.node = null
    member.store = null
    member.listener.electedTerm = null
    // Abruptly for the others: connections end before it could hand over.
    await member.transport.close()
    await node.close()
    await store.close()
  }

  function wake(): void {
    waiting = waiting.filter(({ holds, resolve }) => {
      if (!holds()) return true
      resolve()
      return false
    })
  }

  function until(holds: () => boolean): Promise<void> {
    return holds() ? Promise.resolve() : new Promise((resolve) => waiting.push({ holds, resolve }))
  }

  const up = () => [...members.values()].filter(({ node }) => node !== null)

  async function leader(): Promise<Member> {
    const leaders = () => up().filter(({ listener }) => listener.electedTerm !== null)
    await until(() => leaders().length === 1)
    return leaders()[0]!
  }

  async function propose(value: string): Promise<void> {
    // A leader may just be losing its place; the value counts once, wherever it is taken.
    for (;;) {
      const { node } = await leader()
      if (typeof node!.propose(Buffer.from(value)) === 'number') return
    }
  }

  async function converge(values: readonly string[]): Promise<void> {
    await until(() => up().every(({ listener }) => listener.values.join() === values.join()))
  }

  it('elects, commits, survives the loss of its leader, and catches up by log and by snapshot', async () => {
    await propose('a')
    await converge(['a'])
    const first = await leader()
    await stop(first.id)
    await propose('b')
    await converge(['a', 'b'])
    const second = await leader()
    expect(second.id).not.toBe(first.id)

    const values = ['a', 'b']
    for (let number = 0; number < 30; number++) {
      values.push(`c${number}`)
      await propose(`c${number}`)
    }
    await converge(values)
    for (let round = 0; round < 2; round++) {
      for (const { node, listener } of up()) {
        await node!.saveSnapshot(listener.appliedIndex, Buffer.from(JSON.stringify(listener.values)))
      }
      values.push(`d${round}`)
      await propose(`d${round}`)
      await converge(values)
    }
    expect(second.store!.firstIndex).toBeGreaterThan(10)
    await restart(first.id)
    await converge(values)
    expect(members.get(first.id)!.listener.snapshotsLoaded).toBe(1)
    expect(await (await leader()).node!.readIndex()).toBeGreaterThan(values.length)
  }, 60_000)

  it('brings back what a damaged log has lost, from the leader that knows it as held', async () => {
    const values = ['a', 'b', 'c', 'd']
    for (const value of values) await propose(value)
    await converge(values)
    const { id: leaderId } = await leader()
    const damaged = leaderId === 1 ? 2 : 1
    await stop(damaged)
    await changeRecord(pathOf(damaged), entryKey(4), (value) => {
      value[value.length - 1]! ^= 1
      return value
    })
    await restart(damaged)
    const { store, node } = members.get(damaged)!
    expect(store!.findings).toHaveLength(1)
    expect(node!.status.lastIndex).toBe(3)
    await propose('e')
    await converge([...values, 'e'])
    expect(store!.mayVote).toBe(true)
  }, 60_000)
})
