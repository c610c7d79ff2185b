import { SimulatedClock } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { ConnectionLimiter, type ConnectionLimits } from './connection-limiter.ts'

function setUp(overrides: Partial<ConnectionLimits> = {}) {
  const clock = new SimulatedClock()
  let limits: ConnectionLimits = {
    maxConnections: 100,
    maxConnectionsPerIp: 100,
    maxConnectionsByAddress: new Map(),
    maxConnectionsPerSecond: 100,
    maxByDescriptors: 100,
    ...overrides,
  }
  const limiter = new ConnectionLimiter(clock, () => limits)
  return {
    clock,
    limiter,
    change(changes: Partial<ConnectionLimits>) {
      limits = { ...limits, ...changes }
    },
  }
}

describe('connection limiter', () => {
  it('refuses above the limit for all, until one goes', () => {
    const { limiter } = setUp({ maxConnections: 2 })
    expect([limiter.reserve('a'), limiter.reserve('b'), limiter.reserve('c')]).toEqual([null, null, 'max.connections'])
    limiter.release('a')
    expect(limiter.reserve('c')).toBeNull()
    expect(limiter.count).toBe(2)
  })

  it('refuses above the limit of an address, and lets others in', () => {
    const { limiter } = setUp({ maxConnectionsPerIp: 1, maxConnectionsByAddress: new Map([['b', 2]]) })
    expect([limiter.reserve('a'), limiter.reserve('a')]).toEqual([null, 'max.connections.per.ip'])
    expect([limiter.reserve('b'), limiter.reserve('b')]).toEqual([null, null])
    expect(limiter.reserve('b')).toBe('max.connections.per.ip.overrides')
  })

  it('refuses too many within a second', () => {
    const { limiter, clock } = setUp({ maxConnectionsPerSecond: 1 })
    expect([limiter.reserve('a'), limiter.reserve('a')]).toEqual([null, 'max.connection.creation.rate'])
    clock.advance(1000)
    expect(limiter.reserve('a')).toBeNull()
  })

  it('leaves descriptors for the files of logs', () => {
    const { limiter, change } = setUp({ maxByDescriptors: 1 })
    expect([limiter.reserve('a'), limiter.reserve('b')]).toEqual([null, 'open files of the process (ulimit -n)'])
    change({ maxByDescriptors: 2 })
    expect(limiter.reserve('b')).toBeNull()
  })

  it('follows changes at run time', () => {
    const { limiter, change } = setUp({ maxConnections: 1 })
    expect([limiter.reserve('a'), limiter.reserve('a')]).toEqual([null, 'max.connections'])
    change({ maxConnections: 2 })
    expect(limiter.reserve('a')).toBeNull()
  })
})
