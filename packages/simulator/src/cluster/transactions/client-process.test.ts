import { describe, expect, it } from 'vitest'
import { StreamNetwork } from '../../network/stream-network.ts'
import { driveEvents } from '../../world/event-driver.ts'
import { World } from '../../world/world.ts'
import { ClientHost } from '../client-host.ts'
import { ClientProcess, ProcessEndedError } from './client-process.ts'

function inWorld() {
  const world = new World(1)
  const network = new StreamNetwork(world, { meanDelayMs: 1, cutLoss: 0, silenceMs: 10 })
  const host = new ClientHost(world, network, 1, 100)
  const run = (): Promise<void> => driveEvents(() => world.step())
  return { world, host, process: new ClientProcess(host, 'a'), run }
}

/** How a promise has ended by now. */
function watched(promise: Promise<unknown>): { outcome: unknown } {
  const state: { outcome: unknown } = { outcome: 'under way' }
  promise.then(
    (value) => {
      state.outcome = value
    },
    (error: unknown) => {
      state.outcome = error
    },
  )
  return state
}

describe('ClientProcess', () => {
  it('ends amid a call, which counts as ended, and does nothing any more', async () => {
    const { world, host, process, run } = inWorld()
    const call = watched(process.call('call', () => new Promise(() => undefined)))
    const pause = watched(process.pass(10, 'pause'))
    expect(host.openCalls).toBe(1)
    world.schedule(5, 'end', -1, () => process.end())
    await run()
    expect(call.outcome).toBeInstanceOf(ProcessEndedError)
    expect(pause.outcome).toBeInstanceOf(ProcessEndedError)
    expect(host.openCalls).toBe(0)
    await expect(process.call('call', () => Promise.resolve())).rejects.toBeInstanceOf(ProcessEndedError)
  })

  it('goes on where it was after a stop', async () => {
    const { world, process, run } = inWorld()
    let wentOnMs = 0
    watched(
      process.pass(10, 'pause').then(() => {
        wentOnMs = world.nowMs
      }),
    )
    process.stop(50)
    await run()
    expect(wentOnMs).toBe(50)
  })

  it('ends the run with what goes wrong in a course of it, but for its own end', async () => {
    const { world, host, process, run } = inWorld()
    void process.own(process.pass(10, 'pause'))
    world.schedule(5, 'end', -1, () => process.end())
    await run()
    expect(host.failure).toBeNull()
    await process.own(Promise.reject(new Error('broken')))
    expect(host.failure).toMatchObject({ message: 'broken' })
  })
})
