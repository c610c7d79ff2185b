import type { Defect } from './defect.ts'

/** Mistakes in truncation, retention and deletion. */
export const cuttingDefects: readonly Defect[] = [
  {
    name: 'mark not lowered before a truncation',
    file: 'log-cutter.ts',
    from: '      this.#home.lowerMark(log, endOffset, log.segments.at(slot).baseOffset, position)\n',
    to: '',
  },
  {
    name: 'mark lowered after a truncation',
    file: 'log-cutter.ts',
    from: '      this.#home.lowerMark(log, endOffset, log.segments.at(slot).baseOffset, position)\n      log.remove(log.segments.removeFrom(slot + 1))\n      const { active } = log.segments\n      active.cut(position, endOffset)\n',
    to: '      log.remove(log.segments.removeFrom(slot + 1))\n      const { active } = log.segments\n      active.cut(position, endOffset)\n      this.#home.lowerMark(log, endOffset, log.segments.at(slot).baseOffset, position)\n',
  },
  {
    name: 'mark not lowered before a new start',
    file: 'log-cutter.ts',
    from: '      this.#home.lowerMark(log, 0, 0, 0)\n',
    to: '',
  },
  {
    name: 'mark lowered in one of its two records',
    file: 'durable-mark.ts',
    from: 'for (let round = 0; round < 2; round++)',
    to: 'for (let round = 0; round < 1; round++)',
  },
  {
    name: 'lowered mark not synced',
    file: 'durable-mark.ts',
    from: '      this.syncNow()\n',
    to: '      this.write()\n',
  },
  {
    name: 'cut of a segment not synced',
    file: 'segment.ts',
    from: '    this.file().syncDataNow()\n    this.fileBytes = position',
    to: '    this.fileBytes = position',
  },
  {
    name: 'names not synced after a truncation',
    file: 'log-cutter.ts',
    from: '      log.writer.syncNamesNow()\n',
    to: '',
  },
  {
    name: 'leader epochs not cut with the log',
    file: 'leader-epoch-cache.ts',
    from: '    while (count > 0 && this.#startOffsets[count - 1]! >= endOffset) count--\n',
    to: '',
  },
  {
    name: 'producers not rebuilt after a truncation',
    file: 'log-cutter.ts',
    from: '      log.producerStates.reload(log.logStartOffset, log.logEndOffset)\n',
    to: '',
  },
  {
    name: 'producer snapshots not removed with what was cut',
    file: 'log-producers.ts',
    from: '    this.removeSnapshots((snapshot) => snapshot > logEndOffset)\n',
    to: '',
  },
  {
    name: 'time index not cut',
    file: 'segment-indexes.ts',
    from: '      this.times.truncateTo(offset)\n    }\n    this.#bytesSinceEntry = 0',
    to: '    }\n    this.#bytesSinceEntry = 0',
  },
  {
    name: 'offset index not cut',
    file: 'segment-indexes.ts',
    from: '      this.offsets.truncateTo(Number.POSITIVE_INFINITY, offset)\n      this.times.truncateTo(offset)\n    }\n',
    to: '      this.times.truncateTo(offset)\n    }\n',
  },
  {
    name: 'transaction index not cut',
    file: 'segment.ts',
    from: '    this.indexes.transactions.truncateTo(endOffset)\n',
    to: '',
  },
  {
    name: 'lowered log start not written',
    file: 'log-cutter.ts',
    from: '    this.#home.onLogStartLowered()\n',
    to: '',
  },
  {
    name: 'log start not written with the checkpoints',
    file: 'log-directory.ts',
    from: '    await replaceFileAsync(this.disk, this.path, LOG_START_FILE, encodeTextCheckpoint(logStarts), isCurrent)\n',
    to: '',
  },
  {
    name: 'segments deleted before the mark knows',
    file: 'log-cutter.ts',
    from: '      await this.#home.beforeRemoval(log)\n',
    to: '',
  },
  {
    name: 'retention takes what was never synced',
    file: 'log-retention.ts',
    from: 'endOffset > Math.min(log.highWatermark, log.durableOffset)',
    to: 'endOffset > log.highWatermark',
  },
  {
    name: 'new start not noted in the mark',
    file: 'log-cutter.ts',
    from: '    if (!log.failed) this.#home.onEmptied(log, offset)\n',
    to: '',
  },
]
