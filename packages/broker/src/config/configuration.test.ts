import {
  applyRecords,
  ConfigResourceType,
  emptyImage,
  type MetadataImage,
  type MetadataRecord,
} from '@millrace/consensus'
import { describe, expect, test } from 'vitest'
import { Configuration } from './configuration.ts'

const { BROKER, TOPIC } = ConfigResourceType

function config(resourceType: number, resourceName: string, name: string, value: string | null): MetadataRecord {
  return { type: 'ConfigRecord', resourceType, resourceName, name, value }
}

function imageOf(...records: MetadataRecord[]): MetadataImage {
  return applyRecords(emptyImage('c'), records).image
}

function start(settings: Record<string, string> = {}) {
  const warnings: { key?: unknown }[] = []
  const log = { warn: (_: string, fields: Readonly<Record<string, unknown>>) => warnings.push({ ...fields }) }
  return { configuration: new Configuration(new Map(Object.entries(settings)), log), warnings }
}

describe('a broker setting', () => {
  test('comes from this broker’s, then all brokers’ dynamic settings, then the start, then the default', () => {
    const { configuration } = start({ 'message.max.bytes': '4' })
    expect(configuration.broker.messageMaxBytes).toBe(4)
    const forAll = config(BROKER, '', 'message.max.bytes', '3')
    configuration.update(imageOf(forAll))
    expect(configuration.broker.messageMaxBytes).toBe(3)
    configuration.update(imageOf(forAll, config(BROKER, '1', 'message.max.bytes', '2')))
    expect(configuration.broker.messageMaxBytes).toBe(2)
    configuration.update(imageOf(config(BROKER, '2', 'message.max.bytes', '1')))
    expect(configuration.broker.messageMaxBytes).toBe(4)
    expect(start().configuration.broker.messageMaxBytes).toBe(1_048_588)
  })

  test('in other units set at run time hides the start’s', () => {
    const { configuration } = start({ 'log.retention.ms': '5' })
    expect(configuration.topicDefaults.retentionMs).toBe(5)
    configuration.update(imageOf(config(BROKER, '', 'log.roll.ms', '7')))
    expect(configuration.topicDefaults.retentionMs).toBe(5)
    expect(configuration.topicDefaults.segmentMs).toBe(7)
  })

  test('that cannot be used is left out with a warning, the others count', () => {
    const { configuration, warnings } = start()
    configuration.update(
      imageOf(
        config(BROKER, '', 'node.id', '9'),
        config(BROKER, '', 'message.max.bytes', 'many'),
        config(BROKER, '', 'listeners', 'PLAINTEXT://h:1'),
        config(BROKER, '', 'ssl.keystore.location', '/k'),
        config(BROKER, '', 'compression.type', 'zstd'),
      ),
    )
    expect(configuration.broker).toMatchObject({ nodeId: 1, messageMaxBytes: 1_048_588, compressionType: 'zstd' })
    expect(warnings.map((fields) => fields.key)).toEqual([
      'node.id',
      'message.max.bytes',
      'listeners',
      'ssl.keystore.location',
    ])
  })

  test('that does not go with the start settings changes nothing', () => {
    const { configuration, warnings } = start({ 'log.cleaner.max.compaction.lag.ms': '10' })
    configuration.update(imageOf(config(BROKER, '', 'log.cleaner.min.compaction.lag.ms', '20')))
    expect(configuration.broker.logCleanerMinCompactionLagMs).toBe(0)
    expect(warnings).toHaveLength(1)
  })

  test('is told to listeners once per change', () => {
    const { configuration } = start()
    const heard: number[] = []
    const stop = configuration.subscribe((broker) => heard.push(broker.maxConnections))
    const image = imageOf(config(BROKER, '', 'max.connections', '5'))
    configuration.update(image)
    configuration.update(image)
    configuration.update(imageOf(config(BROKER, '', 'max.connections', '5'), { type: 'NoOpRecord' }))
    stop()
    configuration.update(imageOf())
    expect(heard[0]).toBe(5)
    expect(heard.length).toBeLessThanOrEqual(2)
  })
})

