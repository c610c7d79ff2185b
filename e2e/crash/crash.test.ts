import kafkajs from 'kafkajs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import type { Broker } from '../harness/running-broker.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import { checkHistory } from './check-history.ts'
import { partitionCount } from './history.ts'
import type { Load } from './load.ts'
import { startKafkaJsLoad, startKafkaPythonLoad, startLibrdkafkaLoad } from './program-load.ts'
import { readTopic } from './read-topic.ts'

/** How often the broker is killed. More on purpose: `E2E_KILLS=500 npm run e2e -- crash`. */
const killCount = Number(process.env.E2E_KILLS ?? 20)

/**
 * Goal: what was acknowledged survives SIGKILL at any moment, and idempotent producers' retries over a restart add nothing.
 * Method: other vendors' producers send numbered records; the broker is killed under them and started again on the same files and
 * port, again and again; at the end all is read back and held against every acknowledgement.
 */
describe('a broker killed under load', () => {
  let broker: Broker
  const loads: Load[] = []

  beforeEach(async () => {
    broker = await startBroker()
  })

  afterEach(async () => {
    for (const load of loads.splice(0)) load.abandon()
    await broker.dispose()
  })

  it(`keeps every acknowledged record, in order, once for idempotent producers (${killCount} kills)`, {
    timeout: 120_000 + killCount * 15_000,
  }, async () => {
    const topic = await createTopic(broker.bootstrap, { partitions: partitionCount })
    const options = { bootstrap: broker.bootstrap, topic, ratePerSecond: 600 }
    loads.push(startLibrdkafkaLoad({ ...options, name: 'librdkafka-idempotent', kind: 'idempotent', codec: 'lz4' }))
    loads.push(startLibrdkafkaLoad({ ...options, name: 'librdkafka-plain', kind: 'plain', codec: 'none' }))
    loads.push(
      startKafkaPythonLoad({ ...options, name: 'python-leader', kind: 'leader', codec: 'gzip', ratePerSecond: 200 }),
    )
    loads.push(startKafkaJsLoad({ ...options, name: 'kafkajs-idempotent', kind: 'idempotent', codec: 'none' }))
    loads.push(startKafkaJsLoad({ ...options, name: 'kafkajs-plain', kind: 'plain', codec: 'none' }))
    for (let kill = 0; kill < killCount; kill++) {
      // Every producer must get on between two kills; how far differs from round to round, so the moments of the kills do too.
      const goals = loads.map((load) => load.acknowledged().length + 20 + ((kill * 67) % 150))
      await until(
        'every producer goes on',
        () => loads.every((load, i) => load.acknowledged().length >= (goals[i] ?? 0)),
        60_000,
      )
      await broker.kill()
      await broker.restart()
    }
    const producers = await Promise.all(loads.map((load) => load.finish()))
    const { stored } = await readTopic(broker.bootstrap, topic)
    expect(checkHistory({ producers, stored })).toEqual([])
    for (const { sentCount, acknowledged } of producers) expect(acknowledged).toHaveLength(sentCount)
  })

  it('keeps created topics and committed offsets', { timeout: 120_000 }, async () => {
    const kafka = () => new kafkajs.Kafka({ brokers: [broker.bootstrap], logLevel: kafkajs.logLevel.NOTHING })
    const group = uniqueName('committed')
    const created: string[] = []
    for (let round = 1; round <= 5; round++) {
      const topic = await createTopic(broker.bootstrap, { configs: { 'retention.ms': String(round * 1000) } })
      created.push(topic)
      const before = kafka().admin()
      await before.connect()
      await before.setOffsets({
        groupId: group,
        topic: created[0] as string,
        partitions: [{ partition: 0, offset: String(round) }],
      })
      await before.disconnect()

      await broker.kill()
      await broker.restart()

      const after = kafka().admin()
      await after.connect()
      expect(await after.listTopics()).toEqual(expect.arrayContaining(created))
      // Of the admin client alone kafkajs does not ask again while the coordinator loads.
      const [committed] = await until('the offsets are loaded', () =>
        after.fetchOffsets({ groupId: group, topics: [created[0] as string] }).catch((error: unknown) => {
          if ((error as { type?: string }).type === 'GROUP_LOAD_IN_PROGRESS') return null
          throw error
        }),
      )
      expect(committed?.partitions[0]?.offset).toBe(String(round))
      const type = kafkajs.ConfigResourceTypes.TOPIC
      const { resources } = await after.describeConfigs({
        includeSynonyms: false,
        resources: [{ type, name: topic, configNames: ['retention.ms'] }],
      })
      expect(resources[0]?.configEntries[0]?.configValue).toBe(String(round * 1000))
      await after.disconnect()
    }
  })
})
