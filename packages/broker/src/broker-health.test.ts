import type { DirectoryInfo } from '@millrace/storage'
import { expect, test } from 'vitest'
import { brokerHealth, CONTROLLER_LOST_MS, type HealthSources } from './broker-health.ts'

const ONLINE = { path: '/a', online: true } as DirectoryInfo
const OFFLINE = { path: '/b', online: false } as DirectoryInfo

function health(init: Partial<HealthSources>, controllerUnknownMs = 0) {
  const { healthy, body } = brokerHealth({
    nodeId: 1,
    clusterId: 'c',
    isReady: true,
    isStopping: false,
    membership: {
      activeController: controllerUnknownMs > 0 ? null : 1,
      controllerUnknownMs,
      isFenced: false,
      waitsFor: 'a majority',
    },
    directories: [ONLINE],
    ...init,
  })
  const { status, waitsFor } = body
  return waitsFor === undefined ? { healthy, status } : { healthy, status, waitsFor }
}

test('a broker that serves is ok, also during an election', () => {
  expect(health({})).toEqual({ healthy: true, status: 'ok' })
  expect(health({}, CONTROLLER_LOST_MS - 1)).toEqual({ healthy: true, status: 'ok' })
})

test('a controller that is long gone is told, and the broker is healthy: it serves what it leads', () => {
  expect(health({}, CONTROLLER_LOST_MS)).toEqual({ healthy: true, status: 'no active controller' })
})

test('an offline directory and a stop are what is told first, and not healthy', () => {
  const directories = [ONLINE, OFFLINE]
  expect(health({ directories }, CONTROLLER_LOST_MS)).toEqual({ healthy: false, status: 'log directory offline' })
  expect(health({ directories, isStopping: true })).toEqual({ healthy: false, status: 'stopping' })
})

test('a broker that starts is not healthy and says what it waits for, unless it is about to stop', () => {
  const starting = { healthy: false, status: 'starting', waitsFor: 'a majority' }
  expect(health({ isReady: false }, CONTROLLER_LOST_MS)).toEqual(starting)
  expect(health({ isReady: false, directories: [OFFLINE] })).toEqual(starting)
  expect(health({ isReady: false, isStopping: true })).toEqual({ healthy: false, status: 'stopping' })
})
