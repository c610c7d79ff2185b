import type { Defect } from './defect.ts'

/** Mistakes in what a start makes of the files. */
export const recoveryDefects: readonly Defect[] = [
  {
    name: 'checksum not looked at by recovery',
    file: 'log-recovery.ts',
    from: "if (found === 'batch' && scanner.isWhole(endOffsetAt(input, segment, scanner.position, upperOffset))) {",
    to: "if (found === 'batch') {",
  },
  {
    name: 'torn tail kept',
    file: 'log-recovery.ts',
    from: '      segment.endRecovery(scanner.position)\n      // Behind',
    to: '      segment.endRecovery(segment.fileBytes)\n      // Behind',
  },
  {
    name: 'corruption cut like a torn tail',
    file: 'log-recovery.ts',
    from: 'const isTorn = !wasSynced(input, segment, scanner)',
    to: 'const isTorn = true',
  },
  {
    name: 'gap between segments overlooked',
    file: 'log-recovery.ts',
    from: 'if (torn || endsEarly(input, segment, upperOffset, output)) {',
    to: 'if (false) {',
  },
  {
    name: 'lost end not reported',
    file: 'log-recovery.ts',
    from: 'if (output.logEndOffset < input.durableOffset) reportMissing(input, output)',
    to: '',
  },
  {
    name: 'aborted transactions not indexed by recovery',
    file: 'log-recovery.ts',
    from: '    segment.indexes.transactions.append({ ...aborted.ended, lastStableOffset: aborted.lastStableOffset })\n',
    to: '',
  },
  {
    name: 'leader epochs not read by recovery',
    file: 'log-recovery.ts',
    from: '  if (epoch > input.epochs.latestEpoch) input.epochs.assign(epoch, scanner.baseOffset)\n',
    to: '',
  },
  {
    name: 'producers not replayed by recovery',
    file: 'log-recovery.ts',
    from: '  if (scanner.baseOffset < input.producers.mapEndOffset) return\n',
    to: '  return\n',
  },
  {
    name: 'batch may reach behind the end of the file',
    file: 'batch-scanner.ts',
    from: "    if (sizeBytes > this.#end - this.position) return 'invalid'\n",
    to: '',
  },
  {
    name: 'zeros parsed as records',
    file: 'batch-scanner.ts',
    from: "if (magicOf(this.#window, at) !== 2 || sizeBytes < BATCH_HEADER_BYTES) return 'invalid'",
    to: "if (magicOf(this.#window, at) > 2 || sizeBytes < 12) return 'invalid'",
  },
  {
    name: 'offsets may go back',
    file: 'batch-scanner.ts',
    from: "if (baseOffset < this.expectedOffset || lastOffsetDelta < 0) return 'invalid'",
    to: "if (lastOffsetDelta < 0) return 'invalid'",
  },
  {
    name: 'index trusted although it is not sound',
    file: 'segment-indexes.ts',
    from: '    if (this.offsets.isSound(logSizeBytes)) {\n',
    to: '    {\n',
  },
  {
    name: 'index trusted without a look at the log',
    file: 'segment-indexes.ts',
    from: 'if (last !== null && this.#matches(last, logSizeBytes) && this.times.isSound(offset)) {',
    to: 'if (last !== null) {',
  },
  {
    name: 'segments without their predecessors taken for the log',
    file: 'log-loader.ts',
    from: '  if (first.baseOffset <= knownOffset) return segments\n',
    to: '  if (first.baseOffset >= 0) return segments\n',
  },
  {
    name: 'what recovery found counts as synced',
    file: 'log-loader.ts',
    from: '    durableOffset: Math.min(durableOffset, logEndOffset),\n',
    to: '    durableOffset: logEndOffset,\n',
  },
  {
    name: 'names that recovery found not synced',
    file: 'log-loader.ts',
    from: '    segment.needsDirectorySync = true\n',
    to: '',
  },
  {
    name: 'leader epochs above the end kept by a start',
    file: 'log-loader.ts',
    from: '  epochs.cache.truncateFromEnd(logEndOffset)\n  epochs.cache.truncateFromStart(logStartOffset)\n',
    to: '  epochs.cache.truncateFromStart(logStartOffset)\n',
  },
  {
    name: 'producer snapshot above the recovery point trusted',
    file: 'log-producers.ts',
    from: 'if (offset > maxOffset || offset <= logStartOffset) continue',
    to: 'if (offset <= logStartOffset) continue',
  },
  {
    name: 'clean-shutdown mark kept by the start',
    file: 'log-manager.ts',
    from: '      disk.removeFile(cleanPath)\n',
    to: '',
  },
  {
    name: 'removal of the clean-shutdown mark not synced',
    file: 'log-manager.ts',
    from: '      disk.removeFile(cleanPath)\n      disk.syncDirectory(path)\n',
    to: '      disk.removeFile(cleanPath)\n',
  },
  {
    name: 'data without a known topic thrown away',
    file: 'log-manager.ts',
    from: '        if (!(error instanceof CorruptFileError)) throw error\n        // Nobody knows',
    to: "        if (!(error instanceof CorruptFileError)) throw error\n        this.#removals.add(home.path + '/' + name)\n        // Nobody knows",
  },
]
