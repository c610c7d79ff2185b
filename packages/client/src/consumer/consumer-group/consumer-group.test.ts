import {
  ApiKey,
  type ConsumerGroupHeartbeatRequest,
  createConsumerGroupHeartbeatResponse,
  ErrorCode,
  type OffsetFetchRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { TopicPartition } from '../../cluster/topic-partition.ts'
import { FakeCluster } from '../../testing/fake-cluster.ts'
import { fill, numbered } from '../../testing/fake-records.ts'
import { Consumer } from '../consumer.ts'
import type { ConsumerOptions } from '../consumer-options.ts'
import { SubscriptionPattern } from '../subscription.ts'

/** A member that reads on its own, with a diary of what it gained and lost. */
class Member {
  readonly consumer: Consumer
  readonly diary: string[] = []
  readonly values: string[] = []
  readonly errors: unknown[] = []
  readonly done: Promise<void>

  constructor(
    cluster: FakeCluster,
    options: Partial<ConsumerOptions> = {},
    topics: string | string[] | RegExp | SubscriptionPattern = 't',
  ) {
    this.consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      groupProtocol: 'consumer',
      autoOffsetReset: 'earliest',
      autoCommitIntervalMs: 500,
      ...options,
    })
    const note = (what: string) => (partitions: TopicPartition[]) => {
      if (partitions.length > 0) this.diary.push(`${what}${partitions.map(({ partition }) => partition).join(',')}`)
    }
    this.consumer.subscribe(topics, {
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

function filled(partitions: number): FakeCluster {
  const cluster = new FakeCluster({ brokers: 2 })
  for (const [slot, partition] of cluster.createTopic('t', partitions).partitions.entries()) {
    fill(partition, numbered(5, slot * 100))
  }
  return cluster
}

function epochs(cluster: FakeCluster): number[] {
  return cluster
    .requests<ConsumerGroupHeartbeatRequest>(ApiKey.CONSUMER_GROUP_HEARTBEAT)
    .map(({ body }) => body.memberEpoch)
}

describe('a group by the newer protocol', () => {
  test('one member reads everything, commits it under its epoch and leaves in order', async () => {
    const cluster = filled(4)
    const member = new Member(cluster)
    await cluster.world.pass(3000)
    expect(member.values).toHaveLength(20)
    const asked = cluster.requests<OffsetFetchRequest>(ApiKey.OFFSET_FETCH).at(-1)!.body.groups[0]!
    expect(asked.memberEpoch).toBeGreaterThan(0)
    await cluster.world.run(member.consumer.close())
    await cluster.world.run(member.done)
    expect(member.diary).toEqual(['+0,1,2,3', '-0,1,2,3'])
    expect([...cluster.committed.get('g')!.values()]).toEqual([5, 5, 5, 5])
    expect(epochs(cluster).at(-1)).toBe(-1)
    expect(cluster.consumerGroup('g').members.size).toBe(0)
    expect(cluster.world.clientTimerCount).toBe(0)
    expect(member.errors).toEqual([])
  })

  test('a second member gets partitions once the first has given them up, having committed', async () => {
    const cluster = filled(4)
    const first = new Member(cluster)
    await cluster.world.pass(1000)
    const second = new Member(cluster)
    await cluster.world.pass(2000)
    expect([...first.owned, ...second.owned].sort()).toEqual([0, 1, 2, 3])
    expect(second.owned).toHaveLength(2)
    expect(first.diary[0]).toBe('+0,1,2,3')
    expect(first.diary).toHaveLength(2)
    // What the first has read is not read again.
    expect(second.values).toEqual([])
    await cluster.world.run(Promise.all([first.consumer.close(), second.consumer.close()]))
    expect([...first.errors, ...second.errors]).toEqual([])
  })

  test('a member that was thrown out hears that its partitions are lost, and comes back', async () => {
    const cluster = filled(2)
    const member = new Member(cluster)
    await cluster.world.pass(1000)
    const [memberId] = cluster.consumerGroup('g').members.keys()
    cluster.consumerGroup('g').fence(memberId!)
    await cluster.world.pass(1000)
    expect(member.diary).toEqual(['+0,1', '!0,1', '+0,1'])
    await cluster.world.run(member.consumer.close())
    expect(member.errors).toEqual([])
  })

  test('a member that hears that it was thrown out says nothing more before it has dropped what it owned', async () => {
    const cluster = filled(2)
    const member = new Member(cluster)
    await cluster.world.pass(1000)
    const [memberId] = cluster.consumerGroup('g').members.keys()
    cluster.consumerGroup('g').fence(memberId!)
    // The second heartbeat is asked for while the first is under way.
    member.consumer.subscribe('t')
    member.consumer.subscribe(['t', 'u'])
    await cluster.world.pass(3000)
    const joins = cluster
      .requests<ConsumerGroupHeartbeatRequest>(ApiKey.CONSUMER_GROUP_HEARTBEAT)
      .filter(({ body }) => body.memberEpoch === 0)
    expect(joins.map(({ body }) => body.topicPartitions?.length)).toEqual([0, 0])
    await cluster.world.run(member.consumer.close())
    expect(member.errors).toEqual([])
  })

  test('heartbeats go on while the application is busy, until maxPollIntervalMs', async () => {
    const cluster = filled(2)
    const consumer = new Consumer({
      ...cluster.clientOptions,
      groupId: 'g',
      groupProtocol: 'consumer',
      maxPollIntervalMs: 10_000,
      enableAutoCommit: false,
    })
    const lost: TopicPartition[] = []
    consumer.subscribe('t', {
      onPartitionsLost: (partitions) => {
        lost.push(...partitions)
      },
    })
    const assigned = async () => {
      while (consumer.assignment().length < 2) await consumer.poll({ timeoutMs: 50 })
    }
    await cluster.world.run(assigned())
    await cluster.world.pass(9000)
    expect(cluster.consumerGroup('g').members.size).toBe(1)
    await cluster.world.pass(2000)
    expect(cluster.consumerGroup('g').members.size).toBe(0)
    const back = async () => {
      await consumer.poll({ timeoutMs: 0 })
      await assigned()
    }
    await cluster.world.run(back())
    expect(lost).toHaveLength(2)
    await cluster.world.run(consumer.close())
  })

  test('a static member leaves with -2 and finds its partitions again', async () => {
    const cluster = filled(4)
    const options = { groupInstanceId: 'one' }
    const other = new Member(cluster)
    const member = new Member(cluster, options)
    await cluster.world.pass(1500)
    const { owned } = member
    await cluster.world.run(member.consumer.close())
    expect(epochs(cluster)).toContain(-2)
    const again = new Member(cluster, options)
    await cluster.world.pass(1500)
    expect(again.owned).toEqual(owned)
    expect(other.diary.filter((line) => line.startsWith('-'))).toHaveLength(other.diary[0] === '+0,1,2,3' ? 1 : 0)
    await cluster.world.run(Promise.all([again.consumer.close(), other.consumer.close()]))
  })

  test('goes on when the coordinator moves and answers are lost', async () => {
    const cluster = filled(4)
    const first = new Member(cluster)
    const second = new Member(cluster)
    let count = 0
    cluster.intercept(ApiKey.CONSUMER_GROUP_HEARTBEAT, async (request) => {
      if (++count % 5 === 1) {
        await cluster.answer(request)
        return 'break'
      }
      if (count % 7 === 3) cluster.moveCoordinator(1 + (count % 2))
      return null
    })
    await cluster.world.pass(5000)
    expect([...first.owned, ...second.owned].sort()).toEqual([0, 1, 2, 3])
    await cluster.world.run(Promise.all([first.consumer.close(), second.consumer.close()]))
    expect([...first.errors, ...second.errors]).toEqual([])
  })

  test('a pattern is matched by the brokers, and topics that come later are read', async () => {
    const cluster = new FakeCluster()
    fill(cluster.createTopic('ta').partitions[0]!, ['a'])
    fill(cluster.createTopic('other').partitions[0]!, ['never'])
    const member = new Member(cluster, { metadataMaxAgeMs: 500 }, new SubscriptionPattern('t.*'))
    await cluster.world.pass(1000)
    fill(cluster.createTopic('tb').partitions[0]!, ['b'])
    await cluster.world.pass(3000)
    expect(member.values.sort()).toEqual(['a', 'b'])
    const patterns = cluster
      .requests<ConsumerGroupHeartbeatRequest>(ApiKey.CONSUMER_GROUP_HEARTBEAT)
      .map(({ body }) => body.subscribedTopicRegex)
    expect(patterns.filter((pattern) => pattern !== null)).toEqual(['t.*'])
    await cluster.world.run(member.consumer.close())
  })

  test('a changed subscription is said at once, and what is not wanted any more is given up', async () => {
    const cluster = filled(2)
    fill(cluster.createTopic('u').partitions[0]!, ['u0'])
    const consumer = new Consumer({ ...cluster.clientOptions, groupId: 'g', groupProtocol: 'consumer' })
    consumer.subscribe('t')
    const until = async (count: number, topic: string) => {
      for (;;) {
        const assignment = consumer.assignment()
        if (assignment.length === count && assignment.every((place) => place.topic === topic)) return
        await consumer.poll({ timeoutMs: 20 })
      }
    }
    await cluster.world.run(until(2, 't'))
    consumer.subscribe('u')
    await cluster.world.run(until(1, 'u'))
    await cluster.world.run(consumer.close())
  })

  test('a topic that was made anew under its name is read from its beginning', async () => {
    const cluster = filled(1)
    const member = new Member(cluster, { metadataMaxAgeMs: 200 })
    await cluster.world.pass(1000)
    const topic = cluster.topics.get('t')!
    cluster.topics.delete('t')
    const anew = cluster.createTopic('t', 1)
    anew.topicId = 'bmV3IG5ldyBuZXcgbmV3IA' as typeof topic.topicId
    fill(anew.partitions[0]!, ['new'])
    cluster.committed.clear()
    await cluster.world.pass(3000)
    expect(member.values.at(-1)).toBe('new')
    expect(member.diary).toEqual(['+0', '-0', '+0'])
    await cluster.world.run(member.consumer.close())
  })

  test('what cannot be mended reaches the application, which may poll on', async () => {
    const cluster = filled(1)
    let refusals = 1
    cluster.intercept(ApiKey.CONSUMER_GROUP_HEARTBEAT, () =>
      refusals-- > 0
        ? createConsumerGroupHeartbeatResponse({ errorCode: ErrorCode.GROUP_MAX_SIZE_REACHED, errorMessage: 'full' })
        : null,
    )
    const consumer = new Consumer({ ...cluster.clientOptions, groupId: 'g', groupProtocol: 'consumer' })
    consumer.subscribe('t')
    await expect(cluster.world.run(consumer.poll())).rejects.toMatchObject({ code: 'GROUP_MAX_SIZE_REACHED' })
    const assigned = async () => {
      while (consumer.assignment().length < 1) await consumer.poll({ timeoutMs: 50 })
    }
    await cluster.world.run(assigned())
    await cluster.world.run(consumer.close())
  })

  test('a pattern for brokers is refused where members match', () => {
    const cluster = new FakeCluster()
    const consumer = new Consumer({ ...cluster.clientOptions, groupId: 'g' })
    expect(() => consumer.subscribe(new SubscriptionPattern('t.*'))).toThrow(/groupProtocol/)
    const useless = {
      ...cluster.clientOptions,
      groupId: 'g',
      groupProtocol: 'consumer',
      sessionTimeoutMs: 9999,
    } as const
    expect(() => new Consumer(useless)).toThrow(expect.objectContaining({ key: 'sessionTimeoutMs' }))
  })
})
