import type { Mutation } from './mutation.ts'

const inCoordinator = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  file: `packages/broker/src/coordinator/${file}`,
  from,
  to,
  layer: 'cluster',
})

const inStorage = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  file: `packages/storage/src/${file}`,
  from,
  to,
  layer: 'cluster',
})

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
  inStorage(
    'open transactions of a snapshot forgotten',
    'producer-state.ts',
    'if (entry.currentTransactionFirstOffset >= 0) open.push(entry)',
    'entry.currentTransactionFirstOffset = -1',
  ),
  inCoordinator(
    'marker acknowledged before it is replicated',
    'transaction/marker-writer.ts',
    'return errorCode === ErrorCode.NONE ? this.#whenCommitted(partition, timeoutMs) : errorCode',
    'return errorCode',
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
    'transaction completed before its markers are written',
    'transaction/transaction-endings.ts',
    'this.#deps.markers.send(decided, () => this.#complete(statePartition, coordinatorEpoch, state))',
    'this.#deps.markers.send(decided, () => undefined)\n    queueMicrotask(() => this.#complete(statePartition, coordinatorEpoch, state))',
  ),
  inCoordinator(
    'markers sent before the decision is committed',
    'transaction/transaction-machine.ts',
    "    write(state, step)\n    step.continuation = { type: 'decision-written'",
    "    write(state, step)\n    step.reply(NO_TOKEN, { type: 'decided', state })\n    step.continuation = { type: 'decision-written'",
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
    'offsets handed out while a transaction holds others',
    'group/offset-operations.ts',
    'if (requireStable && exists && offsets.isInOpenTransaction(groupId, topic, partition)) {',
    'if (requireStable && !exists && offsets.isInOpenTransaction(groupId, topic, partition)) {',
  ),
]
