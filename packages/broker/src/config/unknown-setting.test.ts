import { expect, test } from 'vitest'
import { unknownSettingComplaint } from './unknown-setting.ts'

test('settings of a node are known, also for one listener, and those that mean nothing here', () => {
  const keys = ['num.partitions', 'compression.type', 'listener.name.plaintext.ssl.client.auth', 'ssl.provider']
  for (const key of keys) expect(unknownSettingComplaint(key)).toBeNull()
})

test('others are told with the nearest names', () => {
  expect(unknownSettingComplaint('num.partitons')).toBe('unknown setting num.partitons; did you mean num.partitions?')
  expect(unknownSettingComplaint('log.retention.m')).toMatch(/did you mean log\.retention\.ms/)
  expect(unknownSettingComplaint('log.roll.m')).toMatch(/did you mean log\.roll\.ms/)
  expect(unknownSettingComplaint('my.own.thing')).toBe('unknown setting my.own.thing')
  expect(unknownSettingComplaint('constructor')).toBe('unknown setting constructor')
})

test('settings of topics and groups are told with those that a node has for all of them', () => {
  expect(unknownSettingComplaint('max.message.bytes')).toContain('the default of all topics is message.max.bytes')
  expect(unknownSettingComplaint('segment.ms')).toContain('log.roll.ms')
  expect(unknownSettingComplaint('leader.replication.throttled.replicas')).toContain('millrace config set topic NAME')
  expect(unknownSettingComplaint('consumer.session.timeout.ms')).toContain('group.consumer.session.timeout.ms')
})
