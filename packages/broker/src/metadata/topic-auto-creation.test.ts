import { DiskError } from '@millrace/base'
import { ConfigResourceType, configsOf } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import type { Logger } from '../logger.ts'
import type { LocalMetadata } from './local-metadata.ts'
import type { MetadataService } from './metadata-service.ts'
import { configurationOf, metadataWith, silentLogger } from './testing/fixtures.ts'
import { TopicAutoCreation } from './topic-auto-creation.ts'

const { broker } = configurationOf({ 'offsets.topic.num.partitions': '4' })

async function start() {
  const metadata = await metadataWith()
  return { metadata, creation: new TopicAutoCreation({ metadata, config: () => broker, logger: silentLogger }) }
}

type CreateTopics = MetadataService['createTopics']

/** The metadata with another way to create topics. */
function withCreation(metadata: LocalMetadata, createTopics: CreateTopics) {
  return {
    get image() {
      return metadata.image
    },
    createTopics,
  }
}

test('a client is answered at once, and finds the topic when it asks again', async () => {
  const { metadata, creation } = await start()
  expect(creation.start('t')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  expect(metadata.image.topics.has('t')).toBe(false)
  expect(await creation.ensure('t')).toBe(true)
  expect(metadata.image.topics.get('t')?.partitions).toHaveLength(1)
  expect(creation.start('a b')).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
})

test('asking many times causes one request', async () => {
  const { metadata } = await start()
  let requests = 0
  const counting = withCreation(metadata, (request) => {
    requests++
    return metadata.createTopics(request)
  })
  const creation = new TopicAutoCreation({ metadata: counting, config: () => broker, logger: silentLogger })
  for (let count = 0; count < 5; count++) creation.start('t')
  expect(await Promise.all([creation.ensure('t'), creation.ensure('t')])).toEqual([true, true])
  expect(requests).toBe(1)
})

test('internal topics get the counts and settings of their own', async () => {
  const { metadata, creation } = await start()
  for (const name of ['__consumer_offsets', '__transaction_state', '__share_group_state']) {
    expect(await creation.ensure(name), name).toBe(true)
  }
  expect(metadata.image.topics.get('__consumer_offsets')?.partitions).toHaveLength(4)
  const configs = configsOf(metadata.image, ConfigResourceType.TOPIC, '__consumer_offsets')
  expect(Object.fromEntries(configs)).toEqual({
    'cleanup.policy': 'compact',
    'compression.type': 'producer',
    'segment.bytes': '104857600',
  })
})

test('a failure is told as absence, not thrown, and the next try is a new one', async () => {
  const { metadata } = await start()
  const warnings: string[] = []
  const logger: Logger = { ...silentLogger, warn: (message) => warnings.push(message) }
  let failing = true
  const unsteady = withCreation(metadata, (request) =>
    failing ? Promise.reject(new DiskError('DISK_FULL', 'write', 'journal', 'ENOSPC')) : metadata.createTopics(request),
  )
  const creation = new TopicAutoCreation({ metadata: unsteady, config: () => broker, logger })
  expect(await creation.ensure('t')).toBe(false)
  expect(warnings).toHaveLength(1)
  failing = false
  expect(await creation.ensure('t')).toBe(true)
})

test('what one request wants is created in few steps, each of few topics', async () => {
  const { metadata } = await start()
  const steps: number[] = []
  const counting = withCreation(metadata, (request) => {
    steps.push(request.topics.length)
    return metadata.createTopics(request)
  })
  const creation = new TopicAutoCreation({ metadata: counting, config: () => broker, logger: silentLogger })
  for (let n = 0; n < 120; n++) creation.start(`t${n}`)
  expect(await creation.ensure('t119')).toBe(true)
  expect(steps).toEqual([50, 50, 20])
  expect(metadata.image.topics.size).toBe(120)
})

test('only so many are created at a time; the others wait until they are asked for again', async () => {
  const { metadata } = await start()
  const names: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const slow = withCreation(metadata, async (request) => {
    names.push(...request.topics.map(({ name }) => name))
    await promise
    return metadata.createTopics({ ...request, validateOnly: true })
  })
  const creation = new TopicAutoCreation({ metadata: slow, config: () => broker, logger: silentLogger })
  for (let n = 0; n < 5000; n++) expect(creation.start(`t${n}`)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  const all = Array.from({ length: 1000 }, (_, n) => creation.ensure(`t${n}`))
  resolve()
  await Promise.all(all)
  expect(names).toHaveLength(1000)
  await creation.ensure('t4999')
  expect(names.at(-1)).toBe('t4999')
})
