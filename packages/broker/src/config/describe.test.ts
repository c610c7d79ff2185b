import { applyRecords, ConfigResourceType, emptyImage, type MetadataRecord } from '@millrace/consensus'
import { describe, expect, test } from 'vitest'
import { brokerDefinitions } from './broker-definitions.ts'
import { Configuration } from './configuration.ts'
import {
  describeBroker,
  describeClientMetrics,
  describeClusterDefaults,
  describeGroup,
  describeTopic,
} from './describe.ts'

const log = { warn: () => undefined }

function start(
  settings: Record<string, string>,
  ...dynamic: [name: string, key: string, value: string][]
): Configuration {
  const configuration = new Configuration(new Map(Object.entries(settings)), log)
  const records = dynamic.map(
    ([resourceName, name, value]): MetadataRecord => ({
      type: 'ConfigRecord',
      resourceType: ConfigResourceType.BROKER,
      resourceName,
      name,
      value,
    }),
  )
  configuration.update(applyRecords(emptyImage('c'), records).image)
  return configuration
}

function find<T extends { readonly name: string }>(descriptions: readonly T[], name: string): T {
  const found = descriptions.find((description) => description.name === name)
  if (found === undefined) throw new Error(`${name} is not described`)
  return found
}

const overrides = (settings: Record<string, string>) => new Map(Object.entries(settings))

describe('a topic', () => {
  test('shows every setting once, sorted, with type, documentation and where it comes from', () => {
    const all = describeTopic(start({}), overrides({}))
    const names = all.map(({ name }) => name)
    expect(names).toEqual([...names].sort())
    expect(names).not.toContain('internal.segment.bytes')
    expect(find(all, 'max.message.bytes')).toEqual({
      name: 'max.message.bytes',
      value: '1048588',
      readOnly: false,
      configSource: 5,
      isSensitive: false,
      synonyms: [{ name: 'message.max.bytes', value: '1048588', source: 5 }],
      configType: 3,
      documentation: 'Largest record batch that a partition takes.',
    })
    expect(find(all, 'flush.messages')).toMatchObject({ value: '9223372036854775807', configType: 5 })
    expect(find(all, 'cleanup.policy')).toMatchObject({ value: 'delete', configType: 7 })
    expect(find(all, 'min.cleanable.dirty.ratio')).toMatchObject({ value: '0.5', configType: 6 })
    expect(find(all, 'unclean.leader.election.enable')).toMatchObject({ value: 'false', configType: 1 })
    expect(find(all, 'remote.storage.enable').synonyms).toEqual([])
    expect(find(all, 'write.caching')).toMatchObject({ value: 'false' })
  })

  test('lists its own value first, then the broker’s layers', () => {
    const configuration = start(
      { 'message.max.bytes': '4' },
      ['', 'message.max.bytes', '3'],
      ['1', 'message.max.bytes', '2'],
    )
    const own = find(describeTopic(configuration, overrides({ 'max.message.bytes': '1' })), 'max.message.bytes')
    expect(own).toMatchObject({
      value: '1',
      configSource: 1,
      synonyms: [
        { name: 'max.message.bytes', value: '1', source: 1 },
        { name: 'message.max.bytes', value: '2', source: 2 },
        { name: 'message.max.bytes', value: '3', source: 3 },
        { name: 'message.max.bytes', value: '4', source: 4 },
        { name: 'message.max.bytes', value: '1048588', source: 5 },
      ],
    })
    expect(find(describeTopic(configuration, overrides({})), 'max.message.bytes')).toMatchObject({
      value: '2',
      configSource: 2,
    })
  })

  test('shows settings in hours as milliseconds, without synonyms of other names, as Kafka does', () => {
    const retention = find(describeTopic(start({ 'log.retention.hours': '2' }), overrides({})), 'retention.ms')
    expect(retention).toMatchObject({ value: '7200000', configSource: 5, synonyms: [] })
    const inMs = find(describeTopic(start({ 'log.retention.ms': '9' }), overrides({})), 'retention.ms')
    expect(inMs).toMatchObject({
      value: '9',
      configSource: 4,
      synonyms: [
        { name: 'log.retention.ms', value: '9', source: 4 },
        { name: 'log.retention.hours', value: '168', source: 5 },
      ],
    })
  })

  test('shows internal settings only if they are set', () => {
    const all = describeTopic(start({}), overrides({ 'internal.segment.bytes': '1000' }))
    expect(find(all, 'internal.segment.bytes')).toMatchObject({ value: '1000', configSource: 1 })
  })
})

