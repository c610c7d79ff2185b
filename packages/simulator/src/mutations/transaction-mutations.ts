import { type Mutation, mutationsIn } from './mutation.ts'

const inCoordinator = mutationsIn('packages/broker/src/coordinator', 'cluster')
const inStorage = mutationsIn('packages/storage/src', 'cluster')

/** Mistakes in the coordinator of transactions, in what partitions know of them, and in offsets that are part of them. */
export const transactionMutations: readonly Mutation[] = [
  inStorage(
    'last stable offset passes open transactions',
    'log.ts',
    'if (first < 0 || first >= this.highWatermark) return this.highWatermark',
    'if (first < 0 || first >= 0) return this.highWatermark',
  ),
  inStorage(
    'aborted transaction missing from the index',
    'log-appender.ts',
    'log.segments.active.indexes.transactions.append({ ...ended, lastStableOffset })',
    'void lastStableOffset',
  ),
  inCoordinator(
    'new producer in the epoch of the one before',
    'transaction/init-producer-id.ts',
    'return { ...empty, producerEpoch: producerEpoch + 1, lastProducerEpoch: nextLastEpoch }',
    'return { ...empty, producerEpoch, lastProducerEpoch: nextLastEpoch }',
  ),
  inCoordinator(
    'end of a transaction taken from a fenced producer',
    'transaction/end-transaction.ts',
    '  if (!isCurrent && !(isComplete && comesAgain)) return ErrorCode.PRODUCER_FENCED\n',
    '',
  ),
  inCoordinator(
    'transaction that ran out of time is committed',
    'transaction/end-transaction.ts',
    'return decideWithBump(state, false, version, freshProducerId, nowMs)',
    'return decideWithBump(state, true, version, freshProducerId, nowMs)',
  ),
  inCoordinator(
    'marker that a partition did not take is not sent again',
    'transaction/marker-sender.ts',
    '        this.#retry(work, errorCode)\n',
    '        this.#settle(work)\n',
  ),
  inCoordinator(
    'decisions of an earlier coordinator forgotten',
    'transaction/transaction-machine.ts',
    'for (const transactionalId of this.#tally.prepared) {',
    "for (const transactionalId of ['']) {\n      if (transactionalId === '') continue",
  ),
  inCoordinator(
    'offsets of a transaction count at once',
    'group/group-machine.ts',
    'if (position.producerId === -1) this.#offsets.put(',
    'if (position.producerId >= -1) this.#offsets.put(',
  ),
  inCoordinator(
    'partition put into a transaction by a fenced producer',
    'transaction/transaction-machine.ts',
    '  if (state.producerEpoch !== producerEpoch) return ErrorCode.PRODUCER_FENCED\n',
    '',
  ),
  inCoordinator(
    'offsets of an aborted transaction count',
    'group/group-machine.ts',
    'this.#offsets.endTransaction(producerId, committed)',
    'this.#offsets.endTransaction(producerId, committed || !committed)',
  ),
]
