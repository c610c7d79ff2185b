import {
  ApiKey,
  createHeartbeatResponse,
  createJoinGroupResponse,
  ErrorCode,
  type JoinGroupRequest,
  type LeaveGroupRequest,
  type OffsetCommitRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { refusedCommit } from '../testing/fake-group.ts'
import { fill, numbered } from '../testing/fake-records.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'

/** A member that reads on its own, with a diary of what it gained and lost. */
class Member {
  readonly consumer: Consumer
  readonly diary: string[] = []
  readonly values: string[] = []
  readonly errors: unknown[] = []
  readonly done: Promise<void>

  constructor(cluster: FakeCluster, options: Partial<ConsumerOptions> = {}) {
    this.consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 100,
      autoCommitIntervalMs: 500,
      ...options,
    })
    const note = (what: string) => (partitions: TopicPartition[]) => {
      if (partitions.length > 0) this.diary.push(`${what}${partitions.map(({ partition }) => partition).join(',')}`)
    }
    this.consumer.subscribe('t', {
      onPartitionsAssigned: note('+'),
      onPartitionsRevoked: note('-'),
      onPartitionsLost: note('!'),
    })
    this.done = this.#read()
  }

  get owned(): number[] {
    return this.consumer
      .assignment()
      .map(({ partition }) => partition)
      .sort()
  }

  async #read(): Promise<void> {
    try {
      for await (const batch of this.consumer) {
        for (const { value } of batch.records) this.values.push(value!.toString())
      }
    } catch (error) {
      this.errors.push(error)
    }
  }
}