describe('a broker', () => {
  test('shows every setting, and says which can change at run time', () => {
    const all = describeBroker(start({ 'node.id': '1', 'num.partitions': ' 07 ' }))
    expect(all.length).toBe(Object.keys(brokerDefinitions).length)
    for (const { name, documentation } of all) expect(documentation, name).not.toBeNull()
    expect(find(all, 'num.partitions')).toMatchObject({
      value: '7',
      readOnly: true,
      configSource: 4,
      synonyms: [
        { name: 'num.partitions', value: ' 07 ', source: 4 },
        { name: 'num.partitions', value: '1', source: 5 },
      ],
    })
    expect(find(all, 'broker.id')).toMatchObject({ value: '1', configSource: 4 })
    expect(find(all, 'message.max.bytes').readOnly).toBe(false)
    expect(find(all, 'log.retention.ms')).toMatchObject({ value: null, configSource: 5, synonyms: [] })
    expect(find(all, 'log.cleaner.io.max.bytes.per.second').value).toBe('1.7976931348623157E308')
  })

  test('never shows secrets, nor what it does not know', () => {
    const all = describeBroker(start({ 'ssl.key.password': 'hunter2', 'my.plugin.token': 'hunter2' }))
    expect(JSON.stringify(all)).not.toContain('hunter2')
    expect(find(all, 'ssl.key.password')).toMatchObject({
      value: null,
      isSensitive: true,
      configType: 9,
      configSource: 4,
    })
    expect(find(all, 'my.plugin.token')).toMatchObject({
      value: null,
      isSensitive: true,
      configType: 0,
      readOnly: true,
    })
  })

  test('shows keys scoped to a listener with what they scope as synonym', () => {
    const all = describeBroker(start({ 'listener.name.plaintext.ssl.client.auth': 'none' }))
    expect(find(all, 'listener.name.plaintext.ssl.client.auth').synonyms).toEqual([
      { name: 'listener.name.plaintext.ssl.client.auth', value: 'none', source: 4 },
      { name: 'ssl.client.auth', value: 'none', source: 5 },
    ])
  })
})

test('the cluster’s defaults show only what is set at run time for all', () => {
  const configuration = start(
    { 'message.max.bytes': '4' },
    ['', 'message.max.bytes', '3'],
    ['1', 'compression.type', 'zstd'],
  )
  expect(describeClusterDefaults(configuration)).toMatchObject([
    {
      name: 'message.max.bytes',
      value: '3',
      configSource: 3,
      synonyms: [{ name: 'message.max.bytes', value: '3', source: 3 }],
    },
  ])
})

test('a group shows its own settings over the broker’s', () => {
  const all = describeGroup(
    start({ 'group.consumer.session.timeout.ms': '50000' }),
    overrides({ 'share.isolation.level': 'read_committed' }),
  )
  expect(find(all, 'consumer.session.timeout.ms')).toMatchObject({ value: '50000', configSource: 4 })
  expect(find(all, 'share.isolation.level')).toMatchObject({
    value: 'read_committed',
    configSource: 8,
    synonyms: [
      { name: 'share.isolation.level', source: 8 },
      { name: 'share.isolation.level', value: 'read_uncommitted', source: 5 },
    ],
  })
})

test('a client metrics subscription shows defaults until something is set', () => {
  const all = describeClientMetrics(overrides({ metrics: '*' }))
  expect(all).toMatchObject([
    { name: 'interval.ms', value: '300000', configSource: 5, synonyms: [] },
    { name: 'match', value: '' },
    { name: 'metrics', value: '*', configSource: 7 },
  ])
})
