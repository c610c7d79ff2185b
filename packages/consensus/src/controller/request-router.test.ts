import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { ControllerRequestName } from './controller-requests.ts'
import type { RequestFrame, RequestOutcome } from './peer-protocol.ts'
import { RequestRouter } from './request-router.ts'

const DONE: RequestOutcome = { status: 'done', answer: { offset: 7 } }

class Scene {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly sent: { to: number; frame: RequestFrame }[] = []
  readonly connected = new Set([2, 3])
  local: Promise<RequestOutcome> | null = null
  readonly performed: ControllerRequestName[] = []
  readonly router: RequestRouter

  constructor(seed = 1) {
    this.router = new RequestRouter(
      {
        selfId: 1,
        performHere: (name) => {
          if (this.local !== null) this.performed.push(name)
          return this.local
        },
        send: (to, frame) => {
          if (!this.connected.has(to)) return false
          this.sent.push({ to, frame })
          return true
        },
      },
      this.clock,
      this.timers,
      new SeededRandom(seed),
    )
  }

  /** What the promise of a request has come to. */
  watch<T>(promise: Promise<T>): { state: unknown } {
    const watched: { state: unknown } = { state: 'open' }
    promise.then(
      (answer) => {
        watched.state = answer
      },
      (error: unknown) => {
        watched.state = error
      },
    )
    return watched
  }

  async advance(durationMs: number): Promise<void> {
    this.timers.advance(durationMs)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
  }
}

const notController = (mayBeDone: boolean, leaderId: number | null = null, term = 1): RequestOutcome => ({
  status: 'notController',
  mayBeDone,
  leaderId,
  term,
})

describe('finding the controller', () => {
  test('requests wait until a leader is known, then until it is connected', async () => {
    const scene = new Scene()
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    scene.connected.delete(2)
    scene.router.onLeader(2, 1)
    expect(scene.sent).toEqual([])
    scene.connected.add(2)
    scene.router.onConnected(2)
    expect(scene.sent.map(({ to, frame }) => [to, frame.name, frame.timeoutMs])).toEqual([[2, 'readBarrier', 1000]])
    scene.router.onAnswer(2, scene.sent[0]!.frame.id, DONE)
    await scene.advance(0)
    expect(barrier.state).toEqual({ offset: 7 })
    expect(scene.router.openCount).toBe(0)
    expect(scene.timers.pendingCount).toBeLessThanOrEqual(1)
  })

  test('a node that is no controller is asked again after a while, or another that it names', async () => {
    const scene = new Scene()
    scene.router.onLeader(2, 1)
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    const lastId = () => scene.sent.at(-1)!.frame.id
    scene.router.onAnswer(2, lastId(), notController(false))
    expect(scene.sent.length).toBe(1)
    await scene.advance(50)
    expect(scene.sent.length).toBe(2)
    scene.router.onAnswer(2, lastId(), notController(false, 3, 2))
    await scene.advance(50)
    expect(scene.sent.map(({ to }) => to)).toEqual([2, 2, 3])
    // Older news of leaders is not believed any more.
    scene.router.onLeader(2, 1)
    expect(scene.router.leaderId).toBe(3)
    // Nor an answer of a node that does not have it.
    scene.router.onAnswer(2, lastId(), DONE)
    await scene.advance(0)
    expect(barrier.state).toBe('open')
    scene.router.onAnswer(3, lastId(), DONE)
    await scene.advance(0)
    expect(barrier.state).toEqual({ offset: 7 })
  })

  test('what this node can do itself it does, once it is active', async () => {
    const scene = new Scene()
    scene.router.onLeader(1, 1)
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    scene.local = Promise.resolve(DONE)
    scene.router.onActive()
    await scene.advance(0)
    expect([barrier.state, scene.performed, scene.sent]).toEqual([{ offset: 7 }, ['readBarrier'], []])
  })
})

describe('the end of a request', () => {
  test('its time is over: it may be done if somebody has it', async () => {
    const scene = new Scene()
    const waiting = scene.watch(scene.router.request('unregisterBroker', { brokerId: 1 }, 100))
    await scene.advance(100)
    expect(waiting.state).toMatchObject({ code: 'CONTROLLER_UNAVAILABLE', mayBeDone: false })
    scene.router.onLeader(2, 1)
    const sent = scene.watch(scene.router.request('unregisterBroker', { brokerId: 1 }, 100))
    await scene.advance(100)
    expect(sent.state).toMatchObject({ code: 'CONTROLLER_UNAVAILABLE', mayBeDone: true })
  })

  test('the connection is lost: only what is repeatable is asked again', async () => {
    const scene = new Scene()
    scene.router.onLeader(2, 1)
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    const unregister = scene.watch(scene.router.request('unregisterBroker', { brokerId: 1 }, 1000))
    scene.connected.delete(2)
    scene.router.onLost(2)
    scene.router.onLeader(3, 2)
    await scene.advance(50)
    expect(unregister.state).toMatchObject({ mayBeDone: true })
    expect(scene.sent.at(-1)).toMatchObject({ to: 3, frame: { name: 'readBarrier' } })
    expect(barrier.state).toBe('open')
  })

  test('an answer to an earlier sending is not taken for the one to the newest', async () => {
    const scene = new Scene()
    scene.router.onLeader(2, 1)
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    scene.router.onLost(2)
    await scene.advance(50)
    const [first, second] = scene.sent.map(({ frame }) => frame.id)
    expect(scene.sent.length).toBe(2)
    scene.router.onAnswer(2, first!, { status: 'done', answer: { offset: 3 } })
    await scene.advance(0)
    expect(barrier.state).toBe('open')
    scene.router.onAnswer(2, second!, DONE)
    await scene.advance(0)
    expect(barrier.state).toEqual({ offset: 7 })
  })

  test('nor one to what the process before this one asked', async () => {
    const [former, present] = [new Scene(1), new Scene(2)]
    for (const { router } of [former, present]) {
      router.onLeader(2, 1)
      router.request('readBarrier', {}, 1000).catch(() => undefined)
    }
    expect(present.sent[0]!.frame.id).not.toBe(former.sent[0]!.frame.id)
    present.router.onAnswer(2, former.sent[0]!.frame.id, DONE)
    expect(present.router.openCount).toBe(1)
  })

  test('a refusal as a whole carries its code', async () => {
    const scene = new Scene()
    scene.router.onLeader(2, 1)
    const barrier = scene.watch(scene.router.request('readBarrier', {}, 1000))
    scene.router.onAnswer(2, scene.sent[0]!.frame.id, { status: 'failed', errorCode: 7, message: 'late' })
    await scene.advance(0)
    expect(barrier.state).toMatchObject({ code: 'CONTROLLER_REQUEST_FAILED', errorCode: 7 })
  })

  test('the node closes: all end, and nothing more is taken', async () => {
    const scene = new Scene()
    const open = scene.watch(scene.router.request('readBarrier', {}, 1000))
    scene.router.close()
    const later = scene.watch(scene.router.request('readBarrier', {}, 1000))
    await scene.advance(0)
    for (const { state } of [open, later]) expect(state).toMatchObject({ code: 'CONTROLLER_UNAVAILABLE' })
    expect(scene.timers.pendingCount).toBe(0)
  })
})
