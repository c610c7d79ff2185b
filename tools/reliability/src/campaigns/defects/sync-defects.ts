import type { Defect } from './defect.ts'

/** Mistakes in what is synced, when, and what is said of it. */
export const syncDefects: readonly Defect[] = [
  {
    name: 'sync skipped',
    file: 'log-writer.ts',
    from: "    this.#context.failpoint('sync')\n",
    to: '    if (segments.length > 0) return\n',
  },
  {
    name: 'sync of the directory skipped for a new segment',
    file: 'log-writer.ts',
    from: 'if (namesChanged || this.#namesUnsynced) await this.#syncNames()',
    to: 'if (this.#namesUnsynced) await this.#syncNames()',
  },
  {
    name: 'name of the partition directory not synced',
    file: 'log-writer.ts',
    from: 'await disk.syncDirectoryAsync(this.#home.path)',
    to: '',
  },
  {
    name: 'partition metadata not synced',
    file: 'log-writer.ts',
    from: 'await metadata?.syncData()',
    to: '',
  },
  {
    name: 'rename before sync, in the background',
    file: 'atomic-file.ts',
    from: '    await file.syncData()\n',
    to: '',
  },
  {
    name: 'rename before sync',
    file: 'atomic-file.ts',
    from: '    file.syncDataNow()\n',
    to: '',
  },
  {
    name: 'rename unsynced',
    file: 'atomic-file.ts',
    from: '  disk.syncDirectory(directory)\n',
    to: '',
  },
  {
    name: 'small file overwritten in place',
    file: 'atomic-file.ts',
    from: '    await file.syncData()\n  } finally {\n    file.close()\n  }\n  if (!isWanted()) return\n',
    to: "  } finally {\n    file.close()\n  }\n  const old = disk.openFile(directory + '/' + name, { create: true })\n  old.truncate(0)\n  old.write(contents, 0, contents.length, 0)\n  await old.syncData()\n  return old.close()\n",
  },
  {
    name: 'acknowledged before the sync',
    file: 'log.ts',
    from: '      this.checkpointer.onWritten()\n',
    to: '      this.checkpointer.onWritten()\n      this.#home.onSynced(this, this.writtenOffset, this.segments.active.baseOffset, this.segments.active.writtenBytes)\n',
  },
  {
    name: 'durable offset from the written offset',
    file: 'log.ts',
    from: 'this.#home.onSynced(this, writtenOffset, active.baseOffset, positionBytes)',
    to: 'this.#home.onSynced(this, this.writtenOffset, this.segments.active.baseOffset, this.segments.active.writtenBytes)',
  },
  {
    name: 'generation not checked after a sync',
    file: 'log.ts',
    from: 'if (this.failed || generation !== this.generation) return\n    this.#home.onSynced',
    to: 'if (this.failed) return\n    this.#home.onSynced',
  },
  {
    name: 'mark leading what was synced',
    file: 'log-directory.ts',
    from: 'this.mark.note(log.topicId, log.partition, offset, segmentBaseOffset, positionBytes)\n    this.#writeMarkSoon()',
    to: 'this.mark.note(log.topicId, log.partition, log.writtenOffset, log.segments.active.baseOffset, log.segments.active.writtenBytes)\n    this.#writeMarkSoon()',
  },
  {
    name: 'failed sync retried',
    file: 'group-commit.ts',
    from: '        this.stop()\n        this.#onEnd(log)\n        if (!(error instanceof DiskError)) throw error\n        this.#onFailure(error)',
    to: '        if (!(error instanceof DiskError)) throw error\n        this.#onEnd(log)',
  },
  {
    name: 'failed write taken for done',
    file: 'log-writer.ts',
    from: 'if (tail === null) segment.file().write(staging, 0, sizeBytes, segment.writtenBytes)',
    to: 'if (tail === null) try { segment.file().write(staging, 0, sizeBytes, segment.writtenBytes) } catch (error) { this.#context.logger.warn(String(error), {}) }',
  },
  {
    name: 'failed write leaves the directory online',
    file: 'log-state.ts',
    from: '  home.onDiskError(error)\n',
    to: '',
  },
  {
    name: 'logs of a failed directory go on',
    file: 'log-directory.ts',
    from: '    for (const log of this.logs) log.fail()\n    this.#onFailed(error)',
    to: '    this.#onFailed(error)',
  },
  {
    name: 'full disk never looked at again',
    file: 'log-directory.ts',
    from: '    this.isFull = false\n    this.#context.logger.info',
    to: '    this.#context.logger.info',
  },
  {
    name: 'recovery point ahead of what was checkpointed',
    file: 'log-checkpointer.ts',
    from: 'log.recoveryPoint = Math.max(log.recoveryPoint, offset)',
    to: 'log.recoveryPoint = log.logEndOffset',
  },
  {
    name: 'checkpoint does not wait for the data',
    file: 'log-checkpointer.ts',
    from: '      await this.#whenDurable(offset)\n',
    to: '',
  },
  {
    name: 'producer snapshot not synced',
    file: 'log-checkpointer.ts',
    from: '      await snapshot?.sync()\n',
    to: '',
  },
  {
    name: 'indexes not synced with a checkpoint',
    file: 'log-checkpointer.ts',
    from: 'for (const segment of segments) if (segment.indexes.hasChanges) await segment.indexes.sync()',
    to: '',
  },
  {
    name: 'leader epochs not saved with a checkpoint',
    file: 'log-checkpointer.ts',
    from: '    await log.epochs.save(log.logEndOffset, () => !log.failed)\n',
    to: '',
  },
  {
    name: 'ends of closed segments not settled',
    file: 'log-checkpointer.ts',
    from: '    await this.#settleEnds(generation)\n',
    to: '',
  },
]
