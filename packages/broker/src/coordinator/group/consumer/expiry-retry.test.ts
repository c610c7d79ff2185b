import { GROUP_VERSION } from '@millrace/consensus'
import { consumerGroupHeartbeatApi, createConsumerGroupHeartbeatRequest, ErrorCode } from '@millrace/protocol'
import { beforeAll, expect, test } from 'vitest'
import { consumerGroupHeartbeatHandler } from '../../../handlers/68-consumer-group-heartbeat.ts'
import { CoordinatorFixture } from '../../testing/coordinator-fixture.ts'
import { loadTopicRegex } from './topic-regex.ts'

beforeAll(loadTopicRegex)

test('a member of a consumer group whose removal could not be written is removed soon after, not after another session', async () => {
  const fixture = await CoordinatorFixture.started()
  fixture.image = { ...fixture.image, features: new Map([[GROUP_VERSION, 1]]) }
  const handler = consumerGroupHeartbeatHandler({ groups: fixture.groups, authorizer: null })
  const request = createConsumerGroupHeartbeatRequest({
    groupId: 'group',
    memberId: 'member',
    rebalanceTimeoutMs: 10_000,
    subscribedTopicNames: ['topic'],
    topicPartitions: [],
  })
  const joined = await fixture.call(consumerGroupHeartbeatApi, handler, request)
  expect(joined).toMatchObject({ errorCode: 0, memberEpoch: 1 })
  const pass = (durationMs: number) => {
    fixture.timers.advance(durationMs)
    fixture.settle()
  }
  const states = () => JSON.stringify(fixture.groups.countByState())
  pass(44_900)
  const before = states()
  for (const log of fixture.logs) log.appendError = ErrorCode.KAFKA_STORAGE_ERROR
  pass(200)
  expect(states()).toBe(before)
  for (const log of fixture.logs) log.appendError = 0
  pass(500)
  expect(states()).not.toBe(before)
})
