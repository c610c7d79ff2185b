import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { TransactionVerifications, type Verification, type VerifiedLog } from './transaction-verifications.ts'

/** Goal: nothing of a transaction gets into a partition that its coordinator was not asked about for this producer, epoch and transaction (T4). */

const PRODUCER = 7

/** What a log knows of its producers. */
class FakeProducers {
  readonly entries = new Map<
    number,
    { producerEpoch: number; currentTransactionFirstOffset: number; batchCount: number }
  >()
  readonly log = {
    currentProducers: () => ({ entry: (producerId: number) => this.entries.get(producerId) ?? null }),
  } as unknown as VerifiedLog

  /** It has an open transaction, or none, and has written. */
  set(producerEpoch: number, isOpen: boolean, batchCount = 1): void {
    this.entries.set(PRODUCER, { producerEpoch, currentTransactionFirstOffset: isOpen ? 3 : -1, batchCount })
  }
}

class Partition {
  readonly producers = new FakeProducers()
  readonly verifications = new TransactionVerifications()

  begin(epoch: number, sequence = 0, isEnlisted = false, id = 'x'): Verification | number | null {
    return this.verifications.begin(this.producers.log, id, PRODUCER, epoch, sequence, isEnlisted)
  }

  begun(epoch: number, sequence = 0, isEnlisted = false, id = 'x'): Verification {
    const begun = this.begin(epoch, sequence, isEnlisted, id)
    if (begun === null || typeof begun === 'number') throw new Error(`no verification is needed: ${begun}`)
    return begun
  }

  refusal(epoch: number, sequence: number, verification: Verification | null, isRequired = true): number {
    return this.verifications.refusal(this.producers.log, PRODUCER, epoch, sequence, verification, isRequired)
  }
}

describe('a transaction that begins', () => {
  test('needs a verification, and none once it is open', () => {
    const partition = new Partition()
    const begun = partition.begun(0)
    expect(partition.refusal(0, 0, null)).toBe(ErrorCode.INVALID_TXN_STATE)
    expect(partition.refusal(0, 0, begun)).toBe(ErrorCode.NONE)
    partition.producers.set(0, true)
    partition.verifications.onAppended(PRODUCER, 0)
    expect(partition.begin(0)).toBeNull()
    expect(partition.refusal(0, 1, null)).toBe(ErrorCode.NONE)
  })

  test('shares the verification that is under way, and the lowest sequence goes first', () => {
    const partition = new Partition()
    const first = partition.begun(0, 5)
    expect(partition.begin(0, 4)).toBe(first)
    expect(partition.refusal(0, 5, first)).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(partition.refusal(0, 4, first)).toBe(ErrorCode.NONE)
    // Offsets of groups have no sequences.
    expect(partition.refusal(0, -1, first)).toBe(ErrorCode.NONE)
  })

  test('begins with sequence 0 where the producer is not known, if this broker adds it', () => {
    const partition = new Partition()
    expect(partition.refusal(0, 3, partition.begun(0, 3, true))).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    // By its marker alone it is not known yet.
    partition.producers.set(0, false, 0)
    expect(partition.refusal(0, 3, partition.begun(0, 3, true))).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    partition.producers.set(0, false)
    expect(partition.refusal(0, 3, partition.begun(0, 3, true))).toBe(ErrorCode.NONE)
  })

  test('is believed where verification is switched off, unless this broker was to add it', () => {
    const partition = new Partition()
    expect(partition.refusal(0, 0, null, false)).toBe(ErrorCode.NONE)
    const begun = partition.begun(0, 0, true)
    partition.verifications.onMarker(PRODUCER, 1)
    expect(partition.refusal(0, 0, begun, false)).toBe(ErrorCode.INVALID_TXN_STATE)
  })
})

describe('whoever says that he is the producer', () => {
  test('does not keep it out by higher epochs, however many', () => {
    const partition = new Partition()
    for (let epoch = 32_700; epoch < 32_720; epoch++) partition.begun(epoch, 0, false, 'mine')
    const honest = partition.begun(3)
    expect(partition.refusal(3, 0, honest)).toBe(ErrorCode.NONE)
  })

  test('shares nothing with it: neither his refusal, nor his sequence', () => {
    const partition = new Partition()
    const honest = partition.begun(3, 5)
    const other = partition.begun(3, 0, false, 'mine')
    partition.verifications.onRefused(other)
    expect(partition.refusal(3, 5, honest)).toBe(ErrorCode.NONE)
  })

  test('may crowd it out, and it is told to come again, not that it is wrong', () => {
    const partition = new Partition()
    const honest = partition.begun(3)
    for (let number = 0; number < 8; number++) partition.begun(3, 0, false, `mine-${number}`)
    expect(partition.refusal(3, 0, honest)).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
    expect(partition.refusal(3, 0, partition.begun(3))).toBe(ErrorCode.NONE)
  })
})

describe('a verification', () => {
  test('is good for its epoch alone', () => {
    const partition = new Partition()
    const old = partition.begun(0)
    const fresh = partition.begun(1)
    expect(fresh).not.toBe(old)
    expect(partition.refusal(1, 0, old)).toBe(ErrorCode.INVALID_TXN_STATE)
    expect(partition.refusal(1, 0, fresh)).toBe(ErrorCode.NONE)
    // The one before may still get in, as in the log: its coordinator has it in its transaction.
    expect(partition.refusal(0, 0, old)).toBe(ErrorCode.NONE)
  })

  test('is of no use after a marker of the same epoch, which ended what was asked about', () => {
    const partition = new Partition()
    const begun = partition.begun(0)
    partition.verifications.onMarker(PRODUCER, 0)
    expect(partition.refusal(0, 0, begun)).toBe(ErrorCode.INVALID_TXN_STATE)
    expect(partition.begun(0)).not.toBe(begun)
  })

  test('by KIP-890 outlives the marker that has its own epoch: that ended the transaction before', () => {
    const partition = new Partition()
    const old = partition.begun(4, 0, true)
    const next = partition.begun(5, 0, true)
    partition.verifications.onMarker(PRODUCER, 5)
    partition.producers.set(5, false, 0)
    expect(partition.refusal(5, 0, next)).toBe(ErrorCode.NONE)
    expect(partition.refusal(4, 0, old)).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
    expect(partition.begin(4)).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
  })

  test('is of no use once it was used, was refused, or the leadership is over', () => {
    const partition = new Partition()
    const used = partition.begun(0)
    partition.verifications.onAppended(PRODUCER, 0)
    expect(partition.refusal(0, 0, used)).toBe(ErrorCode.INVALID_TXN_STATE)
    const refused = partition.begun(0)
    partition.verifications.onRefused(refused)
    expect(partition.refusal(0, 0, refused)).toBe(ErrorCode.INVALID_TXN_STATE)
    const resigned = partition.begun(0)
    partition.verifications.clear()
    expect(partition.refusal(0, 0, resigned)).toBe(ErrorCode.INVALID_TXN_STATE)
  })

  test('is forgotten when very many others come, and then made anew', () => {
    const { producers, verifications } = new Partition()
    const first = verifications.begin(producers.log, 'x', 1, 0, 0, false) as Verification
    for (let producerId = 2; producerId <= 2_001; producerId++) {
      verifications.begin(producers.log, 'x', producerId, 0, 0, false)
    }
    expect(verifications.refusal(producers.log, 1, 0, 0, first, true)).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
    const again = verifications.begin(producers.log, 'x', 1, 0, 0, false) as Verification
    expect(verifications.refusal(producers.log, 1, 0, 0, again, true)).toBe(ErrorCode.NONE)
  })
})
