import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cluster, idOf, imageOf, partition, registration, topic, topicConfig } from '../testing/cluster.ts'
import { decodeBatch, encodeBatch, MetadataFormatError } from './record-codec.ts'
import type { MetadataRecord } from './records.ts'
import { encodeSnapshot, readSnapshot } from './snapshot-codec.ts'

const records: MetadataRecord[] = [
  ...cluster(1, 2),
  registration(3, { rack: 'r' }),
  topic('orders', idOf(1)),
  partition(idOf(1), 0, [1, 2]),
  { type: 'PartitionChangeRecord', topicId: idOf(1), partitionId: 0, isr: [1], leader: -1 },
  { type: 'BrokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 10, logDirs: [] },
  topicConfig('orders', 'retention.ms', 'ünïcode'),
  { type: 'ClientQuotaRecord', entity: [{ entityType: 'user', entityName: null }], key: 'k', value: 0.5 },
  { type: 'RemoveUserScramCredentialRecord', name: 'a', mechanism: 1 },
  { type: 'NoOpRecord' },
]
const batch = encodeBatch({ baseOffset: 77, records })

describe('batches', () => {
  test('come back as they were', () => {
    expect(decodeBatch(batch)).toEqual({ baseOffset: 77, records })
    expect(decodeBatch(encodeBatch({ baseOffset: 0, records: [] }))).toEqual({ baseOffset: 0, records: [] })
  })

  test('of another version, another count, or with anything unknown are refused', () => {
    const bad = (change: (copy: Buffer) => void) => {
      const copy = Buffer.from(batch)
      change(copy)
      return () => decodeBatch(copy)
    }
    expect(bad((copy) => copy.writeUInt8(2, 0))).toThrow(/version 2/)
    expect(bad((copy) => copy.writeUInt32BE(3, 1))).toThrow(MetadataFormatError)
    expect(bad((copy) => copy.fill(0xff, 5, 13))).toThrow(/too large/)
    const encode = (values: unknown[]) => encodeBatch({ baseOffset: 0, records: values as MetadataRecord[] })
    for (const value of [
      null,
      [],
      { type: 'NewRecord' },
      { type: 'constructor' },
      { type: 'NoOpRecord', extra: 1 },
      { type: 'TopicRecord', name: 'x' },
      { type: 'TopicRecord', name: 'x', topicId: 'short' },
      { type: 'RemoveTopicRecord', topicId: 5 },
      { type: 'FeatureLevelRecord', name: 'x', featureLevel: 2 ** 40 },
    ]) {
      expect(() => decodeBatch(encode([value])), JSON.stringify(value)).toThrow(MetadataFormatError)
    }
  })

  test('cut or changed anywhere, they give an error or a valid batch, nothing else', () => {
    fc.assert(
      fc.property(fc.nat(batch.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
        const damaged = Buffer.from(cut ? batch.subarray(0, at) : batch)
        if (!cut) damaged[at] = damaged[at]! ^ flip
        try {
          expect(decodeBatch(damaged).records.length).toBe(records.length)
        } catch (error) {
          expect(error).toBeInstanceOf(MetadataFormatError)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('snapshots', () => {
  const partitions = Array.from({ length: 2500 }, (_, index) => partition(idOf(1), index, [1, 2]))
  const image = imageOf(...cluster(1, 2), topic('orders', idOf(1)), ...partitions)
  const parts = [...encodeSnapshot(image)]
  const data = Buffer.concat(parts)

  test('give the same image, offset included, in parts of bounded size', () => {
    const restored = readSnapshot(data)
    expect(restored.offset).toBe(image.offset)
    expect(restored.clusterId).toBe(image.clusterId)
    expect(restored.topics.get('orders')).toEqual(image.topics.get('orders'))
    expect(new Map(restored.brokers)).toEqual(new Map(image.brokers))
    expect(parts.length).toBe(5)
  })

  test('that are cut, go on behind their end, or are of another kind are refused', () => {
    for (const length of [0, 3, 14, 20, 100, data.length - 1]) {
      expect(() => readSnapshot(data.subarray(0, length)), String(length)).toThrow(MetadataFormatError)
    }
    expect(() => readSnapshot(Buffer.concat([data, Buffer.alloc(1)]))).toThrow(/behind its end/)
    expect(() => readSnapshot(Buffer.from('MRSN').fill(9))).toThrow(MetadataFormatError)
    const other = Buffer.from(data)
    other.writeUInt8(2, 4)
    expect(() => readSnapshot(other)).toThrow(/version 2/)
  })
})
