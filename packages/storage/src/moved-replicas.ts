import { type Disk, DiskError, type Uuid } from '@millrace/base'
import { crc32c } from '@millrace/protocol'
import { replaceFile, replaceFileAsync } from './atomic-file.ts'
import { MOVED_REPLICAS_FILE } from './file-names.ts'
import { CorruptFileError, decodeTextCheckpoint, encodeTextCheckpoint, readIfPresent } from './text-checkpoint.ts'

/** The log of a partition that was in one log directory, and since then is in the one with this id. */
export interface MovedReplica {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly directory: Uuid
}

/**
 * `moved-replicas` of a log directory: logs of it whose place others have taken, in other directories (docs/adr/0009). An entry is written
 * before that happens, and stays until the rest of the world knows where the log is now. Without it a start that finds the other
 * directory gone would take this one's for the directory of a log that was never made, and begin an empty one; one that finds both logs
 * could not tell which counts. A text checkpoint; the last line is a checksum of the others.
 */
export class MovedReplicas {
  readonly #disk: Disk
  readonly #directory: string
  readonly #entries: Map<string, MovedReplica>
  /** Ends when the last writing does: they must not overlap. */
  #writing: Promise<void>

  /** Throws `DiskError`, and `CorruptFileError` if the file cannot be read. */
  constructor(disk: Disk, directory: string, entries: readonly MovedReplica[]) {
    this.#disk = disk
    this.#directory = directory
    this.#entries = new Map(entries.map((entry) => [keyOf(entry), entry]))
    this.#writing = Promise.resolve()
  }

  get entries(): Iterable<MovedReplica> {
    return this.#entries.values()
  }

  get(topicId: Uuid, partition: number): MovedReplica | null {
    return this.#entries.get(keyOf({ topicId, partition })) ?? null
  }

  /** Durable once it resolves. Rejects with `DiskError`: then it is not known whether it is. `isOnline`: the directory has not failed. */
  add(entry: MovedReplica, isOnline: () => boolean): Promise<void> {
    this.#entries.set(keyOf(entry), entry)
    return this.#write(isOnline)
  }

  /** The same of taking an entry out. */
  remove(topicId: Uuid, partition: number, isOnline: () => boolean): Promise<void> {
    this.#entries.delete(keyOf({ topicId, partition }))
    return this.#write(isOnline)
  }

  /** Takes entries out that came to nothing, durably, while nothing else goes on. Throws `DiskError`. */
  removeNow(entries: readonly MovedReplica[]): void {
    if (entries.length === 0) return
    for (const entry of entries) this.#entries.delete(keyOf(entry))
    replaceFile(this.#disk, this.#directory, MOVED_REPLICAS_FILE, encode([...this.#entries.values()]))
  }

  /** Resolves when nothing is being written. */
  async whenIdle(): Promise<void> {
    for (let last: Promise<void> | null = null; last !== this.#writing; ) {
      last = this.#writing
      await last
    }
  }

  #write(isOnline: () => boolean): Promise<void> {
    const written = this.#writing.then(() => {
      const contents = encode([...this.#entries.values()])
      return replaceFileAsync(this.#disk, this.#directory, MOVED_REPLICAS_FILE, contents, isOnline)
    })
    // The next one writes all of it once more.
    this.#writing = written.catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error
    })
    return written
  }
}

/** What the file of a directory says; nothing where there is none. Throws `CorruptFileError`, `DiskError`. */
export function readMovedReplicas(disk: Disk, directory: string): MovedReplica[] {
  const path = `${directory}/${MOVED_REPLICAS_FILE}`
  const contents = readIfPresent(disk, path)
  if (contents.length === 0) return []
  const checkedBytes = contents.lastIndexOf('\n', contents.length - 2) + 1
  if (contents.subarray(checkedBytes).toString('latin1') !== checksumLine(contents.subarray(0, checkedBytes))) {
    throw new CorruptFileError(path, 'checksum does not match')
  }
  return decodeTextCheckpoint(path, contents.subarray(0, checkedBytes), 4).map(
    ([topicId, topic, partition, directoryId]) => {
      const isSound = ID.test(topicId!) && ID.test(directoryId!) && /^\d{1,10}$/.test(partition!)
      if (!isSound) throw new CorruptFileError(path, 'malformed entry')
      return { topicId: topicId as Uuid, topic: topic!, partition: Number(partition), directory: directoryId as Uuid }
    },
  )
}

function encode(entries: readonly MovedReplica[]): Buffer {
  const lines = entries.map(
    ({ topicId, topic, partition, directory }) => `${topicId} ${topic} ${partition} ${directory}`,
  )
  const contents = encodeTextCheckpoint(lines)
  return Buffer.concat([contents, Buffer.from(checksumLine(contents))])
}

function checksumLine(contents: Buffer): string {
  return `${crc32c(contents)}\n`
}

const ID = /^[A-Za-z0-9_-]{22}$/

function keyOf({ topicId, partition }: Pick<MovedReplica, 'topicId' | 'partition'>): string {
  return `${topicId}-${partition}`
}