describe('a group', () => {
  test('one member reads everything, commits it and leaves in order', async () => {
    const cluster = new FakeCluster()
    for (const [slot, partition] of cluster.createTopic('t', 4).partitions.entries())
      fill(partition, numbered(5, slot * 100))
    const member = new Member(cluster)
    await cluster.world.pass(3000)
    expect(member.values).toHaveLength(20)
    await cluster.world.run(member.consumer.close())
    await cluster.world.run(member.done)
    expect(member.diary).toEqual(['+0,1,2,3', '-0,1,2,3'])
    expect([...cluster.committed.get('g')!.values()]).toEqual([5, 5, 5, 5])
    expect(cluster.group('g').members.size).toBe(0)
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('the group metadata of a transaction stays that of the last poll while a join ends in the background', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 2)
    const options = { ...cluster.clientOptions, groupId: 'g', heartbeatIntervalMs: 100 }
    const consumer = new Consumer(options)
    consumer.subscribe('t')
    const assigned = async () => {
      while (consumer.assignment().length < 2) await consumer.poll({ timeoutMs: 50 })
    }
    await cluster.world.run(assigned())
    const before = consumer.groupMetadata()
    const other = new Member(cluster)
    await cluster.world.pass(300)
    // Hears of the rebalance and joins again in the background; the assignment waits to be taken over.
    await cluster.world.run(consumer.poll({ timeoutMs: 0 }))
    await cluster.world.pass(500)
    expect(cluster.group('g').generationId).toBeGreaterThan(before.generationId)
    expect(consumer.groupMetadata()).toEqual(before)
    await cluster.world.run(consumer.poll({ timeoutMs: 0 }))
    expect(consumer.groupMetadata().generationId).toBeGreaterThan(before.generationId)
    await cluster.world.run(Promise.all([consumer.close(), other.consumer.close()]))
  })

  test('cooperative members keep what they have while another joins', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 6)
    const first = new Member(cluster)
    await cluster.world.pass(2000)
    const second = new Member(cluster)
    await cluster.world.pass(6000)
    expect(first.diary).toEqual(['+0,1,2,3,4,5', '-3,4,5'])
    expect(second.diary).toEqual(['+3,4,5'])
    await cluster.world.run(first.consumer.close())
    await cluster.world.pass(3000)
    expect(second.owned).toEqual([0, 1, 2, 3, 4, 5])
    await cluster.world.run(second.consumer.close())
  })

  test('eager members give up everything before they join again', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 4)
    const options = { partitionAssignmentStrategy: ['range' as const] }
    const first = new Member(cluster, options)
    await cluster.world.pass(2000)
    const second = new Member(cluster, options)
    await cluster.world.pass(5000)
    expect(first.diary).toEqual(['+0,1,2,3', '-0,1,2,3', '+0,1'])
    expect(second.owned).toEqual([2, 3])
    await cluster.world.run(Promise.all([first.consumer.close(), second.consumer.close()]))
  })

  test('no record is read twice or left out while members come and go in order', async () => {
    const cluster = new FakeCluster()
    const { partitions } = cluster.createTopic('t', 6)
    const members = [new Member(cluster), new Member(cluster)]
    let count = 0
    for (let turn = 0; turn < 8; turn++) {
      for (const partition of partitions) {
        fill(partition, numbered(10, count))
        count += 10
      }
      await cluster.world.pass(1500)
      if (turn === 2) members.push(new Member(cluster))
      if (turn === 5) await cluster.world.run(members[0]!.consumer.close())
    }
    await cluster.world.pass(5000)
    const seen = members.flatMap(({ values }) => values)
    expect(seen.length).toBe(partitions.length * 80)
    expect(new Set(seen).size).toBe(seen.length)
    await cluster.world.run(Promise.all(members.map(({ consumer }) => consumer.close())))
  })

  test('heartbeats go on while the application is busy with records', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(3))
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 100,
    })
    consumer.subscribe('t')
    await cluster.world.run(consumer.poll())
    const before = cluster.requests(ApiKey.HEARTBEAT).length
    await cluster.world.pass(5000)
    expect(cluster.requests(ApiKey.HEARTBEAT).length - before).toBeGreaterThan(40)
    await cluster.world.run(consumer.close())
  })

  test('a member that does not come back in time leaves, and loses its partitions at the next poll', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(3))
    const events: string[] = []
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      autoOffsetReset: 'earliest',
      maxPollIntervalMs: 2000,
      onEvent: ({ type }) => events.push(type),
    })
    const diary: string[] = []
    consumer.subscribe('t', {
      onPartitionsAssigned: () => void diary.push('assigned'),
      onPartitionsRevoked: () => void diary.push('revoked'),
      onPartitionsLost: () => void diary.push('lost'),
    })
    await cluster.world.run(consumer.poll())
    await cluster.world.pass(3000)
    expect(cluster.requests<LeaveGroupRequest>(ApiKey.LEAVE_GROUP)).toHaveLength(1)
    expect(events).toContain('left-group')
    await cluster.world.run(consumer.poll({ timeoutMs: 4000 }))
    expect(diary).toEqual(['assigned', 'lost', 'assigned'])
    await cluster.world.run(consumer.close())
  })

  test('a member that the coordinator forgot joins again under another id', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 2)
    const member = new Member(cluster)
    await cluster.world.pass(2000)
    cluster.group('g').remove('member-1')
    await cluster.world.pass(3000)
    expect(member.diary).toEqual(['+0,1', '!0,1', '+0,1'])
    expect(member.owned).toEqual([0, 1])
    expect(member.errors).toEqual([])
    await cluster.world.run(member.consumer.close())
  })

  test('it finds a coordinator that moved', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.createTopic('t', 2)
    const member = new Member(cluster)
    await cluster.world.pass(2000)
    cluster.coordinatorId = 2
    cluster.intercept(ApiKey.HEARTBEAT, (request) =>
      request.nodeId === 2
        ? null
        : { throttleTimeMs: 0, errorCode: ErrorCode.NOT_COORDINATOR, unknownTaggedFields: null },
    )
    await cluster.world.pass(2000)
    expect(cluster.brokers.get(2)!.of(ApiKey.HEARTBEAT).length).toBeGreaterThan(5)
    expect(member.diary).toEqual(['+0,1'])
    await cluster.world.run(member.consumer.close())
  })

  test('partitions that are added later are assigned too', async () => {
    const cluster = new FakeCluster()
    const topic = cluster.createTopic('t', 2)
    const member = new Member(cluster, { metadataMaxAgeMs: 1000 })
    await cluster.world.pass(2000)
    topic.partitions.push(...cluster.createTopic('spare', 2).partitions)
    await cluster.world.pass(8000)
    expect(member.owned).toEqual([0, 1, 2, 3])
    await cluster.world.run(member.consumer.close())
  })

  test('a pattern takes in topics that come later', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('orders-1')
    cluster.createTopic('other')
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      metadataMaxAgeMs: 1000,
      autoOffsetReset: 'earliest',
    })
    consumer.subscribe(/^orders-/)
    await cluster.world.run(consumer.poll({ timeoutMs: 2000 }))
    expect(consumer.assignment().map(({ topic }) => topic)).toEqual(['orders-1'])
    cluster.createTopic('orders-2')
    await cluster.world.run(consumer.poll({ timeoutMs: 5000 }))
    expect(consumer.assignment().map(({ topic }) => topic)).toEqual(['orders-1', 'orders-2'])
    await cluster.world.run(consumer.close())
  })

  test('a refusal that trying again cannot mend reaches the application', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const consumer = new Consumer({ ...cluster.clientOptions, groupId: 'g' })
    consumer.subscribe('t')
    cluster.intercept(ApiKey.JOIN_GROUP, () => ({
      throttleTimeMs: 0,
      errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED,
      generationId: -1,
      protocolType: null,
      protocolName: null,
      leader: '',
      skipAssignment: false,
      memberId: '',
      members: [],
      unknownTaggedFields: null,
    }))
    await expect(cluster.world.run(consumer.poll())).rejects.toMatchObject({ code: 'GROUP_AUTHORIZATION_FAILED' })
    await cluster.world.run(consumer.close())
  })

  test('a member that leaves while it joins is not made one by the join', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    const options = { ...cluster.clientOptions, groupId: 'g', heartbeatIntervalMs: 100 }
    const idle = new Consumer(options)
    idle.subscribe('t')
    await cluster.world.run(idle.poll({ timeoutMs: 1000 }))
    const hasty = new Consumer(options)
    hasty.subscribe('t')
    // The idle member does not join again: the coordinator keeps the other waiting.
    await cluster.world.run(hasty.poll({ timeoutMs: 500 }))
    await cluster.world.run(hasty.unsubscribe())
    await cluster.world.pass(10_000)
    expect([...cluster.group('g').members.keys()].filter((memberId) => memberId !== 'member-1')).toEqual([])
    expect(hasty.assignment()).toEqual([])
    await cluster.world.run(Promise.all([idle.close(), hasty.close()]))
  })

  test('a member that is thrown out while it joins loses what it had', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(10))
    const member = new Member(cluster, { autoCommitIntervalMs: 60_000 })
    await cluster.world.pass(2000)
    expect(member.values).toHaveLength(10)
    cluster.intercept(ApiKey.HEARTBEAT, () =>
      cluster.group('g').members.has('member-1')
        ? createHeartbeatResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS })
        : null,
    )
    cluster.intercept(ApiKey.JOIN_GROUP, ({ body }) => {
      if ((body as JoinGroupRequest).memberId !== 'member-1') return null
      cluster.group('g').remove('member-1')
      return createJoinGroupResponse({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '', generationId: -1 })
    })
    await cluster.world.pass(5000)
    expect(member.diary).toEqual(['+0', '!0', '+0'])
    expect(cluster.requests(ApiKey.OFFSET_COMMIT)).toHaveLength(0)
    await cluster.world.run(member.consumer.close())
  })

  test('a commit that had to wait is not sent for partitions that were lost meanwhile', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(10))
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 100,
      enableAutoCommit: false,
    })
    consumer.subscribe('t')
    await cluster.world.run(consumer.poll())
    let isLoading = true
    cluster.intercept(ApiKey.OFFSET_COMMIT, ({ body }) => {
      if (!isLoading) return null
      return refusedCommit(body as OffsetCommitRequest, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    })
    const committed = consumer.commit().catch((reason: unknown) => reason)
    await cluster.world.pass(500)
    cluster.group('g').remove('member-1')
    cluster.committed.set('g', new Map([['t-0', 500]]))
    await cluster.world.run(consumer.poll({ timeoutMs: 3000 }))
    expect(consumer.assignment()).toHaveLength(1)
    isLoading = false
    expect(await cluster.world.run(committed)).toMatchObject({ code: 'ILLEGAL_GENERATION', topic: 't', partition: 0 })
    expect(cluster.committed.get('g')?.get('t-0')).toBe(500)
    await cluster.world.run(consumer.close())
  })

  test('a listener that throws rejects the poll and does not keep partitions that are given away', async () => {
    const cluster = new FakeCluster()
    cluster.createTopic('t', 6)
    const first = new Consumer({ ...cluster.clientOptions, groupId: 'g', heartbeatIntervalMs: 100 })
    first.subscribe('t', {
      onPartitionsRevoked: () => {
        throw new Error('of the listener')
      },
    })
    await cluster.world.run(first.poll({ timeoutMs: 1000 }))
    const second = new Member(cluster)
    const failures: unknown[] = []
    for (let turn = 0; turn < 10; turn++) {
      const polled = first.poll({ timeoutMs: 1000 })
      await cluster.world.run(polled.catch((reason: unknown) => failures.push(reason)))
    }
    expect(failures).toMatchObject([{ message: 'of the listener' }])
    expect(first.assignment().map(({ partition }) => partition)).toEqual([0, 1, 2])
    expect(second.owned).toEqual([3, 4, 5])
    await cluster.world.run(Promise.all([first.close(), second.consumer.close()]))
    expect(cluster.group('g').members.size).toBe(0)
  })

  test('a static member that does not come back in time falls silent and does not leave', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(3))
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      groupInstanceId: 'i',
      autoOffsetReset: 'earliest',
      heartbeatIntervalMs: 100,
      maxPollIntervalMs: 2000,
    })
    const diary: string[] = []
    consumer.subscribe('t', {
      onPartitionsAssigned: () => void diary.push('assigned'),
      onPartitionsLost: () => void diary.push('lost'),
    })
    await cluster.world.run(consumer.poll())
    await cluster.world.pass(3000)
    const heartbeatCount = cluster.requests(ApiKey.HEARTBEAT).length
    await cluster.world.pass(1000)
    expect(cluster.requests(ApiKey.HEARTBEAT)).toHaveLength(heartbeatCount)
    expect(cluster.requests(ApiKey.LEAVE_GROUP)).toHaveLength(0)
    await cluster.world.run(consumer.poll({ timeoutMs: 4000 }))
    expect(diary).toEqual(['assigned', 'lost', 'assigned'])
    await cluster.world.run(consumer.close())
  })

  test('a commit that a rebalance overtakes is sent again under the new generation', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('t').partitions[0]!, numbered(3))
    const failures: unknown[] = []
    const member = new Member(cluster, {
      autoCommitIntervalMs: 100,
      onEvent: (event) => {
        if (event.type === 'commit-failed') failures.push(event.error)
      },
    })
    await cluster.world.pass(2000)
    let isRebalancing = true
    cluster.intercept(ApiKey.HEARTBEAT, () =>
      isRebalancing ? createHeartbeatResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS }) : null,
    )
    cluster.intercept(ApiKey.SYNC_GROUP, async () => {
      isRebalancing = false
      await new Promise<void>((resolve) => {
        cluster.world.timers.setTimer(1000, resolve)
      })
      return null
    })
    const joinCount = cluster.requests(ApiKey.JOIN_GROUP).length
    const commitCount = cluster.requests(ApiKey.OFFSET_COMMIT).length
    fill(cluster.partition('t'), numbered(3, 3))
    await cluster.world.pass(5000)
    expect(cluster.requests(ApiKey.JOIN_GROUP).length - joinCount).toBe(1)
    expect(cluster.requests(ApiKey.OFFSET_COMMIT).length - commitCount).toBeGreaterThan(1)
    expect(failures).toEqual([])
    expect(cluster.committed.get('g')?.get('t-0')).toBe(6)
    await cluster.world.run(member.consumer.close())
  })
})
