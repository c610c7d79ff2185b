import { describe, expect, test } from 'vitest'
import { BrokerSessions, DEFAULT_SESSION_TIMING, type TakeoverView } from './broker-sessions.ts'

const SELF = 1
const all = () => true

/** Sessions of brokers 1 to `count`, the first the controller's own; time moves in steps as the controller looks. */
class Scene {
  nowMs = 10_000
  readonly sessions: BrokerSessions
  readonly silent = new Set<number>()
  readonly #brokers: readonly number[]

  constructor(count: number, view: Partial<TakeoverView> = {}) {
    this.#brokers = Array.from({ length: count }, (_, slot) => slot + 1)
    this.sessions = new BrokerSessions(
      DEFAULT_SESSION_TIMING,
      SELF,
      {
        registered: this.#brokers.map((id) => ({ id, epoch: id * 10 })),
        connected: new Set(this.#brokers),
        losses: new Map(),
        predecessor: null,
        ...view,
      },
      this.nowMs,
    )
  }

  /** Signs that come in that time, as `brokerId:sign@milliseconds since the start`. All but the silent send heartbeats. */
  run(durationMs: number): string[] {
    const told: string[] = []
    const endMs = this.nowMs + durationMs
    while (this.nowMs < endMs) {
      this.nowMs += 25
      for (const id of this.#brokers) {
        if (!this.silent.has(id)) this.sessions.onHeartbeat(id, id * 10, 5, this.nowMs)
      }
      for (const { brokerId, sign } of this.sessions.signs(this.nowMs, (id) => !this.silent.has(-id))) {
        told.push(`${brokerId}:${sign}@${this.nowMs - 10_000}`)
        // The controller fences it.
        if (sign === 'late') this.silent.add(-brokerId)
      }
    }
    return told
  }

  die(brokerId: number): void {
    this.silent.add(brokerId)
    this.sessions.onLost(brokerId, 'closed', this.nowMs)
  }
}

describe('early sign', () => {
  test('a lost connection that does not come back, told once', () => {
    const scene = new Scene(3)
    scene.run(1000)
    scene.die(3)
    expect(scene.run(1000)).toEqual(['3:early@1150'])
  })

  test('none if it comes back within the grace', () => {
    const scene = new Scene(3)
    scene.run(1000)
    scene.sessions.onLost(3, 'closed', scene.nowMs)
    scene.silent.add(3)
    scene.run(100)
    scene.sessions.onConnected(3)
    scene.silent.delete(3)
    expect(scene.run(3000)).toEqual([])
  })

  test('of a connection that is merely silent there is none', () => {
    const scene = new Scene(3)
    scene.silent.add(3)
    scene.sessions.onLost(3, 'silent', scene.nowMs)
    expect(scene.run(1600)).toEqual(['3:late@1500'])
  })

  test('the own broker has no connection that could be lost', () => {
    const scene = new Scene(3)
    scene.sessions.onLost(SELF, 'closed', scene.nowMs)
    expect(scene.run(1000)).toEqual([])
  })

  test('if half of the sessions vanish together the controller suspects itself and waits for the late sign', () => {
    const scene = new Scene(4)
    scene.run(1000)
    scene.die(3)
    scene.run(75)
    scene.die(4)
    expect(scene.run(2000)).toEqual(['3:late@2500', '4:late@2575'])
  })

  test('one after the other they are believed', () => {
    const scene = new Scene(4)
    scene.run(1000)
    scene.die(3)
    scene.run(500)
    scene.silent.add(-3)
    scene.die(4)
    expect(scene.run(500)).toEqual(['4:early@1650'])
  })

  test('one of two vanished comes back: the other is believed then', () => {
    const scene = new Scene(4)
    scene.run(1000)
    scene.die(3)
    scene.die(4)
    expect(scene.run(300)).toEqual([])
    scene.silent.delete(4)
    scene.sessions.onConnected(4)
    expect(scene.run(100)).toEqual(['3:early@1325'])
  })
})

describe('late sign', () => {
  test('silence, however alive the connection', () => {
    const scene = new Scene(3)
    scene.run(1000)
    scene.silent.add(2)
    expect(scene.run(1600)).toEqual(['2:late@2500'])
  })

  test('a stall of the controller itself counts for nobody', () => {
    const scene = new Scene(3)
    scene.run(1000)
    scene.nowMs += 5000
    expect(scene.sessions.signs(scene.nowMs, all)).toEqual([])
    expect(scene.run(1000)).toEqual([])
  })
})

describe('a new controller', () => {
  test('gives everybody the full late time', () => {
    const scene = new Scene(3, { connected: new Set() })
    scene.silent.add(2).add(3)
    expect(scene.run(1600)).toEqual(['2:late@1500', '3:late@1500'])
  })

  test('believes after a moment that those whose port refuses are gone', () => {
    const losses = new Map([[3, { atMs: 9000, why: 'refused' as const }]])
    const scene = new Scene(3, { connected: new Set([2]), losses })
    scene.silent.add(3)
    expect(scene.run(1000)).toEqual(['3:early@300'])
  })

  test('or whose port refuses while it waits', () => {
    const scene = new Scene(3, { connected: new Set([2]) })
    scene.silent.add(3)
    scene.run(50)
    scene.sessions.onLost(3, 'refused', scene.nowMs)
    expect(scene.run(1000)).toEqual(['3:early@300'])
  })

  test('counts the silence of the one it takes over from since before', () => {
    const killed = { atMs: 9700, why: 'closed' as const }
    const after = new Scene(3, {
      connected: new Set([2]),
      losses: new Map([[3, killed]]),
      predecessor: { id: 3, heardMs: 9700 },
    })
    after.silent.add(3)
    expect(after.run(100)).toEqual(['3:early@25'])

    const frozen = new Scene(3, { predecessor: { id: 3, heardMs: 9000 } })
    frozen.silent.add(3)
    expect(frozen.run(1000)).toEqual(['3:late@500'])
  })

  test('leaves a predecessor that lives a moment to say so', () => {
    const scene = new Scene(3, { predecessor: { id: 3, heardMs: 1000 } })
    scene.silent.add(3)
    expect(scene.run(275)).toEqual([])
    scene.silent.delete(3)
    expect(scene.run(2000)).toEqual([])
  })
})

describe('registrations', () => {
  test('a session is live after a heartbeat over the present connection, for as long as it is not silent', () => {
    const scene = new Scene(3)
    expect(scene.sessions.hasLiveSession(2, scene.nowMs)).toBe(false)
    scene.run(25)
    expect(scene.sessions.hasLiveSession(2, scene.nowMs)).toBe(true)
    expect(scene.sessions.hasLiveSession(2, scene.nowMs + 1500)).toBe(false)
    expect(scene.sessions.hasLiveSession(9, scene.nowMs)).toBe(false)
    // Another process with its id connects: the old one is gone.
    scene.sessions.onLost(2, 'closed', scene.nowMs)
    scene.sessions.onConnected(2)
    expect(scene.sessions.hasLiveSession(2, scene.nowMs)).toBe(false)
  })

  test('a new registration begins a new session; an unregistered broker has none', () => {
    const scene = new Scene(2)
    scene.run(25)
    scene.sessions.onShutdownBegun(2, 7)
    scene.sessions.onRegistered(2, 21, scene.nowMs)
    expect(scene.sessions.shutdownProgress(2, all).shutdownOffset).toBe(null)
    scene.sessions.onUnregistered(2)
    expect(scene.sessions.signs(scene.nowMs + 100, all)).toEqual([])
  })

  test('a shutdown is over when all active brokers know what it caused', () => {
    const scene = new Scene(3)
    scene.run(25)
    scene.sessions.onShutdownBegun(2, 6)
    scene.sessions.onShutdownBegun(2, 9)
    scene.sessions.onHeartbeat(1, 10, 8, scene.nowMs)
    expect(scene.sessions.shutdownProgress(2, (id) => id !== 2)).toEqual({ shutdownOffset: 6, lowestActiveOffset: 5 })
    scene.sessions.onHeartbeat(3, 30, 7, scene.nowMs)
    expect(scene.sessions.shutdownProgress(2, (id) => id !== 2).lowestActiveOffset).toBe(7)
  })
})
