import { type Mutation, mutationsIn } from './mutation.ts'

const inBroker = mutationsIn('packages/broker/src', 'cluster')
const inMetadata = mutationsIn('packages/consensus/src/metadata', 'cluster')
const inStorage = mutationsIn('packages/storage/src', 'cluster')

/** Mistakes in replication, in moves of replicas, in the controller's rules and in the coordinator of groups. */
export const clusterMutations: readonly Mutation[] = [
  inBroker(
    'records acknowledged before anybody else has them',
    'partition/partition.ts',
    'leading.followers.length === 0 ? end : leading.committedOffset(end)',
    'end',
  ),
  inBroker(
    'leader counts what it has not synced',
    'partition/partition.ts',
    'const end = this.certainOffset',
    'const end = log.writtenOffset',
  ),
  inBroker(
    'follower acknowledges what it has not synced',
    'replication/follower-replica.ts',
    'return !partition.log.failed && partition.certainOffset === partition.log.logEndOffset',
    'return !partition.log.failed',
  ),
  inBroker(
    'follower truncates to its high watermark',
    'replication/follower-replica.ts',
    'this.#logger = logger\n',
    'this.#logger = logger\n    partition.log.truncateTo(partition.log.highWatermark)\n',
  ),
  inBroker(
    'diverging epoch forgotten',
    'replication/follower-replica.ts',
    'return this.truncateTo(Math.max(0, Math.min(agreed, this.fetchOffset)))',
    'return true',
  ),
  inBroker(
    'high watermark over those whom the leader wants in the ISR',
    'replication/leader-state.ts',
    'follower.isCounted = follower.isInSync || this.proposal?.isr.includes(follower.brokerId) === true',
    'follower.isCounted = (this.proposal?.isr ?? this.isr).includes(follower.brokerId)',
  ),
  inBroker(
    'follower joins the ISR wherever it stands',
    'replication/leader-state.ts',
    'if (follower.endOffset < highWatermark || follower.endOffset < this.epochStartOffset) return null\n',
    '',
  ),
  inBroker(
    'acknowledged without waiting',
    'partition/partition.ts',
    'if (this.#ackWaiters.push(waiter) >= this.#ackSweepCount) this.#sweepAckWaiters()\n',
    'queueMicrotask(() => waiter.onCommitted(0))\n',
  ),
  inBroker(
    'consumers read to the end of the log',
    'partition/fetch-operation.ts',
    'return isolation === FetchIsolation.HIGH_WATERMARK ? log.highWatermark : log.lastStableOffset',
    'return log.logEndOffset',
  ),
  inBroker(
    'damaged replica cut while in the ISR',
    'replication/replica-repairs.ts',
    "    this.#options.logger.error('records of a replica are damaged', { ...nameOf(partition), ...first })\n",
    '    partition.log.truncateTo(first.startOffset)\n',
  ),
  inMetadata(
    'damaged replica stays in the ISR',
    'controller/withdraw-replicas.ts',
    '      targetIsr,\n',
    '      targetIsr: partition.isr,\n',
  ),
  inBroker(
    'log that was lost begun anew in the ISR',
    'partition/partition-placement.ts',
    'this.lost.start(image, this.#options.logs, this.#isRegistered)\n',
    '\n',
  ),
  inMetadata(
    'replica whose log is lost elected',
    'controller/cluster-registration.ts',
    'isLost && !isWiped ? DirectoryId.LOST_LOG : null',
    'null',
  ),
  inMetadata(
    'last replica not eligible any more once its log is lost',
    'controller/cluster-registration.ts',
    '...(wiped || mayHaveLost ? { excludedFromElr: brokerId } : {}),',
    '...(wiped || isLost || mayHaveLost ? { excludedFromElr: brokerId, isExcludedWiped: true } : {}),',
  ),
  inMetadata(
    'lost log counts although another leads',
    'controller/partition-change.ts',
    'this.#elr = this.#elr.filter((replica) => !this.#isLogLost(replica))\n',
    '\n',
  ),
  inMetadata(
    'leader elected from outside of the ISR',
    'controller/partition-change.ts',
    'return eligible && this.#isAcceptable(replica)',
    'return this.#isAcceptable(replica)',
  ),
  inMetadata(
    'new leader in the same epoch',
    'partition.ts',
    'partition.leaderEpoch : partition.leaderEpoch + 1',
    'partition.leaderEpoch : partition.leaderEpoch',
  ),
  inMetadata(
    'replica of an earlier life stays in the ISR',
    'controller/cluster-registration.ts',
    'targetIsr: without(isr, brokerId),',
    'targetIsr: isr,',
  ),
  inBroker(
    'rebalance without a new generation',
    'coordinator/group/classic-group.ts',
    'this.generationId++\n    this.protocolName',
    'this.generationId = Math.max(1, this.generationId)\n    this.protocolName',
  ),
  inBroker(
    'offsets acknowledged before they are committed',
    'coordinator/runtime/coordinator-shard.ts',
    'this.#appended.push(batch)\n    if (this.#log',
    'this.#appended.push(batch)\n    for (const operation of batch.operations.splice(0)) this.#end(operation, 0)\n    if (this.#log',
  ),
  inStorage(
    'a batch that was sent again is stored again',
    'log-appender.ts',
    '        result.set(duplicateFirstOffset, duplicateLastOffset, timestamp, true)\n        return ErrorCode.NONE\n      }\n      if (code !== ErrorCode.NONE) return code',
    '        result.set(duplicateFirstOffset, duplicateLastOffset, timestamp, true)\n      }\n      if (code > 0) return code',
  ),
  inStorage(
    'future log takes the place of the other before it has caught up',
    'log-move.ts',
    '    for (let copiedBytes = 0; future.logEndOffset < source.logEndOffset; ) {\n',
    '    if (!future.hasStaged) return true\n    for (let copiedBytes = 0; future.logEndOffset < source.logEndOffset; ) {\n',
  ),
  inStorage(
    'logs are exchanged without a note',
    'log-move.ts',
    'await futures.noteReplacement(source, future)',
    'await Promise.resolve()',
  ),
  inStorage(
    'a start heeds no note of a move',
    'moved-logs.ts',
    'if ([...entries.values()].every(({ length }) => length === 0)) return found',
    'if (entries.size > 0) return found',
  ),
]
