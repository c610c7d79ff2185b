import type { Uuid } from '@millrace/base'
import { partitionDirectoryName } from './file-names.ts'
import type { Log } from './log.ts'
import type { LogDirectory } from './log-directory.ts'
import { UnwrittenMetadataError } from './partition-metadata.ts'
import type { CorruptFileError } from './text-checkpoint.ts'

/**
 * Of a start: logs that held records on the disk and are not here any more. Their directories were left out or are gone, or name another
 * topic. Without a word of it, an empty log in such a place would pass for all that there ever was.
 */
export class LostLogs {
  readonly #homes: readonly LogDirectory[]
  readonly #loaded: ReadonlySet<string>
  /** Of which a durable mark says that they had records. */
  readonly #marked: ReadonlySet<string>
  /** Names of logs with records that another broker wrote. */
  readonly #foreign: ReadonlySet<string>
  /** Of one directory at least nobody can tell which logs it held. */
  readonly #isUnknown: boolean

  /**
   * Once all were loaded, and before one is made: that takes its place in the mark. `registered`: ids of directories that an earlier life of
   * the broker has served from, which had a mark then.
   */
  constructor(homes: readonly LogDirectory[], logs: Iterable<Log>, registered: readonly Uuid[]) {
    this.#homes = homes
    this.#isUnknown = homes.some(({ mark, id }) => mark.damage !== null || (mark.wasAbsent && registered.includes(id)))
    this.#loaded = new Set([...logs].map(({ topicId, partition }) => keyOf(topicId, partition)))
    const marked = new Set<string>()
    const foreign = new Set<string>()
    for (const { mark, logs: here } of homes) {
      for (const { topicId, partition, durableOffset } of mark.all()) {
        if (durableOffset > 0) marked.add(keyOf(topicId, partition))
      }
      if (!mark.wasAbsent) continue
      for (const { topic, partition, logEndOffset } of here) {
        if (logEndOffset > 0) foreign.add(partitionDirectoryName(topic, partition))
      }
    }
    this.#marked = marked
    this.#foreign = foreign
  }

  /** Whether its log is here, perhaps beside another one of its name. */
  isHere(topicId: Uuid, partition: number): boolean {
    return this.#loaded.has(keyOf(topicId, partition))
  }

  /**
   * Whether the partition may have had records here, and has no log now. Where a mark is damaged, or gone with all that the directory held,
   * nobody can tell of any log that is not here; where there never was one, since another broker wrote the directory, a log of another topic
   * in its place may be the one, too.
   */
  has(topic: string, topicId: Uuid, partition: number): boolean {
    const key = keyOf(topicId, partition)
    if (this.#loaded.has(key)) return false
    if (this.#marked.has(key)) return true
    const name = partitionDirectoryName(topic, partition)
    if (this.#foreign.has(name)) return true
    return this.#isUnknown || this.#homes.some(({ leftOut }) => mayHaveBeenDurable(leftOut.get(name)))
  }
}

/** Of a log that was left out: not where its making was interrupted, since its identity is synced before anything else of it. */
function mayHaveBeenDurable(reason: CorruptFileError | undefined): boolean {
  return reason !== undefined && !(reason instanceof UnwrittenMetadataError)
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}-${partition}`
}
