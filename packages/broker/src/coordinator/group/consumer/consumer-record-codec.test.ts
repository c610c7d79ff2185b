import type { Uuid } from '@millrace/base'
import { MalformedMessageError, UnsupportedVersionError } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GroupRecordCodec } from '../group-record-codec.ts'
import { type ConsumerGroupRecord, MemberState } from './consumer-record.ts'

const codec = new GroupRecordCodec()
const TOPIC = 'k9LnoV7S2x5H0BBiBb7MBw' as Uuid
const groupId = 'group'
const memberId = 'member'
const partitions = (...list: number[]) => new Map([[TOPIC, list]])

/** Records, and their keys and values as Kafka's own classes write them. */
const VECTORS: [record: ConsumerGroupRecord, key: string, value: string][] = [
  [
    { type: 'consumer-group', groupId, value: { epoch: 7, metadataHash: -5n } },
    '0003000567726f7570',
    '000000000007010008fffffffffffffffb',
  ],
  [
    {
      type: 'consumer-member',
      groupId,
      memberId,
      value: {
        instanceId: 'instance',
        rackId: null,
        clientId: 'client',
        clientHost: '/192.0.2.61',
        subscribedTopics: ['a', 'b'],
        topicRegex: 'x.*',
        rebalanceTimeoutMs: 30_000,
        serverAssignor: 'range',
        classic: { sessionTimeoutMs: 12, protocols: [{ name: 'p', metadata: Buffer.from([1, 2]) }] },
      },
    },
    '0005000567726f757000066d656d626572',
    '000009696e7374616e63650007636c69656e740c2f3139322e302e322e3631030261026204782e2a000075300672616e6765' +
      '01000d010000000c0202700301020000',
  ],
  [
    {
      type: 'consumer-member',
      groupId,
      memberId,
      value: {
        instanceId: null,
        rackId: 'rack',
        clientId: '',
        clientHost: '',
        subscribedTopics: [],
        topicRegex: null,
        rebalanceTimeoutMs: -1,
        serverAssignor: null,
        classic: null,
      },
    },
    '0005000567726f757000066d656d626572',
    '000000057261636b01010101ffffffff0001000100',
  ],
  [
    { type: 'consumer-targets', groupId, value: { epoch: 7, timestampMs: 1_640_578_995_531 } },
    '0006000567726f7570',
    '000000000007010008' + '0000017dfa20d54b',
  ],
  [
    { type: 'consumer-target', groupId, memberId, value: partitions(0, 3) },
    '0007000567726f757000066d656d626572',
    '00000293d2e7a15ed2db1e47d0106205becc070300000000000000030000',
  ],
  [
    {
      type: 'consumer-current',
      groupId,
      memberId,
      value: {
        memberEpoch: 7,
        previousMemberEpoch: 6,
        state: MemberState.UNREVOKED_PARTITIONS,
        assigned: { partitions: partitions(0, 3), epochs: partitions(5, 7) },
        pendingRevocation: { partitions: partitions(1), epochs: partitions(6) },
      },
    },
    '0008000567726f757000066d656d626572',
    '00000000000700000006010293d2e7a15ed2db1e47d0106205becc070300000000000000030100090300000005000000070293d2e7a1' +
      '5ed2db1e47d0106205becc070200000001010005020000000600',
  ],
  [
    {
      type: 'consumer-regex',
      groupId,
      regex: 'x.*',
      value: { topics: ['xa', 'xb'], version: 44, timestampMs: 1_640_578_995_531 },
    },
    '0010000567726f75700003782e2a',
    '000003037861037862000000000000002c0000017dfa20d54b00',
  ],
]

describe('records of consumer groups', () => {
  test.each(VECTORS)('are those of Kafka, byte for byte (%#)', (record, key, value) => {
    const encoded = codec.encode(record)
    expect(encoded.key.toString('hex')).toBe(key)
    expect(encoded.value?.toString('hex')).toBe(value)
    const decoded = codec.decode(encoded.key, encoded.value)
    expect(decoded).toEqual(record)
    // Nothing of it is a view: the log's chunk must not stay in memory.
    encoded.value?.fill(0)
    expect(decoded).toEqual(record)
    expect(codec.encode({ ...record, value: null } as ConsumerGroupRecord).value).toBeNull()
    expect(codec.decode(encoded.key, null)).toEqual({ ...record, value: null })
  })

  test('of the topics, which nobody writes any more, are known to be there', () => {
    const value = Buffer.from('00000293d2e7a15ed2db1e47d0106205becc07026100000001010000', 'hex')
    const record = codec.decode(Buffer.from('0004000567726f7570', 'hex'), value)
    expect(record).toEqual({ type: 'consumer-partitions', groupId, value: 'present' })
  })

  test('of other brokers are read with what they lack, and with what only later ones know', () => {
    const [record, key, value] = VECTORS[5]!
    const bytes = Buffer.from(value, 'hex')
    bytes[10] = 99
    expect(codec.decode(Buffer.from(key, 'hex'), bytes)).toMatchObject({ value: { state: MemberState.UNKNOWN } })
    const older = '00000000000700000006000293d2e7a15ed2db1e47d0106205becc0703000000000000000300' + '0100'
    expect(codec.decode(Buffer.from(key, 'hex'), Buffer.from(older, 'hex'))).toMatchObject({
      value: { assigned: { partitions: partitions(0, 3), epochs: partitions(7, 7) } },
    })
    expect(record.type).toBe('consumer-current')
  })

  test('that are damaged throw what a load expects, whatever their bytes', () => {
    const vector = fc.constantFrom(...VECTORS)
    fc.assert(
      fc.property(vector, fc.nat(), fc.nat(255), fc.nat(), ([, key, value], at, byte, cut) => {
        const bytes = Buffer.from(value, 'hex')
        bytes[at % bytes.length] = byte
        try {
          const record = codec.decode(Buffer.from(key, 'hex'), bytes.subarray(0, 1 + (cut % bytes.length)))
          if (record !== null) codec.encode(record)
        } catch (error) {
          if (error instanceof MalformedMessageError || error instanceof UnsupportedVersionError) return
          throw error
        }
      }),
    )
  })
})
