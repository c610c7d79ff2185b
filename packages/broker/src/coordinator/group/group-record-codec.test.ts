import { type Uuid, ZERO_UUID } from '@millrace/base'
import { MalformedMessageError } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { GroupRecord } from './group-record.ts'
import { GroupRecordCodec } from './group-record-codec.ts'

const codec = new GroupRecordCodec()
const hex = (bytes: Buffer | null) => bytes?.toString('hex') ?? null

const OFFSET: GroupRecord = {
  type: 'offset-commit',
  groupId: 'group-705',
  topic: 'topic-995',
  partition: 1,
  value: {
    committedOffset: 531_312_729_430,
    leaderEpoch: 4,
    metadata: 'metadata-598',
    commitTimestampMs: 1_640_578_995_531,
    expireTimestampMs: -1,
    topicId: 'k9LnoV7S2x5H0BBiBb7MBw' as Uuid,
  },
}

const GROUP: GroupRecord = {
  type: 'group-metadata',
  groupId: 'group-910',
  value: {
    protocolType: 'consumer',
    generationId: 83_668,
    protocolName: 'protocol-742',
    leaderId: 'leader-801',
    stateTimestampMs: 1_782_781_506_208,
    members: [
      {
        memberId: 'client-329-ab95b15a-5ec7-5ec2-ff86-fbb4c46c3e23',
        groupInstanceId: 'groupInstanceId-532',
        clientId: '',
        clientHost: '/192.0.2.61',
        rebalanceTimeoutMs: 40_657,
        sessionTimeoutMs: 12,
        subscription: Buffer.from('GSNAwxtC', 'base64'),
        assignment: Buffer.from('N3tbBQ==', 'base64'),
      },
    ],
  },
}

/** Bytes as Kafka's own classes write them for the records above. */
const OFFSET_KEY = '0001000967726f75702d3730350009746f7069632d39393500000001'
const OFFSET_VALUE =
  '00040000007bb4b4dd56000000040d6d657461646174612d3539380000017dfa20d54b01001093d2e7a15ed2db1e47d0106205becc07'
const GROUP_KEY = '0002000967726f75702d393130'
const GROUP_VALUE =
  '00030008636f6e73756d6572000146d4000c70726f746f636f6c2d373432000a6c65616465722d3830310000019f160ef2a000000001' +
  '002f636c69656e742d3332392d61623935623135612d356563372d356563322d666638362d666262346334366333653233' +
  '001367726f7570496e7374616e636549642d3533320000000b2f3139322e302e322e363100009ed10000000c' +
  '00000006192340c31b4200000004377b5b05'

describe('records of __consumer_offsets', () => {
  test('are Kafka’s to the byte', () => {
    const offset = codec.encode(OFFSET)
    expect([hex(offset.key), hex(offset.value)]).toEqual([OFFSET_KEY, OFFSET_VALUE])
    const group = codec.encode(GROUP)
    expect([hex(group.key), hex(group.value)]).toEqual([GROUP_KEY, GROUP_VALUE])
  })

  test('are read back as they were', () => {
    for (const record of [OFFSET, GROUP]) {
      const { key, value } = codec.encode(record)
      expect(codec.decode(key, value)).toEqual(record)
    }
  })

  test('without a value delete their key', () => {
    for (const record of [
      { ...OFFSET, value: null },
      { ...GROUP, value: null },
    ] as GroupRecord[]) {
      const { key, value } = codec.encode(record)
      expect(value).toBeNull()
      expect(codec.decode(key, null)).toEqual(record)
    }
  })

  test('with an expiry of their own are written in version 1, the only one with a place for it', () => {
    const record = { ...OFFSET, value: { ...OFFSET.value!, expireTimestampMs: 1_640_578_999_999 } } as GroupRecord
    const { key, value } = codec.encode(record)
    expect(hex(value)).toBe('00010000007bb4b4dd56000c6d657461646174612d3539380000017dfa20d54b0000017dfa20e6bf')
    expect(codec.decode(key, value)).toMatchObject({
      value: { expireTimestampMs: 1_640_578_999_999, leaderEpoch: -1, topicId: ZERO_UUID },
    })
  })

  test('of older versions are read', () => {
    const key = Buffer.from(`0000${OFFSET_KEY.slice(4)}`, 'hex')
    const value = Buffer.from('000000000011b0cbf9e4000c6d657461646174612d353333000001840d556ff9', 'hex')
    expect(codec.decode(key, value)).toMatchObject({
      type: 'offset-commit',
      groupId: 'group-705',
      value: { committedOffset: 75_980_601_828, metadata: 'metadata-533', expireTimestampMs: -1, leaderEpoch: -1 },
    })
    const oldGroup = Buffer.from(
      '00000008636f6e73756d657200000008000c70726f746f636f6c2d383031ffff00000001' +
        '0001610001620001630000000700000000000000029e18',
      'hex',
    )
    expect(codec.decode(Buffer.from(GROUP_KEY, 'hex'), oldGroup)).toMatchObject({
      value: {
        stateTimestampMs: -1,
        leaderId: null,
        members: [{ memberId: 'a', groupInstanceId: null, rebalanceTimeoutMs: 7, sessionTimeoutMs: 7 }],
      },
    })
  })

  test('of other types are not known', () => {
    expect(codec.decode(Buffer.from('0009000161', 'hex'), Buffer.alloc(0))).toBeNull()
    expect(codec.decode(Buffer.from('ffff', 'hex'), null)).toBeNull()
  })

  test('that are damaged throw', () => {
    const { key, value } = codec.encode(GROUP)
    expect(() => codec.decode(key.subarray(0, 5), value)).toThrow(MalformedMessageError)
    expect(() => codec.decode(key, value!.subarray(0, 40))).toThrow(MalformedMessageError)
    expect(() => codec.decode(Buffer.alloc(1), null)).toThrow(MalformedMessageError)
  })

  test('of another broker with offsets beyond 2^53 are read as the largest there is', () => {
    const bytes = Buffer.from(OFFSET_VALUE, 'hex')
    bytes.writeBigInt64BE(2n ** 60n, 2)
    const record = codec.decode(Buffer.from(OFFSET_KEY, 'hex'), bytes)
    expect(record).toMatchObject({ value: { committedOffset: Number.MAX_SAFE_INTEGER } })
  })

  test('do not keep the bytes they were read from', () => {
    const { key, value } = codec.encode(GROUP)
    const record = codec.decode(key, value)
    value!.fill(0)
    expect(record).toEqual(GROUP)
  })
})
