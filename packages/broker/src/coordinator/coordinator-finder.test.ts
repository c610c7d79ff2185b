import {
  createFindCoordinatorRequest,
  ErrorCode,
  type FindCoordinatorRequest,
  findCoordinatorApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { findCoordinatorHandler } from '../handlers/10-find-coordinator.ts'
import { GROUP_METADATA_TOPIC } from '../metadata/internal-topics.ts'
import { CoordinatorFinder, CoordinatorKeyType } from './coordinator-finder.ts'
import { BROKER_ID, CoordinatorFixture, contextOf, imageOf } from './testing/coordinator-fixture.ts'
import { RecordingLogger } from './testing/recording-logger.ts'

function finder(topics: string[] = [GROUP_METADATA_TOPIC], isRunning = true) {
  const logger = new RecordingLogger()
  const asked: { topic: string; answer: (exists: boolean) => void; fail: (error: unknown) => void }[] = []
  const state = { image: imageOf(topics) }
  const coordinators = new CoordinatorFinder(
    {
      logger,
      metadata: () => state.image,
      ensureInternalTopic: (topic) => new Promise((answer, fail) => asked.push({ topic, answer, fail })),
      nextTurn: () => Promise.resolve(),
    },
    new Map([[CoordinatorKeyType.GROUP, { topic: GROUP_METADATA_TOPIC, partitionFor: () => (isRunning ? 2 : null) }]]),
  )
  const fixture = new CoordinatorFixture()
  const ask = (request: Partial<FindCoordinatorRequest>, version = 6) =>
    fixture.send(
      findCoordinatorApi,
      findCoordinatorHandler({ coordinators }),
      createFindCoordinatorRequest(
        version < 4 ? { key: 'group', ...request } : { coordinatorKeys: ['group'], ...request },
      ),
      version,
    )
  return { ask, asked, logger, state, coordinators }
}

describe('FindCoordinator', () => {
  for (let version = 0; version <= findCoordinatorApi.maxVersion; version++) {
    test(`of version ${version} gives the leader of the group’s partition at the endpoint of the same listener`, async () => {
      const answer = await finder().ask({}, version)
      const found = version < 4 ? answer : answer.coordinators[0]
      expect(found).toMatchObject({ errorCode: 0, nodeId: BROKER_ID, host: 'broker.test', port: 9092 })
    })
  }

  test('answers each key from version 4', async () => {
    const { coordinators } = await finder().ask({ coordinatorKeys: ['a', 'b'] })
    expect(coordinators.map(({ key, errorCode }) => [key, errorCode])).toEqual([
      ['a', 0],
      ['b', 0],
    ])
  })

  test('has a missing internal topic created, once, and is COORDINATOR_NOT_AVAILABLE meanwhile', async () => {
    const { ask, asked, logger } = finder([])
    for (let attempt = 0; attempt < 3; attempt++) {
      const { coordinators } = await ask({})
      expect(coordinators[0]).toMatchObject({ errorCode: 15, nodeId: -1, host: '', port: -1 })
    }
    expect(asked.map(({ topic }) => topic)).toEqual([GROUP_METADATA_TOPIC])
    asked[0]!.answer(false)
    await new Promise<void>((resolve) => setImmediate(resolve))
    expect(logger.messages('warn')).toEqual(['internal topic was not created'])
    await ask({})
    asked[1]!.fail(new Error('no controller'))
    await new Promise<void>((resolve) => setImmediate(resolve))
    expect(logger.messages('error')).toEqual(['internal topic could not be created'])
  })

  test('is COORDINATOR_NOT_AVAILABLE without a leader, without an endpoint for the listener, or while none is running', async () => {
    const withoutLeader = finder()
    withoutLeader.state.image = { ...withoutLeader.state.image, brokers: new Map() }
    expect((await withoutLeader.ask({})).coordinators[0]!.errorCode).toBe(15)

    const { coordinators } = finder()
    const context = contextOf(10, 6)
    const elsewhere = { ...context, connection: { ...context.connection, listener: 'INTERNAL' } }
    const answer = await coordinators.find(createFindCoordinatorRequest({ coordinatorKeys: ['group'] }), elsewhere)
    expect(answer.coordinators[0]!.errorCode).toBe(15)

    expect((await finder([GROUP_METADATA_TOPIC], false).ask({})).coordinators[0]!.errorCode).toBe(15)
  })

  test('is INVALID_REQUEST for an unknown type, and for share groups below version 6', async () => {
    const code = async (keyType: number, version: number) =>
      (await finder().ask({ keyType }, version)).coordinators[0]!.errorCode
    expect(await code(3, 6)).toBe(ErrorCode.INVALID_REQUEST)
    expect(await code(-1, 6)).toBe(ErrorCode.INVALID_REQUEST)
    expect(await code(CoordinatorKeyType.SHARE, 5)).toBe(ErrorCode.INVALID_REQUEST)
    expect(await code(CoordinatorKeyType.SHARE, 6)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })
})
