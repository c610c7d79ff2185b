import {
  createDescribeProducersRequest,
  createDescribeProducersRequestTopicRequest,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  describeProducersApi,
  ErrorCode,
  incrementalAlterConfigsApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { sequencedBatch } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

const BROKER_RESOURCE = 4

async function describeProducers(client: DataClient, name: string, partition = 0) {
  const topics = [createDescribeProducersRequestTopicRequest({ name, partitionIndexes: [partition] })]
  return (await client.call(describeProducersApi, 0, createDescribeProducersRequest({ topics }))).topics[0]!
    .partitions[0]!
}

async function setForAllBrokers(client: DataClient, name: string, value: string): Promise<number> {
  const configs = [createIncrementalAlterConfigsRequestAlterableConfig({ name, value, configOperation: 0 })]
  const resources = [
    createIncrementalAlterConfigsRequestAlterConfigsResource({
      resourceType: BROKER_RESOURCE,
      resourceName: '',
      configs,
    }),
  ]
  const request = createIncrementalAlterConfigsRequest({ resources })
  return (await client.call(incrementalAlterConfigsApi, 1, request)).responses[0]!.errorCode
}

describe('DescribeProducers', () => {
  it('tells who wrote with a sequence, and refuses what is not there by its own error', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', sequencedBatch(['a', 'b'], 0))
      const { activeProducers } = await describeProducers(client, 't')
      expect(activeProducers).toMatchObject([{ producerId: 7, producerEpoch: 0, lastSequence: 1 }])
      const errorOf = async (name: string, partition?: number) =>
        (await describeProducers(client, name, partition)).errorCode
      expect(await errorOf('gone')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await errorOf('t', 1)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await errorOf('not legal')).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    })
  })

  it('no longer tells of producers that were idle for as long as a setting says, which may change at run time', async () => {
    const settings = { 'log.retention.check.interval.ms': '60000' }
    await TestBroker.run({ settings }, async (client, broker) => {
      await client.createTopic('t', 1, { 'retention.ms': '-1' })
      await client.produce('t', sequencedBatch(['a'], 0))
      const producersAfter = async (durationMs: number) => {
        await broker.advance(durationMs)
        return (await describeProducers(broker.connect(), 't')).activeProducers.length
      }
      expect(await producersAfter(120_000)).toBe(1)
      expect(await setForAllBrokers(broker.connect(), 'producer.id.expiration.ms', '30000')).toBe(0)
      await broker.advance(60_000)
      // The scan that was under way ends with the first minute; the next one finds it.
      expect(await producersAfter(60_000)).toBe(0)
    })
  })
})
