import { describe, expect, test } from 'vitest'
import { resolveConsumerOptions } from '../consumer/consumer-options.ts'
import { resolveProducerOptions } from '../producer/producer-options.ts'
import { parseBootstrapServers, resolveClientOptions } from './client-options.ts'

const SERVERS = { bootstrapServers: 'a:1' }

describe('bootstrap servers', () => {
  test.each([
    ['broker:9093', [{ host: 'broker', port: 9093 }]],
    [
      'a:1, b:2,',
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    ],
    ['a', [{ host: 'a', port: 9092 }]],
    ['[::1]:9094', [{ host: '::1', port: 9094 }]],
    ['[fe80::1]', [{ host: 'fe80::1', port: 9092 }]],
  ])('%s is read', (text, addresses) => {
    expect(parseBootstrapServers(text)).toEqual(addresses)
  })

  test.each(['', ' , ', 'a:b', 'a:0', 'a:70000', 'kafka://a:1', '::1:9092'])('%j is refused', (text) => {
    expect(() => parseBootstrapServers(text)).toThrow(/bootstrapServers|host:port/)
  })
})

describe('settings that cannot work', () => {
  test.each([
    ['acks', { acks: 2 as never }],
    ['enableIdempotence', { enableIdempotence: true, acks: 1 as const }],
    ['enableIdempotence', { enableIdempotence: true, maxInFlightRequestsPerConnection: 6 }],
    ['enableIdempotence', { enableIdempotence: true, retries: 0 }],
    ['deliveryTimeoutMs', { deliveryTimeoutMs: 1000, requestTimeoutMs: 2000 }],
    ['compressionType', { compressionType: 'lzma' as never }],
    ['batchSize', { batchSize: 0 }],
    ['lingerMs', { lingerMs: 1.5 }],
  ])('a producer refuses a wrong %s', (key, options) => {
    expect(() => resolveProducerOptions({ ...SERVERS, ...options })).toThrow(expect.objectContaining({ key }))
  })

  test.each([
    ['groupId', { groupId: '' }],
    ['groupInstanceId', { groupInstanceId: 'i' }],
    ['enableAutoCommit', { enableAutoCommit: true }],
    ['heartbeatIntervalMs', { heartbeatIntervalMs: 10, sessionTimeoutMs: 10 }],
    ['autoOffsetReset', { autoOffsetReset: 'newest' as never }],
    ['partitionAssignmentStrategy', { partitionAssignmentStrategy: ['best' as never] }],
    ['partitionAssignmentStrategy', { partitionAssignmentStrategy: [] }],
  ])('a consumer refuses a wrong %s', (key, options) => {
    expect(() => resolveConsumerOptions({ ...SERVERS, ...options })).toThrow(expect.objectContaining({ key }))
  })

  test('a client refuses a time that is no number', () => {
    expect(() => resolveClientOptions({ ...SERVERS, requestTimeoutMs: Number.NaN })).toThrow(
      expect.objectContaining({ key: 'requestTimeoutMs' }),
    )
  })
})

describe('settings that depend on each other', () => {
  test('idempotence is on unless something set excludes it', () => {
    expect(resolveProducerOptions(SERVERS).enableIdempotence).toBe(true)
    expect(resolveProducerOptions({ ...SERVERS, acks: 1 }).enableIdempotence).toBe(false)
    expect(resolveProducerOptions({ ...SERVERS, maxInFlightRequestsPerConnection: 10 }).enableIdempotence).toBe(false)
  })

  test('automatic commits are on with a group only', () => {
    expect(resolveConsumerOptions(SERVERS).enableAutoCommit).toBe(false)
    expect(resolveConsumerOptions({ ...SERVERS, groupId: 'g' }).enableAutoCommit).toBe(true)
  })
})
