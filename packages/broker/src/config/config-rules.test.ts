import {
  applyRecords,
  ConfigResourceType,
  emptyImage,
  MetadataErrorCode,
  type MetadataRecord,
} from '@millrace/consensus'
import { describe, expect, test } from 'vitest'
import { createConfigRules } from './config-rules.ts'
import { Configuration } from './configuration.ts'

const { TOPIC, BROKER, GROUP, CLIENT_METRICS } = ConfigResourceType
const log = { warn: () => undefined }
const rules = createConfigRules(new Configuration(new Map([['min.insync.replicas', '2']]), log))

function validate(type: number, name: string, configs: Record<string, string>) {
  return rules.validate(type, name, new Map(Object.entries(configs)), new Map())
}

function record(resourceType: number, resourceName: string, name: string, value: string): MetadataRecord {
  return { type: 'ConfigRecord', resourceType, resourceName, name, value }
}

describe('topics', () => {
  test('values are parsed and checked beside each other', () => {
    expect(validate(TOPIC, 't', { 'retention.ms': '-1', 'cleanup.policy': 'compact,delete' })).toBeNull()
    expect(validate(TOPIC, 't', { 'retention.ms': '-2' })).toMatchObject({ code: MetadataErrorCode.INVALID_CONFIG })
    expect(validate(TOPIC, 't', { 'min.compaction.lag.ms': '5', 'max.compaction.lag.ms': '4' })?.message).toMatch(
      /min\.compaction\.lag\.ms: must not be more than/,
    )
    expect(validate(TOPIC, 't', { 'remote.storage.enable': 'true' })?.message).toMatch(/not supported/)
  })

  test('unknown keys and bad names are refused', () => {
    expect(validate(TOPIC, 't', { 'retentoin.ms': '1' })).toEqual({
      code: MetadataErrorCode.INVALID_CONFIG,
      message: 'Unknown topic config name: retentoin.ms; did you mean retention.ms?',
    })
    expect(validate(TOPIC, 't', { 'log.retention.ms': '1' })?.code).toBe(MetadataErrorCode.INVALID_CONFIG)
    expect(validate(TOPIC, '', {})?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
    expect(validate(TOPIC, 'a b', {})?.code).toBe(MetadataErrorCode.INVALID_TOPIC_EXCEPTION)
  })
})

test('brokers are named by number', () => {
  expect(validate(BROKER, '', {})).toBeNull()
  expect(validate(BROKER, '7', {})).toBeNull()
  expect(validate(BROKER, 'x', {})?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
  expect(validate(BROKER, '-1', {})?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
})

test('client metrics subscriptions have three keys with rules of their own', () => {
  const ok = { metrics: '*', 'interval.ms': '100', match: 'client_id=a.*,client_software_name=Java' }
  expect(validate(CLIENT_METRICS, 's', ok)).toBeNull()
  expect(validate(CLIENT_METRICS, '', ok)?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
  expect(validate(CLIENT_METRICS, 's', { color: 'red' })?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
  expect(validate(CLIENT_METRICS, 's', { 'interval.ms': '99' })?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
  for (const match of ['client_id', 'color=red', 'client_id=(', 'client_id=a=b']) {
    expect(validate(CLIENT_METRICS, 's', { match }), match).toMatchObject({ code: MetadataErrorCode.INVALID_CONFIG })
  }
})

test('groups stay within the broker’s bounds', () => {
  expect(
    validate(GROUP, 'g', { 'consumer.session.timeout.ms': '50000', 'share.auto.offset.reset': 'by_duration:PT1H' }),
  ).toBeNull()
  expect(validate(GROUP, '', {})?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
  expect(validate(GROUP, 'g', { 'session.timeout.ms': '1' })?.message).toMatch(/Unknown group config name/)
  expect(validate(GROUP, 'g', { 'consumer.session.timeout.ms': '70000' })?.message).toMatch(/at most 60000/)
  expect(validate(GROUP, 'g', { 'consumer.heartbeat.interval.ms': '1' })?.message).toMatch(/at least 5000/)
  expect(validate(GROUP, 'g', { 'share.auto.offset.reset': 'by_duration:P' })?.message).toMatch(/ISO-8601/)
  expect(validate(GROUP, 'g', { 'streams.num.standby.replicas': '3' })?.message).toMatch(/at most 2/)
})

test('unknown kinds of resource are refused', () => {
  expect(validate(99, 'x', {})?.code).toBe(MetadataErrorCode.INVALID_REQUEST)
})

test('lists and defaults come from the table of the kind of resource', () => {
  expect(rules.isList(TOPIC, 'cleanup.policy')).toBe(true)
  expect(rules.isList(TOPIC, 'retention.ms')).toBe(false)
  expect(rules.isList(TOPIC, 'toString')).toBe(false)
  expect(rules.isList(BROKER, 'log.cleanup.policy')).toBe(true)
  expect(rules.schemaDefault(TOPIC, 'cleanup.policy')).toBe('delete')
  expect(rules.schemaDefault(TOPIC, 'nothing')).toBeNull()
})

test('effective values are those of the image at hand, not of the node’s present state', () => {
  const image = applyRecords(emptyImage('c'), [
    record(BROKER, '', 'min.insync.replicas', '3'),
    record(TOPIC, 't', 'min.insync.replicas', '4'),
    record(TOPIC, 't', 'unclean.leader.election.enable', 'true'),
  ]).image
  expect(rules.staticMinInsyncReplicas()).toBe(2)
  expect(rules.minInsyncReplicas(emptyImage('c'), 't')).toBe(2)
  expect(rules.minInsyncReplicas(image, 'u')).toBe(3)
  expect(rules.minInsyncReplicas(image, 't')).toBe(4)
  expect(rules.uncleanLeaderElectionEnable(image, 't')).toBe(true)
  expect(rules.uncleanLeaderElectionEnable(image, 'u')).toBe(false)
  const configs = rules.effectiveTopicConfigs(image, new Map([['retention.ms', '5']]))
  expect(configs.find(({ name }) => name === 'retention.ms')).toMatchObject({ value: '5', configSource: 1 })
  expect(configs.find(({ name }) => name === 'min.insync.replicas')).toMatchObject({ value: '3', configSource: 3 })
  expect(configs.map(({ name }) => name)).not.toContain('internal.segment.bytes')
})
