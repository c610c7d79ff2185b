import { type Mutation, mutationsIn } from './mutation.ts'

const inStorage = mutationsIn('packages/storage/src', 'cluster')
const inCleaner = mutationsIn('packages/storage/src/cleaner', 'cluster')

/** Mistakes in compaction: in what may be left out, in how far it may go, and in how segments are exchanged. */
export const compactionMutations: readonly Mutation[] = [
  inCleaner(
    'compaction leaves out the newest record of a key',
    'batch-rewriter.ts',
    'return offset >= this.#keys.get(bytes, keyPosition, keyPosition + keyLength)',
    'return offset > this.#keys.get(bytes, keyPosition, keyPosition + keyLength)',
  ),
  inCleaner(
    'tombstones go before their time',
    'batch-rewriter.ts',
    'if (valueLength < 0 && isExpired) return false',
    'if (valueLength < 0) return false',
  ),
  inCleaner(
    'the table of keys keeps the older offset',
    'key-offsets.ts',
    '    const stored = offset + 1\n',
    '    this.latestOffset = offset\n    if (!this.#isEmptyAt(at)) return true\n    const stored = offset + 1\n',
  ),
  inCleaner(
    'an aborted record replaces a committed one',
    'local-clean-engine.ts',
    'else if (!transactions.isAborted(buffer, position) && lastOffset >= firstDirtyOffset) {',
    'else if (lastOffset >= firstDirtyOffset) {',
  ),
  inCleaner(
    'compaction goes beyond the high watermark',
    'cleanable-range.ts',
    'const upperOffset = Math.min(offset, log.recoveryPoint, log.durableOffset)',
    'const upperOffset = Math.max(offset, Math.min(log.recoveryPoint, log.durableOffset))',
  ),
  inCleaner(
    'compaction goes into open transactions',
    'cleanable-range.ts',
    'await youngFrom(log, firstSlot, endSlotBelow(log, firstSlot, log.lastStableOffset), nowMs)',
    'await youngFrom(log, firstSlot, endSlotBelow(log, firstSlot, log.highWatermark), nowMs)',
  ),
  inCleaner(
    'young records are compacted',
    'cleanable-range.ts',
    'if (timestamp > nowMs - minCompactionLagMs) return slot',
    'if (timestamp > nowMs) return slot',
  ),
  inCleaner(
    'markers go while records of their transactions stay',
    'clean-transactions.ts',
    'if (marker.commit) return !this.#ongoingCommits.delete(producerId)',
    'if (marker.commit) return true',
  ),
  inCleaner(
    'nothing is left of the last batch of a producer',
    'batch-rewriter.ts',
    'const mustStay = isLast || this.#isLastOfProducer(buffer, position)',
    'const mustStay = isLast',
  ),
  inCleaner(
    'a new segment is not synced before it takes the place of others',
    'cleaned-segment.ts',
    '    await this.#file.syncData()\n    this.close()\n',
    '    this.close()\n',
  ),
  inCleaner(
    'a log counts as compacted before it is',
    'log-clean.ts',
    '    let endSlot = 0\n',
    '    log.compaction.onCleaned(indexed.endOffset)\n    let endSlot = 0\n',
  ),
  inStorage(
    'a start leaves an interrupted exchange as it is',
    'interrupted-swaps.ts',
    'return { names: kept.some((name) => name.endsWith(SWAP_SUFFIX)) ? swapIn(disk, path, kept, retired) : kept, retired }',
    'return { names: kept.length < 0 ? swapIn(disk, path, kept, retired) : kept, retired }',
  ),
]