describe('a topic setting', () => {
  test('comes from the topic, then the broker, then the default', () => {
    const { configuration } = start({ 'log.retention.hours': '2', 'log.cleanup.policy': 'compact' })
    const image = imageOf(config(TOPIC, 't', 'retention.ms', '9'), config(TOPIC, 'u', 'cleanup.policy', ''))
    expect(configuration.topic(image, 't')).toMatchObject({
      retentionMs: 9,
      cleanupCompact: true,
      cleanupDelete: false,
    })
    expect(configuration.topic(image, 'u')).toMatchObject({ retentionMs: 7_200_000, cleanupCompact: false })
    expect(configuration.topic(image, 'other')).toBe(configuration.topicDefaults)
    expect(configuration.topicDefaults).toMatchObject({
      segmentBytes: 1_073_741_824,
      flushMessages: Number.MAX_SAFE_INTEGER,
      internalSegmentBytes: null,
    })
  })

  test('any negative retention of the broker is none', () => {
    expect(start({ 'log.retention.hours': '-5' }).configuration.topicDefaults.retentionMs).toBe(-1)
  })

  test('is worked out once for the same settings, and anew when the broker’s change', () => {
    const { configuration } = start()
    const image = imageOf(config(TOPIC, 't', 'retention.ms', '9'))
    const first = configuration.topic(image, 't')
    expect(configuration.topic(image, 't')).toBe(first)
    const changed = applyRecords(image, [config(BROKER, '', 'log.segment.bytes', '2097152')]).image
    configuration.update(changed)
    expect(configuration.topic(changed, 't')).toMatchObject({ retentionMs: 9, segmentBytes: 2_097_152 })
  })

  test('that cannot be used is left out with a warning', () => {
    const { configuration, warnings } = start()
    const image = imageOf(config(TOPIC, 't', 'retention.ms', 'long'), config(TOPIC, 't', 'segment.ms', '5'))
    expect(configuration.topic(image, 't')).toMatchObject({ retentionMs: 604_800_000, segmentMs: 5 })
    expect(warnings).toMatchObject([{ topic: 't', key: 'retention.ms' }])
  })

  test('for tests may have smaller segments', () => {
    const { configuration } = start()
    const image = imageOf(config(TOPIC, 't', 'internal.segment.bytes', '1000'))
    expect(configuration.topic(image, 't').segmentBytes).toBe(1000)
  })
})

describe('a wish to change broker settings at run time', () => {
  const complain = (settings: Record<string, string>, perBroker = false) =>
    start({ 'log.cleaner.max.compaction.lag.ms': '10' }).configuration.dynamicChangeComplaint(
      new Map(Object.entries(settings)),
      perBroker,
    )

  test('is fine for dynamic settings, also scoped ones and unknown ones', () => {
    expect(complain({ 'message.max.bytes': '5', 'my.plugin.x': '1' })).toBeNull()
    expect(complain({ 'listener.name.plaintext.ssl.client.auth': 'none' }, true)).toBeNull()
  })

  test('says why not', () => {
    expect(complain({ 'node.id': '2' })).toMatch(/Cannot update node\.id at run time/)
    expect(complain({ 'sasl.enabled.mechanisms': 'PLAIN' })).toMatch(/broker id must be given/)
    expect(complain({ listeners: 'PLAINTEXT://127.0.0.1:9095' }, true)).toMatch(/Cannot update listeners at run time/)
    expect(complain({ 'ssl.client.auth': 'none' }, true)).toMatch(/single listener/)
    expect(complain({ 'message.max.bytes': '-5' })).toMatch(/must be at least 0/)
    expect(complain({ 'log.cleaner.min.compaction.lag.ms': '20' })).toMatch(/must not be more than/)
  })
})
