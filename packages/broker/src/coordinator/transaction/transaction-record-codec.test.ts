import { MalformedMessageError, UnsupportedVersionError } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TransactionRecord } from './transaction-record.ts'
import { TransactionRecordCodec } from './transaction-record-codec.ts'
import { type TransactionState, TransactionStatus } from './transaction-state.ts'

const BASE: TransactionState = {
  transactionalId: 'payments-ä',
  producerId: 4711,
  previousProducerId: 4710,
  nextProducerId: -1,
  producerEpoch: 12,
  lastProducerEpoch: 11,
  timeoutMs: 60_000,
  status: TransactionStatus.EMPTY,
  partitions: new Map(),
  startMs: -1,
  lastUpdateMs: 1_700_000_000_123,
  clientVersion: 0,
  owner: null,
}
const OPEN = { partitions: new Map([['orders', [3]]]), startMs: 1_700_000_000_000 }

/** As `TransactionLog.valueToBytes` of Kafka 4.3.1 writes them, for the level of `transaction.version` that is given. */
const WRITTEN_BY_KAFKA: readonly [string, number, Partial<TransactionState>, string][] = [
  ['Empty', 0, {}, '00000000000000001267000c0000ea6000ffffffff0000018bcfe5687bffffffffffffffff'],
  ['Empty', 2, {}, '00010000000000001267000c0000ea6000000000018bcfe5687bffffffffffffffff0100080000000000001266'],
  [
    'Ongoing',
    0,
    { ...OPEN, status: TransactionStatus.ONGOING },
    '00000000000000001267000c0000ea60010000000100066f726465727300000001000000030000018bcfe5687b0000018bcfe56800',
  ],
  [
    'Ongoing',
    2,
    { ...OPEN, status: TransactionStatus.ONGOING, clientVersion: 2 },
    '00010000000000001267000c0000ea600102076f72646572730200000003000000018bcfe5687b0000018bcfe56800020008000000000000126602020002',
  ],
  [
    'PrepareCommit at the last epoch',
    2,
    { ...OPEN, status: TransactionStatus.PREPARE_COMMIT, clientVersion: 2, nextProducerId: 4712 },
    '00010000000000001267000c0000ea600202076f72646572730200000003000000018bcfe5687b0000018bcfe5680003000800000000000012660108000000000000126802020002',
  ],
  [
    'CompleteAbort',
    2,
    { ...OPEN, partitions: new Map(), status: TransactionStatus.COMPLETE_ABORT, clientVersion: 2 },
    '00010000000000001267000c0000ea6005010000018bcfe5687b0000018bcfe56800020008000000000000126602020002',
  ],
]

function codecAt(level: number): TransactionRecordCodec {
  return new TransactionRecordCodec(() => level)
}

/** What the log gives back: the last epoch and the owner are in memory only, and version 0 has no tags. */
function stored(state: TransactionState, level: number): TransactionState {
  const tags = level >= 1 ? {} : { previousProducerId: -1, nextProducerId: -1, clientVersion: 0 }
  return { ...state, ...tags, lastProducerEpoch: -1, owner: null }
}

test.each(WRITTEN_BY_KAFKA)(
  '%s at level %i has the bytes that Kafka writes, and is read from them',
  (_, level, init, hex) => {
    const state = { ...BASE, ...init }
    const { key, value } = codecAt(level).encode({ transactionalId: state.transactionalId, value: state })
    expect(key.toString('hex')).toBe('0000000b7061796d656e74732dc3a4')
    expect(value!.toString('hex')).toBe(hex)
    const decoded = codecAt(level).decode(key, Buffer.from(hex, 'hex'))
    expect(decoded).toEqual({ transactionalId: state.transactionalId, value: stored(state, level) })
  },
)

test('an id that has expired is a key without a value', () => {
  const { key, value } = codecAt(2).encode({ transactionalId: 'gone', value: null })
  expect(value).toBeNull()
  expect(codecAt(2).decode(key, null)).toEqual({ transactionalId: 'gone', value: null })
})

describe('what no coordinator writes', () => {
  const written = codecAt(2).encode({ transactionalId: 'tx', value: BASE })
  test('is not believed', () => {
    const decode = (change: (value: Buffer) => void) => () => {
      const value = Buffer.from(written.value!)
      change(value)
      return codecAt(2).decode(written.key, value)
    }
    expect(decode((value) => value.writeInt8(6, 16))).toThrow(MalformedMessageError)
    expect(decode((value) => value.writeBigInt64BE(-5n, 2))).toThrow(MalformedMessageError)
    expect(decode((value) => value.writeBigInt64BE(2n ** 60n, 2))).toThrow(MalformedMessageError)
    expect(decode((value) => value.writeInt16BE(-1, 10))).toThrow(MalformedMessageError)
    expect(decode((value) => value.writeInt16BE(9, 0))).toThrow(UnsupportedVersionError)
    expect(() => codecAt(2).decode(written.key, Buffer.alloc(7))).toThrow(MalformedMessageError)
    expect(() => codecAt(2).decode(Buffer.from([0]), null)).toThrow(MalformedMessageError)
  })

  test('is of an unknown type if its key says so', () => {
    expect(codecAt(2).decode(Buffer.from([0, 7, 0, 0]), null)).toBeNull()
  })

  test('never fails in another way, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.option(fc.uint8Array({ maxLength: 200 })), (key, value) => {
        try {
          codecAt(2).decode(Buffer.from(key), value === null ? null : Buffer.from(value))
        } catch (error) {
          expect(error instanceof MalformedMessageError || error instanceof UnsupportedVersionError).toBe(true)
        }
      }),
    )
  })
})

test('every state comes back as it was written', () => {
  const id = fc.string({ maxLength: 20 })
  const partitions = fc
    .array(fc.tuple(id, fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 5 })), { maxLength: 4 })
    .map((entries) => new Map(entries.map(([topic, numbers]) => [topic, numbers.sort((a, b) => a - b)])))
  const arbitrary: fc.Arbitrary<TransactionRecord> = fc
    .record({
      transactionalId: id,
      producerId: fc.nat(),
      previousProducerId: fc.integer({ min: -1 }),
      nextProducerId: fc.integer({ min: -1 }),
      producerEpoch: fc.integer({ min: 0, max: 32_767 }),
      lastProducerEpoch: fc.integer({ min: -1, max: 32_767 }),
      timeoutMs: fc.nat(),
      status: fc.constantFrom(...Object.values(TransactionStatus)),
      partitions,
      startMs: fc.integer({ min: -1 }),
      lastUpdateMs: fc.nat(),
      clientVersion: fc.constantFrom(0, 1, 2),
      owner: fc.constant(null),
    })
    .map((value) => ({
      transactionalId: value.transactionalId,
      value: value.status === TransactionStatus.EMPTY ? { ...value, partitions: new Map() } : value,
    }))
  fc.assert(
    fc.property(arbitrary, fc.constantFrom(0, 1, 2), (record, level) => {
      const { key, value } = codecAt(level).encode(record)
      expect(codecAt(level).decode(key, value)).toEqual({ ...record, value: stored(record.value!, level) })
    }),
  )
})
