import { setTimeout as delay } from 'node:timers/promises'
import { createFindCoordinatorRequest, findCoordinatorApi } from '@millrace/protocol'
import { ProtocolWire } from './protocol-wire.ts'

export const CoordinatorKind = { GROUP: 0, TRANSACTION: 1 } as const

const VERSION = 4
const LIMIT_MS = 60_000

/** Resolves once there is a coordinator for the key. The first who asks has the broker make the coordinator's topic. */
export async function coordinatorOf(port: number, kind: number, key: string): Promise<void> {
  const wire = new ProtocolWire(port)
  const request = createFindCoordinatorRequest({ keyType: kind, coordinatorKeys: [key] })
  try {
    for (const startMs = performance.now(); ; await delay(100)) {
      const { coordinators } = await wire.call(findCoordinatorApi, VERSION, request)
      const [found] = coordinators
      if (found?.errorCode === 0) return
      if (performance.now() - startMs > LIMIT_MS)
        throw new Error(`no coordinator for ${key}: error ${found?.errorCode}`)
    }
  } finally {
    wire.close()
  }
}
