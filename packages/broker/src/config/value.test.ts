import { ConfigurationError } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { brokerDefinitionOf } from './broker-definitions.ts'
import { type Definition, formatDouble } from './definition.ts'
import { topicDefinition } from './topic-config.ts'
import { formatValue, parseValue, settingOf } from './value.ts'

function parse(key: string, text: string) {
  return parseValue(key, brokerDefinitionOf(key) ?? topicDefinition(key), text)
}

function complaint(key: string, text: string): string {
  try {
    parse(key, text)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError)
    expect((error as ConfigurationError).key).toBe(key)
    return (error as Error).message
  }
  throw new Error(`${key}=${text} was taken`)
}

describe('numbers', () => {
  test('are whole, in range, and may have a sign and space around', () => {
    expect(parse('num.partitions', ' 12 ')).toBe(12)
    expect(parse('num.partitions', '+3')).toBe(3)
    expect(parse('log.retention.bytes', '-1')).toBe(-1)
    for (const text of ['', '1.5', '1e3', '0x10', 'ten', '1_000', '2147483648', '9'.repeat(400)]) {
      expect(complaint('num.partitions', text)).toContain('must be a whole number between 1 and 2147483647')
    }
    expect(complaint('offsets.topic.replication.factor', '40000')).toContain('32767')
    expect(complaint('compression.zstd.level', 'most')).toContain('must be a whole number between -131072 and 22')
    expect(complaint('log.retention.hours', 'many')).toContain('between -2147483648 and 2147483647')
  })

  test('say what is allowed when they are out of their own range', () => {
    expect(complaint('log.segment.bytes', '1024')).toBe(
      'Invalid value 1024 for configuration log.segment.bytes: must be at least 1048576',
    )
    expect(complaint('compression.zstd.level', '23')).toContain('must be between -131072 and 22')
    expect(complaint('compression.gzip.level', '0')).toContain('must be between 1 and 9, or -1')
    expect(parse('compression.gzip.level', '-1')).toBe(-1)
  })

  test('longs keep all their digits, and become the largest safe integer as settings', () => {
    const definition = topicDefinition('flush.messages')
    const value = parse('flush.messages', '9223372036854775807')
    expect(value).toBe(9_223_372_036_854_775_807n)
    expect(formatValue(definition, value)).toBe('9223372036854775807')
    expect(settingOf(value)).toBe(Number.MAX_SAFE_INTEGER)
    expect(settingOf(parse('log.retention.bytes', '-9223372036854775808'))).toBe(Number.MIN_SAFE_INTEGER)
    expect(complaint('flush.messages', '9223372036854775808')).toContain('between')
  })

  test('requests stay below the sizes that mean TLS or HTTP', () => {
    expect(parse('socket.request.max.bytes', '369098751')).toBe(369_098_751)
    expect(complaint('socket.request.max.bytes', '369098752')).toContain('between 1 and 369098751')
  })

  test('doubles are written as Java writes them', () => {
    expect(parse('log.cleaner.min.cleanable.ratio', '.25')).toBe(0.25)
    expect(complaint('log.cleaner.min.cleanable.ratio', '1.5')).toContain('between 0 and 1')
    expect(complaint('log.cleaner.min.cleanable.ratio', 'half')).toContain('must be a number')
    for (const [value, text] of [
      [0.5, '0.5'],
      [1, '1.0'],
      [0, '0.0'],
      [1e7, '1.0E7'],
      [9_999_999, '9999999.0'],
      [0.0001, '1.0E-4'],
      [Number.MAX_VALUE, '1.7976931348623157E308'],
    ] as const) {
      expect(formatDouble(value)).toBe(text)
    }
  })
})

test('booleans are true or false in any case', () => {
  expect(parse('auto.create.topics.enable', 'TRUE')).toBe(true)
  expect(parse('auto.create.topics.enable', ' false')).toBe(false)
  expect(complaint('auto.create.topics.enable', 'yes')).toContain('must be true or false')
})

describe('lists', () => {
  test('are split at commas, lose repetitions, and may not have empty items', () => {
    expect(parse('cleanup.policy', ' delete , compact,delete')).toEqual(['delete', 'compact'])
    expect(parse('cleanup.policy', '')).toEqual([])
    expect(complaint('cleanup.policy', 'delete,burn')).toContain('may contain only: compact, delete')
    expect(complaint('sasl.enabled.mechanisms', 'PLAIN,,GSSAPI')).toContain('empty items')
    expect(complaint('log.dirs', '')).toContain('must not be empty')
    expect(complaint('process.roles', 'broker,king')).toContain('broker, controller')
  })

  test('of throttled replicas are pairs or a star', () => {
    const key = 'leader.replication.throttled.replicas'
    expect(parse(key, '0:1,1:2')).toEqual(['0:1', '1:2'])
    expect(parse(key, '*')).toEqual(['*'])
    expect(parse(key, '')).toEqual([])
    expect(complaint(key, '0-1')).toContain('partition:broker pairs')
    expect(complaint(key, '*,0:1')).toContain('partition:broker pairs')
  })
})

test('texts are one of the allowed, and what would promise too much is refused', () => {
  expect(complaint('compression.type', 'brotli')).toContain('must be one of: uncompressed, zstd')
  expect(parse('group.consumer.migration.policy', 'Upgrade')).toBe('Upgrade')
  expect(complaint('group.consumer.migration.policy', 'sideways')).toContain('in any case')
  expect(complaint('authorizer.class.name', 'org.example.Authorizer')).toContain('StandardAuthorizer')
  expect(complaint('remote.log.storage.system.enable', 'true')).toContain('must stay false')
})

test('secrets are not repeated in messages', () => {
  const definition: Definition = { ...brokerDefinitionOf('ssl.key.password')!, check: () => 'is too short' }
  expect(() => parseValue('ssl.key.password', definition, 'hunter2')).toThrow(
    'Invalid value [hidden] for configuration ssl.key.password: is too short',
  )
})
